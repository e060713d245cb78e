#pragma once

#include <immintrin.h>

namespace webchat {

inline __m256 exponential(__m256 x) {
    // e^x = 2^n e^r with |r| <= ln 2 / 2; a polynomial for e^r (Cephes' expf, Moshier). Below -87 it is nothing; x is 88 at most.
    const __m256 nothing = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_LT_OQ);
    x                    = _mm256_max_ps(x, _mm256_set1_ps(-87.0f));
    const __m256 n       = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    __m256       r       = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r                    = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 y             = _mm256_set1_ps(1.9875691500e-4f);
    y                    = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.3981999507e-3f));
    y                    = _mm256_fmadd_ps(y, r, _mm256_set1_ps(8.3334519073e-3f));
    y                    = _mm256_fmadd_ps(y, r, _mm256_set1_ps(4.1665795894e-2f));
    y                    = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.6666665459e-1f));
    y                    = _mm256_fmadd_ps(y, r, _mm256_set1_ps(5.0000001201e-1f));
    y                    = _mm256_fmadd_ps(_mm256_mul_ps(y, r), r, _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
    const __m256i power  = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_andnot_ps(nothing, _mm256_mul_ps(y, _mm256_castsi256_ps(power)));
}

}  // namespace webchat
