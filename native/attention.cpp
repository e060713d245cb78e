// Attention of answers and prompts to what is in the cache.
//
// Two passes over the cells a row may see: scores and their maximum, then the weighted sum of values. All query heads
// that share a key head are computed together, so each key and value is converted from half precision once. Scores are
// 32-bit floats, sums 64-bit: whatever the order of the cells, the result is the same but for about one rounding in a
// hundred million, and a conversation continues alike wherever its cells happen to lie.
#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)  // others compute with what llama.cpp has for them

#include "attention.h"

#include "exponential.h"

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ggml-cpu.h"

namespace webchat {
namespace {

constexpr int TILE_CELLS = 8;    // cells whose keys or values are converted at a time
constexpr int LONGEST    = 256;  // largest length of a head
constexpr int MOST       = 64;   // query heads that share a key head

// The sums of eight registers, in order.
inline __m256 sums_of(const __m256 (&x)[8]) {
    const __m256 a = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
    const __m256 b = _mm256_hadd_ps(_mm256_hadd_ps(x[4], x[5]), _mm256_hadd_ps(x[6], x[7]));
    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

struct Attention : ggml::cpu::tensor_traits {
    static bool fits(const ggml_tensor * op) {
        const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
        float              numbers[3];  // scale, largest ALiBi slope, soft cap
        memcpy(numbers, op->op_params, sizeof numbers);
        return q->type == GGML_TYPE_F32 && k->type == GGML_TYPE_F16 && v->type == GGML_TYPE_F16 && q->nb[0] == 4 &&
               k->nb[0] == 2 && v->nb[0] == 2 && mask && mask->ne[2] == 1 && !op->src[4] &&
               numbers[1] == 0 && numbers[2] == 0 && k->ne[0] % 8 == 0 &&
               v->ne[0] % 16 == 0 && k->ne[0] <= LONGEST && v->ne[0] <= LONGEST && k->ne[2] == v->ne[2] &&
               q->ne[2] % k->ne[2] == 0 && q->ne[2] / k->ne[2] <= MOST && q->ne[3] == k->ne[3] &&
               mask->ne[3] == q->ne[3];
    }

    static int64_t whole_tiles(int64_t cells) { return (cells + TILE_CELLS - 1) / TILE_CELLS * TILE_CELLS; }

    static int64_t room(const ggml_tensor * op) { return whole_tiles(op->src[1]->ne[1]); }

    static size_t scratch(const ggml_tensor * op) {
        const int64_t heads = op->src[0]->ne[2] / op->src[1]->ne[2];
        return (heads * op->src[2]->ne[0] * sizeof(double) + (heads + 1) * room(op) * 4 + 63) / 64 * 64;
    }

    bool work_size(int threads, const ggml_tensor * op, size_t & size) override {
        size = scratch(op) * threads;
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        if (params->ith == 0) {
            ggml_threadpool_chunk_set(params->threadpool, params->nth);
        }
        ggml_barrier(params->threadpool);
        const ggml_tensor *q = op->src[0], *k = op->src[1];
        const int64_t      parts = q->ne[1] * k->ne[2] * q->ne[3];
        uint8_t * const    memory = static_cast<uint8_t *>(params->wdata) + params->ith * scratch(op);
        for (int64_t part = params->ith; part < parts; part = ggml_threadpool_chunk_add(params->threadpool, 1)) {
            const int64_t head = part % k->ne[2], row = part / k->ne[2] % q->ne[1], stream = part / k->ne[2] / q->ne[1];
            attend(op, row, head, stream, memory);
        }
        return true;
    }

  private:
    static void attend(ggml_tensor * op, int64_t row, int64_t head, int64_t stream, uint8_t * memory) {
        const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
        const int64_t      heads = q->ne[2] / k->ne[2], spread = room(op), length = v->ne[0];
        double * const     sums   = reinterpret_cast<double *>(memory);
        float * const      scores = reinterpret_cast<float *>(sums + heads * length);
        int32_t * const    cells  = reinterpret_cast<int32_t *>(scores + heads * spread);
        const char *       queries = at(q, row, head * heads, stream);
        const char *       keys   = at(k, 0, head, stream);
        const char *       values = at(v, 0, head, stream);

        const auto *  masked = reinterpret_cast<const ggml_fp16_t *>(at(mask, row, 0, stream));
        const int64_t seen   = visible(masked, k->ne[1], cells);
        const int64_t padded = whole_tiles(seen);
        std::fill(cells + seen, cells + padded, seen ? cells[0] : 0);

        float scale;
        memcpy(&scale, op->op_params, sizeof scale);
        for (int64_t i = 0; i < padded; i += TILE_CELLS) {
            score({keys, k->nb[1], k->ne[0]}, cells + i, queries, q->nb[2], heads, scores + i, spread);
        }
        std::fill(sums, sums + heads * length, 0.0);
        double total[MOST];
        for (int64_t h = 0; h < heads; ++h) {
            total[h] = weigh(scores + h * spread, seen, padded, scale);
        }
        for (int64_t i = 0; i < padded; i += TILE_CELLS) {
            add({values, v->nb[1], length}, cells + i, scores + i, spread, heads, sums);
        }
        for (int64_t h = 0; h < heads; ++h) {
            const double  share = total[h] > 0 ? 1.0 / total[h] : 0.0;
            const int64_t place = (stream * op->ne[2] + row) * op->ne[1] + head * heads + h;
            float * const out   = static_cast<float *>(op->data) + place * length;
            for (int64_t i = 0; i < length; ++i) {
                out[i] = static_cast<float>(sums[h * length + i] * share);
            }
        }
    }

    static const char * at(const ggml_tensor * t, int64_t i1, int64_t i2, int64_t i3) {
        return static_cast<const char *>(t->data) + i1 * t->nb[1] + i2 * t->nb[2] + i3 * t->nb[3];
    }

    // The cells whose mask is 0 and not minus infinity: without ALiBi there is nothing else in it.
    static int64_t visible(const ggml_fp16_t * mask, int64_t count, int32_t * cells) {
        int64_t seen = 0, i = 0;
        for (; i + 16 <= count; i += 16) {
            const __m256i sixteen = _mm256_loadu_si256((const __m256i *) (mask + i));
            uint32_t bits = ~_mm256_movemask_epi8(_mm256_cmpeq_epi16(sixteen, _mm256_set1_epi16((short) 0xfc00)));
            bits &= 0x55555555;
            for (; bits; bits &= bits - 1) {
                cells[seen++] = static_cast<int32_t>(i + __builtin_ctz(bits) / 2);
            }
        }
        for (; i < count; ++i) {
            if (mask[i] != 0xfc00) {
                cells[seen++] = static_cast<int32_t>(i);
            }
        }
        return seen;
    }

    // One head's keys or values in half precision: a cell's are `stride` bytes behind those of the cell before.
    struct Cells {
        const char * first;
        size_t       stride;
        int64_t      length;

        __m256 eight(int32_t cell, int64_t at) const {
            return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (first + cell * stride + 2 * at)));
        }
    };

