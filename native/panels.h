// Matrices of weights, rearranged so that one register holds the same columns of eight rows.
//
// A file keeps each row's numbers together, which suits one row at a time. Here sixteen rows make a panel: of every
// block of columns first what belongs to eight of them, then to the other eight; each half first their scales, then
// registers whose 32-bit lane c holds neighbouring columns of row c. A value of the right-hand side, repeated over all
// lanes, is then multiplied with eight rows at once and nothing has to be added across a register. Nothing is rounded
// anew: the integers and scales are the file's.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace webchat {

constexpr int LANES  = 8;           // rows of a register
constexpr int HALVES = 2;           // registers that are multiplied with the same value before the next is fetched
constexpr int ROWS   = LANES * HALVES;  // rows of a panel
constexpr int BLOCK  = 32;          // columns that share a scale on the right-hand side

// A format says how a weight is made of an integer: scale * (integer - OFFSET) - lowest.
//   Value:   uint8_t where eight-bit multiplication cannot overflow, int16_t otherwise
//   GROUP:   columns that share a scale
//   LARGEST: that the integer can be
//   RUN:     registers of products that fit into sixteen bits together
//   TYPE_COLUMNS: columns of the file's unit
struct Q4_K {
    using Value = uint8_t;
    static constexpr int  GROUP = 32, OFFSET = 0, LARGEST = 15, RUN = 8, TYPE_COLUMNS = 256;
    static constexpr bool LOWEST = true;
    struct Packed;
};

struct Q5_0 {
    using Value = uint8_t;
    static constexpr int  GROUP = 32, OFFSET = 16, LARGEST = 31, RUN = 4, TYPE_COLUMNS = 32;
    static constexpr bool LOWEST = false;
    struct Packed;
};

struct Q6_K {
    using Value = uint8_t;
    static constexpr int  GROUP = 16, OFFSET = 32, LARGEST = 63, RUN = 2, TYPE_COLUMNS = 256;
    static constexpr bool LOWEST = false;
    struct Packed;
};

struct Q8_0 {
    using Value = int16_t;
    static constexpr int  GROUP = 32, OFFSET = 0, LARGEST = 127, RUN = 0, TYPE_COLUMNS = 32;
    static constexpr bool LOWEST = false;
    struct Packed;
};

struct Q4_K::Packed {
    uint16_t scale[LANES], lowest[LANES];  // half precision
    uint8_t  scales[8][LANES], lowests[8][LANES];
    uint8_t  low[8][4][32];
};

struct Q5_0::Packed {
    uint16_t scale[LANES];
    uint8_t  low[4][32], high[32];
};

struct Q6_K::Packed {
    uint16_t scale[LANES];
    int8_t   scales[16][LANES];
    uint8_t  low[8][4][32], high[8][2][32];
};

struct Q8_0::Packed {
    uint16_t scale[LANES];
    int8_t   values[16][LANES][2];
};

static_assert(sizeof(Q4_K::Packed) == 32 + 128 + 1024 && sizeof(Q5_0::Packed) == 16 + 160 &&
                  sizeof(Q6_K::Packed) == 16 + 128 + 1536 && sizeof(Q8_0::Packed) == 16 + 256,
              "panels have gaps");

// 32 columns of half a panel, in registers.
//   values: eight registers of four columns each or, for int16_t, sixteen of two
//   scale:  of each group of columns
//   lowest: for formats with LOWEST
template <class F>
struct Block {
    __m256i values[BLOCK * sizeof(typename F::Value) / 4];
    __m256  scale[BLOCK / F::GROUP];
    __m256  lowest;
};

// Bytes of a matrix in panels.
template <class F>
size_t packed_size(int64_t rows, int64_t columns) {
    return rows / LANES * (columns / F::TYPE_COLUMNS) * sizeof(typename F::Packed);
}

// Turn a panel's rows as they are in a file, `stride` bytes apart, into a panel.
template <class F>
void pack(const uint8_t * rows, size_t stride, int64_t columns, typename F::Packed * panel);

