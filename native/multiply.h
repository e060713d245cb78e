// One matrix of weights times some rows of numbers.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "panels.h"

namespace webchat {

constexpr int   TILE_ROWS = 4;       // rows of the right-hand side that are multiplied together
constexpr float SMALLEST  = 1e-30f;  // values below this are nothing: their inverse would be infinite

// The right-hand side in eight bits: blocks of 32 with one scale, as in llama.cpp's Q8_0 (but the scale keeps 32 bits).
// A row's values, scales and sums follow each other in memory.
template <class F>
struct RightSide {
    using Value = std::conditional_t<std::is_same_v<typename F::Value, uint8_t>, int8_t, int16_t>;

    uint8_t * memory;
    int       columns;

    static size_t row_size(int columns) {
        const size_t size = columns * sizeof(Value) + columns / BLOCK * 4 + columns / F::GROUP * 4;
        return (size + 63) / 64 * 64;
    }

    Value * values(int row) const { return reinterpret_cast<Value *>(memory + row * row_size(columns)); }
    float * scales(int row) const { return reinterpret_cast<float *>(values(row) + columns); }
    // For each group: -OFFSET times the sum of its values or, with LOWEST, their sum times the scale (a float).
    int32_t * sums(int row) const { return reinterpret_cast<int32_t *>(scales(row) + columns / BLOCK); }

    void quantise(int row, const float * from) const {
        for (int b = 0; b < columns / BLOCK; ++b) {
            block(row, b, from + b * BLOCK);
        }
    }

  private:
    static int32_t across(__m256i x) {
        __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
        four         = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
        return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
    }

    void block(int row, int b, const float * from) const {
        const __m256 no_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
        __m256       x[4], largest = _mm256_setzero_ps();
        for (int i = 0; i < 4; ++i) {
            x[i]    = _mm256_loadu_ps(from + 8 * i);
            largest = _mm256_max_ps(largest, _mm256_and_ps(x[i], no_sign));
        }
        __m128 four = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
        four        = _mm_max_ps(four, _mm_movehl_ps(four, four));
        four        = _mm_max_ss(four, _mm_movehdup_ps(four));
        const float amplitude = _mm_cvtss_f32(four), scale = amplitude / 127.0f;
        scales(row)[b]        = scale;
        const __m256 inverse  = _mm256_set1_ps(amplitude > SMALLEST ? 127.0f / amplitude : 0.0f);
        __m256i whole[4];
        for (int i = 0; i < 4; ++i) {
            whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(x[i], inverse));
        }
        const int32_t sum[2] = {across(_mm256_add_epi32(whole[0], whole[1])),
                                across(_mm256_add_epi32(whole[2], whole[3]))};
        // Packing takes turns between the halves of its registers; the permutations undo that.
        const __m256i first  = _mm256_permute4x64_epi64(_mm256_packs_epi32(whole[0], whole[1]), 0xd8);
        const __m256i second = _mm256_permute4x64_epi64(_mm256_packs_epi32(whole[2], whole[3]), 0xd8);
        auto * const  to     = reinterpret_cast<__m256i *>(values(row) + b * BLOCK);
        if constexpr (sizeof(Value) == 2) {
            _mm256_storeu_si256(to, first);
            _mm256_storeu_si256(to + 1, second);
        } else {
            _mm256_storeu_si256(to, _mm256_permute4x64_epi64(_mm256_packs_epi16(first, second), 0xd8));
        }
        if constexpr (F::LOWEST) {
            const float product = scale * static_cast<float>(sum[0] + sum[1]);
            memcpy(sums(row) + b, &product, sizeof product);
        } else if constexpr (F::GROUP == BLOCK) {
            sums(row)[b] = -F::OFFSET * (sum[0] + sum[1]);
        } else {
            sums(row)[2 * b]     = -F::OFFSET * sum[0];
            sums(row)[2 * b + 1] = -F::OFFSET * sum[1];
        }
    }
};

// Ask memory for what lies two kilobytes behind this block. Left to itself the processor asks too late: a step
// of one answer is a third faster with it, and then as fast as memory can be read.
template <class F>
inline void prefetch(const typename F::Packed * panel, int b) {
    constexpr int BYTES = sizeof(typename F::Packed) * HALVES * BLOCK / F::TYPE_COLUMNS;
    for (int line = 0; line < BYTES; line += 64) {
        _mm_prefetch(reinterpret_cast<const char *>(panel) + b * BYTES + line + 2048, _MM_HINT_T0);
    }
}

// Some columns of a panel, unpacked once for all rows of the right-hand side: they stay in the first-level cache.
template <class F>
struct Unpacked {
    static constexpr int COLUMNS = 1024 / sizeof(typename F::Value), REGISTERS = sizeof(Block<F>::values) / 32;