    static void score(Cells keys, const int32_t * cells, const char * queries, size_t stride, int64_t heads,
                      float * scores, int64_t spread) {
        const int64_t length = keys.length;
        alignas(32) float tile[TILE_CELLS * LONGEST];
        for (int c = 0; c < TILE_CELLS; ++c) {
            for (int64_t i = 0; i < length; i += 8) {
                _mm256_store_ps(tile + c * length + i, keys.eight(cells[c], i));
            }
        }
        for (int64_t h = 0; h < heads; ++h) {
            const float * query = reinterpret_cast<const float *>(queries + h * stride);
            __m256        dot[8];
            for (auto & d : dot) {
                d = _mm256_setzero_ps();
            }
            for (int64_t i = 0; i < length; i += 8) {
                const __m256 x = _mm256_loadu_ps(query + i);
                for (int c = 0; c < TILE_CELLS; ++c) {
                    dot[c] = _mm256_fmadd_ps(x, _mm256_load_ps(tile + c * length + i), dot[c]);
                }
            }
            _mm256_storeu_ps(scores + h * spread, sums_of(dot));
        }
    }

    // Scores to weights e^(scale * (score - highest)); returns their sum.
    static double weigh(float * scores, int64_t seen, int64_t padded, float scale) {
        std::fill(scores + seen, scores + padded, -INFINITY);
        __m256 highest = _mm256_set1_ps(-INFINITY);
        for (int64_t i = 0; i < padded; i += 8) {
            highest = _mm256_max_ps(highest, _mm256_loadu_ps(scores + i));
        }
        alignas(32) float eight[8];
        _mm256_store_ps(eight, highest);
        highest       = _mm256_set1_ps(*std::max_element(eight, eight + 8));
        __m256d total = _mm256_setzero_pd();
        for (int64_t i = 0; i < padded; i += 8) {
            const __m256 below  = _mm256_sub_ps(_mm256_loadu_ps(scores + i), highest);
            const __m256 weight = exponential(_mm256_mul_ps(below, _mm256_set1_ps(scale)));
            _mm256_storeu_ps(scores + i, weight);
            total = _mm256_add_pd(total, _mm256_cvtps_pd(_mm256_castps256_ps128(weight)));
            total = _mm256_add_pd(total, _mm256_cvtps_pd(_mm256_extractf128_ps(weight, 1)));
        }
        alignas(32) double four[4];
        _mm256_store_pd(four, total);
        return (four[0] + four[1]) + (four[2] + four[3]);
    }

    static void add(Cells values, const int32_t * cells, const float * weights, int64_t spread, int64_t heads,
                    double * sums) {
        const int64_t length = values.length;
        alignas(32) double tile[TILE_CELLS * LONGEST];
        for (int c = 0; c < TILE_CELLS; ++c) {
            for (int64_t i = 0; i < length; i += 8) {
                const __m256 x = values.eight(cells[c], i);
                _mm256_store_pd(tile + c * length + i, _mm256_cvtps_pd(_mm256_castps256_ps128(x)));
                _mm256_store_pd(tile + c * length + i + 4, _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)));
            }
        }
        for (int64_t h = 0; h < heads; ++h) {
            double weight[TILE_CELLS];
            for (int c = 0; c < TILE_CELLS; ++c) {
                weight[c] = weights[h * spread + c];
            }
            for (int64_t i = 0; i < length; i += 16) {
                double * const to = sums + h * length + i;
                __m256d        s[4];
                for (int j = 0; j < 4; ++j) {
                    s[j] = _mm256_loadu_pd(to + 4 * j);
                }
                for (int c = 0; c < TILE_CELLS; ++c) {
                    const __m256d w = _mm256_set1_pd(weight[c]);
                    for (int j = 0; j < 4; ++j) {
                        s[j] = _mm256_fmadd_pd(w, _mm256_load_pd(tile + c * length + i + 4 * j), s[j]);
                    }
                }
                for (int j = 0; j < 4; ++j) {
                    _mm256_storeu_pd(to + 4 * j, s[j]);
                }
            }
        }
    }
};

}  // namespace

ggml::cpu::tensor_traits * attention_of(const ggml_tensor * op) {
    static Attention attention;
    return op->op == GGML_OP_FLASH_ATTN_EXT && Attention::fits(op) ? &attention : nullptr;
}

}  // namespace webchat

#endif
