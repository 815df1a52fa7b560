// x W^T + b for float x and int8 W, on one core with AVX-512 VNNI: activations are rounded to 8 bits, one scale for each row.
//
// Weights lie in panels of 64 outputs: for every four inputs 4 x 16 outputs x 4 inputs, so that a product with one row reads
// memory from end to end.  Activations are made unsigned by adding 128; `offsets` holds 128 times the sum of each output's weights.

#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>

#define PANEL 64
#define AHEAD 4096 // bytes of weights that are asked for before they are needed

static __thread uint8_t *held;
static __thread int64_t held_size;

typedef struct {
    int64_t inputs, outputs;
    const int8_t *weight;
    const float *scale;
    const int32_t *offsets;
    const float *bias;
} layer;

static float rounded(const float *x, uint8_t *to, int64_t inputs) {
    __m512 most = _mm512_setzero_ps();
    for (int64_t i = 0; i < inputs; i += 16) {
        __mmask16 mask = inputs - i < 16 ? (1u << (inputs - i)) - 1 : 0xffff;
        most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(mask, x + i)));
    }
    float largest = _mm512_reduce_max_ps(most);
    if (!(largest >= 1e-30f)) largest = 1e-30f;
    __m512 step = _mm512_set1_ps(127.0f / largest);
    for (int64_t i = 0; i < inputs; i += 16) {
        __mmask16 mask = inputs - i < 16 ? (1u << (inputs - i)) - 1 : 0xffff;
        __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), step));
        _mm_mask_storeu_epi8(to + i, mask, _mm512_cvtepi32_epi8(_mm512_add_epi32(whole, _mm512_set1_epi32(128))));
    }
    return largest / 127.0f;
}

static inline void put(__m512i sum, const layer *l, float step, int64_t from, float *y) {
    if (from >= l->outputs) return;
    __mmask16 mask = l->outputs - from < 16 ? (1u << (l->outputs - from)) - 1 : 0xffff;
    sum = _mm512_sub_epi32(sum, _mm512_maskz_loadu_epi32(mask, l->offsets + from));
    __m512 scale = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, l->scale + from), _mm512_set1_ps(step));
    __m512 out = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
    if (l->bias) out = _mm512_add_ps(out, _mm512_maskz_loadu_ps(mask, l->bias + from));
    _mm512_mask_storeu_ps(y + from, mask, out);
}

// Sums must stay in registers, which they do only where every loop over them is unrolled.
#define EACH(NAME, COUNT) _Pragma("GCC unroll 8") for (int NAME = 0; NAME < COUNT; NAME++)

// One panel and ROWS rows: ROWS x 4 sums.
#define ROWS_OF(ROWS)                                                                                                    \
    static void rows_##ROWS(const layer *l, const uint8_t *a, const float *steps, int64_t panel, float *y) {             \
        const int8_t *w = l->weight + panel * PANEL * l->inputs;                                                         \
        __m512i sum[ROWS][4];                                                                                            \
        EACH(r, ROWS) EACH(j, 4) sum[r][j] = _mm512_setzero_si512();                                                     \
        for (int64_t k = 0; k < l->inputs; k += 4, w += 256) {                                                           \
            __m512i some[4];                                                                                             \
            EACH(j, 4) some[j] = _mm512_loadu_si512(w + 64 * j);                                                         \
            if (ROWS <= 2) EACH(j, 4) _mm_prefetch((const char *)w + AHEAD + 64 * j, _MM_HINT_T0);                       \
            EACH(r, ROWS) {                                                                                              \
                __m512i four = _mm512_set1_epi32(*(const int32_t *)(a + r * l->inputs + k));                             \
                EACH(j, 4) sum[r][j] = _mm512_dpbusd_epi32(sum[r][j], four, some[j]);                                    \
            }                                                                                                            \
        }                                                                                                                \
        EACH(r, ROWS) EACH(j, 4) put(sum[r][j], l, steps[r], panel * PANEL + 16 * j, y + r * l->outputs);                \
    }

ROWS_OF(1)
ROWS_OF(2)
ROWS_OF(3)
ROWS_OF(4)
ROWS_OF(5)
ROWS_OF(6)

// What unsigned activations add to each output: 128 times the sum of its weights, one number for every output.
void int8_offsets(const layer *l, int32_t *to) {
    for (int64_t from = 0; from < l->outputs; from += 16) {
        const int8_t *w = l->weight + from / PANEL * PANEL * l->inputs + from % PANEL * 4;
        __m512i sum = _mm512_setzero_si512();
        for (int64_t k = 0; k < l->inputs; k += 4, w += 256)
            sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8((char)128), _mm512_loadu_si512(w));
        __mmask16 mask = l->outputs - from < 16 ? (1u << (l->outputs - from)) - 1 : 0xffff;
        _mm512_mask_storeu_epi32(to + from, mask, sum);
    }
}

typedef void (*some)(const layer *, const uint8_t *, const float *, int64_t, float *);

// y [rows, outputs] = x [rows, inputs] times the layer; inputs must be a multiple of 4.  0, or 1 where memory ran out.
int int8_product(int64_t rows, const float *x, const layer *l, float *y) {
    static const some few[] = {0, rows_1, rows_2, rows_3, rows_4, rows_5, rows_6};
    int64_t size = rows * (l->inputs + sizeof(float));
    if (size > held_size) {
        free(held);
        held = malloc(size);
        held_size = held ? size : 0;
        if (!held) return 1;
    }
    float *steps = (float *)held;
    uint8_t *a = held + rows * sizeof(float);
    for (int64_t r = 0; r < rows; r++) steps[r] = rounded(x + r * l->inputs, a + r * l->inputs, l->inputs);
    for (int64_t panel = 0; panel * PANEL < l->outputs; panel++)
        for (int64_t r = 0; r < rows; r += 6)
            few[rows - r < 6 ? rows - r : 6](l, a + r * l->inputs, steps + r, panel, y + r * l->outputs);
    return 0;
}