    alignas(32) __m256i values[COLUMNS / BLOCK * REGISTERS][HALVES];
    alignas(32) __m256  scale[COLUMNS / F::GROUP][HALVES];
    alignas(32) __m256  lowest[COLUMNS / F::GROUP][HALVES];

    void unpack(const typename F::Packed * panel, int first, int count) {
        for (int b = 0; b < count; ++b) {
            prefetch<F>(panel, first + b);
            for (int h = 0; h < HALVES; ++h) {
                const Block<F> block = read(panel, first + b, h);
                for (int i = 0; i < REGISTERS; ++i) {
                    values[b * REGISTERS + i][h] = block.values[i];
                }
                for (int g = 0; g < BLOCK / F::GROUP; ++g) {
                    scale[b * (BLOCK / F::GROUP) + g][h] = block.scale[g];
                }
                if constexpr (F::LOWEST) {
                    lowest[b][h] = block.lowest;
                }
            }
        }
    }
};

// Keeps the compiler from first multiplying everything and then adding it all up, through the stack.
inline void settle(__m256i & sum) { asm volatile("" : "+x"(sum)); }

// Neighbouring values, as many as fill 32 bits, in every lane.
template <class V>
inline __m256i everywhere(const V * values) {
    int32_t same;
    memcpy(&same, values, sizeof same);
    return _mm256_set1_epi32(same);
}

// R rows of the right-hand side on their way through H registers of a panel's rows.
// What a row's result is does not depend on R or H: each is computed in the same order.
template <class F, int R, int H>
struct Tile {
    const typename RightSide<F>::Value * x[R];
    const float *                   scale[R];
    const int32_t *                 sums[R];
    __m256                          total[R][H];

    Tile(const RightSide<F> & rows, int row, int column) {
        for (int r = 0; r < R; ++r) {
            x[r]     = rows.values(row + r) + column;
            scale[r] = rows.scales(row + r) + column / BLOCK;
            sums[r]  = rows.sums(row + r) + column / F::GROUP;
        }
    }

    void begin(const float * out, size_t stride, bool anew) {
        for (int r = 0; r < R; ++r) {
            for (int h = 0; h < H; ++h) {
                total[r][h] = anew ? _mm256_setzero_ps() : _mm256_loadu_ps(out + r * stride + h * LANES);
            }
        }
    }

    void end(float * out, size_t stride) const {
        for (int r = 0; r < R; ++r) {
            for (int h = 0; h < H; ++h) {
                _mm256_storeu_ps(out + r * stride + h * LANES, total[r][h]);
            }
        }
    }

    // One group of columns; w(i, h) is the i-th register of its values.
    template <class Weights>
    void group(int g, const Weights & w, const __m256 * weight, const __m256 * lowest) {
        __m256i dot[R][H];
        for (int r = 0; r < R; ++r) {
            for (int h = 0; h < H; ++h) {
                dot[r][h] = F::OFFSET ? _mm256_set1_epi32(sums[r][g]) : _mm256_setzero_si256();
            }
        }
        if constexpr (F::RUN > 0) {
            in_eight_bits(g * F::GROUP, w, dot);
        } else {
            in_sixteen_bits(g * F::GROUP, w, dot);
        }
        for (int r = 0; r < R; ++r) {
            const __m256 of_row = _mm256_set1_ps(scale[r][g * F::GROUP / BLOCK]);
            for (int h = 0; h < H; ++h) {
                const __m256 both = _mm256_mul_ps(weight[h], of_row);
                total[r][h]       = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[r][h]), both, total[r][h]);
                if constexpr (F::LOWEST) {
                    const __m256 sum = _mm256_broadcast_ss(reinterpret_cast<const float *>(sums[r]) + g);
                    total[r][h]      = _mm256_fnmadd_ps(lowest[h], sum, total[r][h]);
                }
            }
        }
    }

  private:
    template <class Weights>
    void in_eight_bits(int column, const Weights & w, __m256i (&dot)[R][H]) const {
        static_assert(F::RUN * 2 * F::LARGEST * 127 <= INT16_MAX, "sums of a run overflow");
        const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
        for (int run = 0; run < F::GROUP / 4; run += F::RUN) {
            __m256i sum[R][H];
#pragma GCC unroll 8
            for (int i = run; i < run + F::RUN; ++i) {
                __m256i four[H];
                fetch(four, w, i);
                for (int r = 0; r < R; ++r) {
                    const __m256i value = everywhere(x[r] + column + 4 * i);
                    for (int h = 0; h < H; ++h) {
                        const __m256i product = _mm256_maddubs_epi16(four[h], value);
                        sum[r][h]             = i == run ? product : _mm256_add_epi16(sum[r][h], product);
                        settle(sum[r][h]);
                    }
                }
            }
            for (int r = 0; r < R; ++r) {
                for (int h = 0; h < H; ++h) {
                    dot[r][h] = _mm256_add_epi32(dot[r][h], _mm256_madd_epi16(sum[r][h], ones));
                }
            }
        }
    }

    template <class Weights>
    void in_sixteen_bits(int column, const Weights & w, __m256i (&dot)[R][H]) const {
#pragma GCC unroll 16
        for (int i = 0; i < F::GROUP / 2; ++i) {
            __m256i two[H];
            fetch(two, w, i);
            for (int r = 0; r < R; ++r) {
                const __m256i value = everywhere(x[r] + column + 2 * i);
                for (int h = 0; h < H; ++h) {
                    dot[r][h] = _mm256_add_epi32(dot[r][h], _mm256_madd_epi16(two[h], value));
                    settle(dot[r][h]);
                }
            }
        }
    }

    // Fetched once for all rows.
    template <class Weights>
    static void fetch(__m256i (&out)[H], const Weights & w, int i) {
        for (int h = 0; h < H; ++h) {
            out[h] = w(i, h);
            settle(out[h]);
        }
    }
};

