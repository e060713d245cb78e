#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)  // others compute with what llama.cpp has for them

#include "panels.h"

#include <cstring>

#define GGML_COMMON_DECL_C
#include "ggml-common.h"

namespace webchat {
namespace {

using Registers = __m256i[8];  // 32 columns of eight rows: first of row c, then (see transpose) columns 4j to 4j + 3

void store(void * to, __m256i value) { _mm256_storeu_si256(static_cast<__m256i *>(to), value); }

// The b-th unit of the c-th of some rows in a file.
template <class Unit>
const Unit & unit(const uint8_t * rows, size_t stride, int c, int64_t b) {
    return reinterpret_cast<const Unit *>(rows + c * stride)[b];
}

// Eight rows of eight times four bytes become eight columns.
void transpose(Registers & x) {
    __m256i a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i]     = _mm256_unpacklo_epi32(x[i], x[i + 1]);
        a[i + 1] = _mm256_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int half = 0; half < 2; ++half) {
            b[i + 2 * half]     = _mm256_unpacklo_epi64(a[i + half], a[i + half + 2]);
            b[i + 2 * half + 1] = _mm256_unpackhi_epi64(a[i + half], a[i + half + 2]);
        }
    }
    for (int i = 0; i < 4; ++i) {
        x[i]     = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        x[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

// Eight rows of eight pairs of bytes become eight columns.
void transpose(const __m128i (&rows)[8], uint8_t * out) {
    __m128i a[8], b[8];
    for (int i = 0; i < 4; ++i) {
        a[2 * i]     = _mm_unpacklo_epi16(rows[i], rows[i + 4]);
        a[2 * i + 1] = _mm_unpackhi_epi16(rows[i], rows[i + 4]);
    }
    for (int i = 0; i < 4; ++i) {
        b[2 * i]     = _mm_unpacklo_epi16(a[i], a[i + 4]);
        b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
    for (int i = 0; i < 4; ++i) {
        _mm_storeu_si128(reinterpret_cast<__m128i *>(out) + 2 * i, _mm_unpacklo_epi16(b[i], b[i + 4]));
        _mm_storeu_si128(reinterpret_cast<__m128i *>(out) + 2 * i + 1, _mm_unpackhi_epi16(b[i], b[i + 4]));
    }
}

// 32 bits become the fifth bits of 32 bytes.
__m256i spread(const uint8_t (&bits)[4]) {
    const __m256i byte_of = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit_of  = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
    int32_t       all;
    memcpy(&all, bits, sizeof all);
    const __m256i chosen = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(all), byte_of), bit_of);
    return _mm256_and_si256(_mm256_cmpeq_epi8(chosen, bit_of), _mm256_set1_epi8(16));
}

// Nibbles of 32 bytes: the lower or the upper ones.
__m256i nibbles(__m256i bytes, bool upper) {
    return _mm256_and_si256(upper ? _mm256_srli_epi16(bytes, 4) : bytes, _mm256_set1_epi8(15));
}

void pack_low(const Registers & registers, uint8_t (&low)[4][32]) {
    for (int m = 0; m < 4; ++m) {
        const __m256i first = nibbles(registers[m], false), second = nibbles(registers[m + 4], false);
        store(low[m], _mm256_or_si256(first, _mm256_slli_epi16(second, 4)));
    }
}

// The bits from the fourth on of COUNT registers' bytes, WIDTH of each, side by side.
template <int COUNT, int WIDTH>
void pack_high(const __m256i * registers, uint8_t (&high)[32]) {
    const __m256i upper = _mm256_set1_epi8(WIDTH == 1 ? 16 : 48);
    __m256i       all   = _mm256_setzero_si256();
    for (int j = 0; j < COUNT; ++j) {
        const __m256i bits = _mm256_and_si256(registers[j], upper);
        const int     left = j * WIDTH - 4;
        all = _mm256_or_si256(all, left < 0 ? _mm256_srli_epi16(bits, -left) : _mm256_slli_epi16(bits, left));
    }
    store(high, all);
}

// Q5_0: 32 columns of sixteenths, a fifth bit for each, one scale.

void pack(const uint8_t * rows, size_t stride, int64_t b, Q5_0::Packed & out) {
    Registers registers;
    for (int c = 0; c < LANES; ++c) {
        const auto &  from = unit<block_q5_0>(rows, stride, c, b);
        const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from.qs));
        const __m256i low  = nibbles(_mm256_set_m128i(_mm_srli_epi16(both, 4), both), false);
        registers[c]       = _mm256_or_si256(low, spread(from.qh));
        out.scale[c]       = from.d;
    }
    transpose(registers);
    pack_low(registers, out.low);
    pack_high<8, 1>(registers, out.high);
}

