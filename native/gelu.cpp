// The activation of sentence encoders (Hendrycks and Gimpel, 2016), eight values at a time.
//
// llama.cpp looks each value up in a table by its half precision, one after the other: an eighth of an encoder's time.
#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)  // others compute with what llama.cpp has for them

#include "gelu.h"

#include "exponential.h"

#include <algorithm>

namespace webchat {
namespace {

// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the approximation llama.cpp uses, is x / (1 + e^-2z), z in the tanh.
inline __m256 gelu(__m256 x) {
    const __m256 cubic = _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(0.044715f), _mm256_set1_ps(1.0f));
    const __m256 minus = _mm256_mul_ps(_mm256_mul_ps(x, _mm256_set1_ps(-2.0f * 0.79788456f)), cubic);
    const __m256 below = exponential(_mm256_min_ps(minus, _mm256_set1_ps(87.0f)));
    const __m256 there = _mm256_cmp_ps(x, _mm256_set1_ps(-10.0f), _CMP_GT_OQ);  // below it is nothing, as llama.cpp has it
    return _mm256_and_ps(there, _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), below)));
}

struct Gelu : ggml::cpu::tensor_traits {
    static bool fits(const ggml_tensor * op) {
        const ggml_tensor * x = op->src[0];
        return x->type == GGML_TYPE_F32 && op->type == GGML_TYPE_F32 && ggml_is_contiguous(x) &&
               ggml_is_contiguous(op) && ggml_nelements(op) % 8 == 0;
    }

    bool work_size(int, const ggml_tensor *, size_t & size) override {
        size = 0;
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        const int64_t eights = ggml_nelements(op) / 8, each = (eights + params->nth - 1) / params->nth;
        const int64_t first = std::min(each * params->ith, eights), end = std::min(first + each, eights);
        const float * in  = static_cast<const float *>(op->src[0]->data);
        float *       out = static_cast<float *>(op->data);
        for (int64_t i = first * 8; i < end * 8; i += 8) {
            _mm256_storeu_ps(out + i, gelu(_mm256_loadu_ps(in + i)));
        }
        return true;
    }
};

}  // namespace

ggml::cpu::tensor_traits * gelu_of(const ggml_tensor * op) {
    static Gelu ours;
    const bool  fits = op->op == GGML_OP_UNARY && ggml_get_unary_op(op) == GGML_UNARY_OP_GELU && Gelu::fits(op);
    return fits ? &ours : nullptr;
}

}  // namespace webchat

#endif