// Few rows: a panel is unpacked on its way through, so that memory is read all the time.
template <class F, int R>
void multiply_directly(const typename F::Packed * panel, const RightSide<F> & rows, float * out, size_t stride) {
    constexpr int  GROUPS = BLOCK / F::GROUP, REGISTERS = sizeof(Block<F>::values) / 32 / GROUPS;
    Tile<F, R, 1> tiles[HALVES] = {{rows, 0, 0}, {rows, 0, 0}};
    for (auto & tile : tiles) {
        tile.begin(out, stride, true);
    }
    for (int b = 0; b < rows.columns / BLOCK; ++b) {
        prefetch<F>(panel, b);
#pragma GCC unroll 2
        for (int half = 0; half < HALVES; ++half) {
            const Block<F> block = read(panel, b, half);
#pragma GCC unroll 2
            for (int g = 0; g < GROUPS; ++g) {
                const auto weights = [&](int i, int) { return block.values[g * REGISTERS + i]; };
                tiles[half].group(b * GROUPS + g, weights, &block.scale[g], &block.lowest);
            }
        }
    }
    for (int half = 0; half < HALVES; ++half) {
        tiles[half].end(out + half * LANES, stride);
    }
}

template <class F, int R>
void multiply_unpacked(const Unpacked<F> & panel, const RightSide<F> & rows, int row, int column, int columns,
                       float * out, size_t stride) {
    Tile<F, R, HALVES> tile(rows, row, column);
    tile.begin(out, stride, column == 0);
    for (int g = 0; g < columns / F::GROUP; ++g) {
        const auto * values  = panel.values + g * (Unpacked<F>::REGISTERS * F::GROUP / BLOCK);
        const auto   weights = [&](int i, int h) { return values[i][h]; };
        tile.group(g, weights, panel.scale[g], panel.lowest[g]);
    }
    tile.end(out, stride);
}

// A panel times all rows: out[row * stride + panel's row].
template <class F>
void multiply(const typename F::Packed * panel, const RightSide<F> & rows, int count, float * out, size_t stride) {
    switch (count) {
        case 1: return multiply_directly<F, 1>(panel, rows, out, stride);
        case 2: return multiply_directly<F, 2>(panel, rows, out, stride);
        case 3: return multiply_directly<F, 3>(panel, rows, out, stride);
        case 4: return multiply_directly<F, 4>(panel, rows, out, stride);
    }
    static thread_local Unpacked<F> unpacked;
    for (int column = 0; column < rows.columns; column += Unpacked<F>::COLUMNS) {
        const int columns = std::min(rows.columns - column, Unpacked<F>::COLUMNS);
        unpacked.unpack(panel, column / BLOCK, columns / BLOCK);
        int row = 0;
        for (; row + TILE_ROWS <= count; row += TILE_ROWS) {
            multiply_unpacked<F, TILE_ROWS>(unpacked, rows, row, column, columns, out + row * stride, stride);
        }
        switch (count - row) {
            case 3: multiply_unpacked<F, 3>(unpacked, rows, row, column, columns, out + row * stride, stride); break;
            case 2: multiply_unpacked<F, 2>(unpacked, rows, row, column, columns, out + row * stride, stride); break;
            case 1: multiply_unpacked<F, 1>(unpacked, rows, row, column, columns, out + row * stride, stride); break;
        }
    }
}

}  // namespace webchat
