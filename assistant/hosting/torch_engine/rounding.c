// Weights in floats to integers of 4 bits: what `int4.py` says, 32 numbers at a time.  And integers into panels.

#include "kernel.h"

typedef struct {
    __m512 low, high;
} pair;

static inline __m512 nearest(__m512 x) { return _mm512_roundscale_ps(x, 0); }

static inline __m512 clamped(__m512 x) { return _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-8)), _mm512_set1_ps(7)); }

// Codes of a group whose numbers lie `m` apart around `z`; the squared error.
static inline float coded(pair group, float m, float z, pair *codes) {
    __m512 step = _mm512_set1_ps(m), zero = _mm512_set1_ps(z);
    group.low = _mm512_sub_ps(group.low, zero), group.high = _mm512_sub_ps(group.high, zero);
    codes->low = clamped(nearest(_mm512_div_ps(group.low, step)));
    codes->high = clamped(nearest(_mm512_div_ps(group.high, step)));
    __m512 low = _mm512_fnmadd_ps(codes->low, step, group.low), high = _mm512_fnmadd_ps(codes->high, step, group.high);
    return _mm512_reduce_add_ps(_mm512_fmadd_ps(low, low, _mm512_mul_ps(high, high)));
}

// 32 numbers of a group, in steps of the output, to 16 bytes and a pair of m and z: the best of three widths.
static void group_of(pair group, uint8_t *to, int8_t *steps) {
    float least = _mm512_reduce_min_ps(_mm512_min_ps(group.low, group.high));
    float most = _mm512_reduce_max_ps(_mm512_max_ps(group.low, group.high));
    float spanning = __builtin_rintf((most - least) / 15), best = INFINITY;
    pair codes = group;
    for (int more = 0; more < 3; more++) {
        pair some;
        float m = fminf(fmaxf(spanning + (more == 1 ? -1 : more == 2), 1), 17);
        float z = fminf(fmaxf(__builtin_rintf((least + most) / 2 + m / 2), 8 * m - 128), 127 - 7 * m);
        float error = coded(group, m, z, &some);
        if (error < best) best = error, codes = some, steps[0] = (int8_t)m, steps[1] = (int8_t)z;
    }
    uint64_t eights[4];
    const __m512i up = _mm512_set1_epi32(8);
    _mm_storeu_si128((void *)eights, _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(codes.low), up)));
    _mm_storeu_si128((void *)(eights + 2), _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(codes.high), up)));
    for (int i = 0; i < 4; i++) ((uint32_t *)to)[i] = (uint32_t)eights[i] | (uint32_t)(eights[i] >> 32) << 4;
}

typedef struct {
    int64_t inputs;
    const float *x;
    uint8_t *codes;
    int8_t *steps;
    float *scale;
} weights;

static void round_outputs(void *of, int64_t from, int64_t to) {
    weights *w = of;
    int64_t groups = (w->inputs + 31) / 32;
    for (int64_t o = from; o < to; o++) {
        const float *x = w->x + o * w->inputs;
        __m512 most = _mm512_set1_ps(1e-30f);
        for (int64_t i = 0; i < w->inputs; i += 16)
            most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(lanes(w->inputs - i), x + i)));
        __m512 scale = _mm512_set1_ps(w->scale[o] = _mm512_reduce_max_ps(most) / 127);
        for (int64_t g = 0; g < groups; g++) {
            int64_t left = w->inputs - 32 * g;
            pair group = {_mm512_div_ps(_mm512_maskz_loadu_ps(lanes(left), x + 32 * g), scale),
                          _mm512_div_ps(_mm512_maskz_loadu_ps(lanes(left - 16), x + 32 * g + 16), scale)};
            group_of(group, w->codes + (o * groups + g) * 16, w->steps + (o * groups + g) * 2);
        }
    }
}

// x [outputs, inputs] to codes [outputs, groups, 16], steps [outputs, groups, 2] and scale [outputs].
void quarters(int64_t outputs, int64_t inputs, const float *x, uint8_t *codes, int8_t *steps, float *scale) {
    weights w = {inputs, x, codes, steps, scale};
    spread(round_outputs, &w, outputs, 16);
}

typedef struct {
    int64_t outputs, run, blocks, gap;
    const int32_t *from;
    int32_t *to;
} packing;

static void pack_panels(void *of, int64_t panel, int64_t end) {
    packing *p = of;
    for (; panel < end; panel++)
        for (int64_t block = 0; block < p->blocks; block++) {
            int32_t *to = p->to + (panel * p->blocks + block) * (p->gap + p->run * 64) + p->gap;
            for (int64_t f = 0; f < p->run; f++)
                for (int64_t o = 0; o < 64; o++)
                    to[f * 64 + o] =
                        panel * 64 + o < p->outputs ? p->from[((panel * 64 + o) * p->blocks + block) * p->run + f] : 0;
        }
}

// Four bytes at a time, from [outputs, blocks, run] to panels of 64 outputs; `gap` such places are left before each block.
void packed(int64_t outputs, int64_t blocks, int64_t run, int64_t gap, const int32_t *from, int32_t *to) {
    packing p = {outputs, run, blocks, gap, from, to};
    spread(pack_panels, &p, (outputs + 63) / 64, 8);
}
