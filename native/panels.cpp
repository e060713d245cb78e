#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)  // others compute with what llama.cpp has for them

#include "panels.h"

#include <cstring>

#define GGML_COMMON_DECL_C
#include "ggml-common.h"

namespace webchat {
namespace {

using Registers = uint8_t[8][32];  // 32 columns of eight rows: register j has columns 4j to 4j + 3

// The b-th unit of the c-th of some rows in a file.
template <class Unit>
const Unit & unit(const uint8_t * rows, size_t stride, int c, int64_t b) {
    return reinterpret_cast<const Unit *>(rows + c * stride)[b];
}

void interleave(int c, const uint8_t (&values)[BLOCK], Registers & registers) {
    for (int j = 0; j < 8; ++j) {
        memcpy(&registers[j][4 * c], &values[4 * j], 4);
    }
}

void pack_low(const Registers & registers, uint8_t (&low)[4][32]) {
    for (int m = 0; m < 4; ++m) {
        for (int i = 0; i < 32; ++i) {
            low[m][i] = (registers[m][i] & 15) | (registers[m + 4][i] << 4);
        }
    }
}

// `count` registers' bits from the fourth on, `width` of each byte.
void pack_high(const uint8_t (*registers)[32], int count, int width, uint8_t (&high)[32]) {
    for (int i = 0; i < 32; ++i) {
        high[i] = 0;
        for (int j = 0; j < count; ++j) {
            high[i] |= (registers[j][i] >> 4) << (j * width);
        }
    }
}

// Q5_0: 32 columns of sixteenths, a fifth bit for each, one scale.

void pack(const uint8_t * rows, size_t stride, int64_t b, Q5_0::Packed & out) {
    Registers registers;
    for (int c = 0; c < LANES; ++c) {
        const auto & from = unit<block_q5_0>(rows, stride, c, b);
        uint32_t     fifth;
        memcpy(&fifth, from.qh, sizeof fifth);
        uint8_t values[BLOCK];
        for (int i = 0; i < 16; ++i) {
            values[i]      = (from.qs[i] & 15) | ((fifth >> i & 1) << 4);
            values[i + 16] = (from.qs[i] >> 4) | ((fifth >> (i + 16) & 1) << 4);
        }
        out.scale[c] = from.d;
        interleave(c, values, registers);
    }
    pack_low(registers, out.low);
    pack_high(registers, 8, 1, out.high);
}

// Q8_0: 32 columns of bytes, one scale. Two of each row at a time, for they are multiplied in sixteen bits.

void pack(const uint8_t * rows, size_t stride, int64_t b, Q8_0::Packed & out) {
    for (int c = 0; c < LANES; ++c) {
        const auto & from = unit<block_q8_0>(rows, stride, c, b);
        out.scale[c]      = from.d;
        for (int i = 0; i < BLOCK; ++i) {
            out.values[i / 2][c][i % 2] = from.qs[i];
        }
    }
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
            uint8_t values[BLOCK];
            for (int i = 0; i < BLOCK; ++i) {
                values[i] = from.qs[g / 2 * 32 + i] >> (g % 2 * 4) & 15;
            }
            interleave(c, values, registers[g]);
        }
    }
    for (int g = 0; g < 8; ++g) {
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
            const int half = part / 4, turn = part % 4;
            uint8_t   values[BLOCK];
            for (int i = 0; i < BLOCK; ++i) {
                const int low  = from.ql[half * 64 + turn % 2 * 32 + i] >> (turn / 2 * 4) & 15;
                const int high = from.qh[half * 32 + i] >> (turn * 2) & 3;
                values[i]      = static_cast<uint8_t>(low | high << 4);
            }
            interleave(c, values, registers[part]);
        }
    }
    for (int part = 0; part < 8; ++part) {
        pack_low(registers[part], out.low[part]);
        pack_high(registers[part], 4, 2, out.high[part][0]);
        pack_high(registers[part] + 4, 4, 2, out.high[part][1]);
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