namespace details {

inline __m256i load(const void * from) { return _mm256_loadu_si256(static_cast<const __m256i *>(from)); }
inline __m128i eight(const void * from) { return _mm_loadl_epi64(static_cast<const __m128i *>(from)); }
inline __m256  floats(const uint8_t * from) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight(from))); }
inline __m256  floats(const int8_t * from) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight(from))); }
inline __m256  halves(const uint16_t * from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
}

inline void low_bits(const uint8_t (&low)[4][32], __m256i (&values)[8]) {
    const __m256i nibble = _mm256_set1_epi8(15);
    for (int m = 0; m < 4; ++m) {
        const __m256i both = load(low[m]);
        values[m]          = _mm256_and_si256(both, nibble);
        values[m + 4]      = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
    }
}

// Add to bytes what `mask` keeps of `high` when its bits from FROM on are moved to 4.
template <int FROM>
inline void high_bits(__m256i & low, __m256i high, __m256i mask) {
    const __m256i moved = FROM < 4 ? _mm256_slli_epi16(high, 4 - FROM) : _mm256_srli_epi16(high, FROM - 4);
    low                 = _mm256_or_si256(low, _mm256_and_si256(moved, mask));
}

}  // namespace details

// The b-th 32 columns of half a panel.

inline Block<Q4_K> read(const Q4_K::Packed * panel, int b, int half) {
    const Q4_K::Packed & from = panel[b / 8 * HALVES + half];
    Block<Q4_K>          out;
    details::low_bits(from.low[b % 8], out.values);
    out.scale[0] = _mm256_mul_ps(details::halves(from.scale), details::floats(from.scales[b % 8]));
    out.lowest   = _mm256_mul_ps(details::halves(from.lowest), details::floats(from.lowests[b % 8]));
    return out;
}

inline Block<Q5_0> read(const Q5_0::Packed * panel, int b, int half) {
    const Q5_0::Packed & from = panel[b * HALVES + half];
    const __m256i        high = details::load(from.high), fifth = _mm256_set1_epi8(16);
    Block<Q5_0>          out;
    details::low_bits(from.low, out.values);
    details::high_bits<0>(out.values[0], high, fifth);
    details::high_bits<1>(out.values[1], high, fifth);
    details::high_bits<2>(out.values[2], high, fifth);
    details::high_bits<3>(out.values[3], high, fifth);
    details::high_bits<4>(out.values[4], high, fifth);
    details::high_bits<5>(out.values[5], high, fifth);
    details::high_bits<6>(out.values[6], high, fifth);
    details::high_bits<7>(out.values[7], high, fifth);
    out.scale[0] = details::halves(from.scale);
    return out;
}

inline Block<Q6_K> read(const Q6_K::Packed * panel, int b, int half) {
    const Q6_K::Packed & from  = panel[b / 8 * HALVES + half];
    const __m256         scale = details::halves(from.scale);
    const __m256i        upper = _mm256_set1_epi8(48);
    Block<Q6_K>          out;
    details::low_bits(from.low[b % 8], out.values);
    for (int g = 0; g < 2; ++g) {
        const __m256i bits = details::load(from.high[b % 8][g]);
        __m256i *     v    = out.values + 4 * g;
        details::high_bits<0>(v[0], bits, upper);
        details::high_bits<2>(v[1], bits, upper);
        details::high_bits<4>(v[2], bits, upper);
        details::high_bits<6>(v[3], bits, upper);
        out.scale[g] = _mm256_mul_ps(scale, details::floats(from.scales[b % 8 * 2 + g]));
    }
    return out;
}

inline Block<Q8_0> read(const Q8_0::Packed * panel, int b, int half) {
    const Q8_0::Packed & from = panel[b * HALVES + half];
    Block<Q8_0>          out;
#pragma GCC unroll 16
    for (int pair = 0; pair < BLOCK / 2; ++pair) {
        out.values[pair] = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from.values[pair])));
    }
    out.scale[0] = details::halves(from.scale);
    return out;
}

}  // namespace webchat