// Q8_0: 32 columns of bytes, one scale. Two of each row at a time, for they are multiplied in sixteen bits.

void pack(const uint8_t * rows, size_t stride, int64_t b, Q8_0::Packed & out) {
    __m128i first[8], second[8];
    for (int c = 0; c < LANES; ++c) {
        const auto & from = unit<block_q8_0>(rows, stride, c, b);
        out.scale[c]      = from.d;
        first[c]          = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from.qs));
        second[c]         = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from.qs) + 1);
    }
    transpose(first, reinterpret_cast<uint8_t *>(out.values));
    transpose(second, reinterpret_cast<uint8_t *>(out.values[8]));
}

// Q4_K: 256 columns of sixteenths in eight groups; each group's scale and lowest value in six bits.

void pack(const uint8_t * rows, size_t stride, int64_t b, Q4_K::Packed & out) {
    Registers registers[8];
    for (int c = 0; c < LANES; ++c) {
        const auto & from = unit<block_q4_K>(rows, stride, c, b);
        out.scale[c]      = from.d;
        out.lowest[c]     = from.dmin;
        for (int g = 0; g < 4; ++g) {  // the last four groups' upper two bits lie beside the first four's
            const uint8_t scale = from.scales[g], lowest = from.scales[g + 4], rest = from.scales[g + 8];
            out.scales[g][c]      = scale & 63;
            out.lowests[g][c]     = lowest & 63;
            out.scales[g + 4][c]  = (rest & 15) | (scale >> 6 << 4);
            out.lowests[g + 4][c] = (rest >> 4) | (lowest >> 6 << 4);
        }
        for (int g = 0; g < 8; ++g) {  // two groups share their bytes
            registers[g][c] = nibbles(details::load(from.qs + g / 2 * 32), g % 2);
        }
    }
    for (int g = 0; g < 8; ++g) {
        transpose(registers[g]);
        pack_low(registers[g], out.low[g]);
    }
}

// Q6_K: 256 columns of six bits in sixteen groups; each group's scale in eight.

void pack(const uint8_t * rows, size_t stride, int64_t b, Q6_K::Packed & out) {
    Registers registers[8];
    for (int c = 0; c < LANES; ++c) {
        const auto & from = unit<block_q6_K>(rows, stride, c, b);
        out.scale[c]      = from.d;
        for (int g = 0; g < 16; ++g) {
            out.scales[g][c] = from.scales[g];
        }
        for (int part = 0; part < 8; ++part) {  // of each 128 columns two parts share the nibbles, all four the bits
            const int     half = part / 4, turn = part % 4;
            const __m256i low  = nibbles(details::load(from.ql + half * 64 + turn % 2 * 32), turn / 2);
            const __m256i high = _mm256_srli_epi16(details::load(from.qh + half * 32), turn * 2);
            const __m256i two  = _mm256_and_si256(high, _mm256_set1_epi8(3));
            registers[part][c] = _mm256_or_si256(low, _mm256_slli_epi16(two, 4));
        }
    }
    for (int part = 0; part < 8; ++part) {
        transpose(registers[part]);
        pack_low(registers[part], out.low[part]);
        pack_high<4, 2>(registers[part], out.high[part][0]);
        pack_high<4, 2>(registers[part] + 4, out.high[part][1]);
    }
}

}  // namespace

template <class F>
void pack(const uint8_t * rows, size_t stride, int64_t columns, typename F::Packed * panel) {
    for (int64_t b = 0; b < columns / F::TYPE_COLUMNS; ++b) {
        for (int half = 0; half < HALVES; ++half) {
            pack(rows + half * LANES * stride, stride, b, *panel++);
        }
    }
}

template void pack<Q4_K>(const uint8_t *, size_t, int64_t, Q4_K::Packed *);
template void pack<Q5_0>(const uint8_t *, size_t, int64_t, Q5_0::Packed *);
template void pack<Q6_K>(const uint8_t *, size_t, int64_t, Q6_K::Packed *);
template void pack<Q8_0>(const uint8_t *, size_t, int64_t, Q8_0::Packed *);

}  // namespace webchat

#endif
