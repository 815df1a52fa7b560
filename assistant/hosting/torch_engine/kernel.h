// What the parts of the kernel share: `products.c` multiplies, `blocks.c` goes through the layers of a decoder, `attention.c`
// is what lies between two of its calls, `threads.c` shares the work out.  For cores with AVX-512 VNNI.  Every row is computed as if it were alone, to the last bit, by
// however many threads, but for `block_attend_all`.

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

// Weights in 8 or 4 bits, in the order that `products.c` describes.
typedef struct {
    int64_t inputs, outputs, bits;
    const int8_t *weight;
    const float *scale;
    const int32_t *offsets;
    const float *bias;
} layer;

// y [rows, outputs] = x [rows, inputs] times the layer; inputs must be a multiple of 4.  0, or 1 where memory ran out.
int product(int64_t rows, const float *x, const layer *l, float *y);

// Do `work` on the items from 0 to `count`, `grain` of them at a time, by as many threads as were asked for.
typedef void (*share)(void *job, int64_t from, int64_t to);
void spread(share work, void *job, int64_t count, int64_t grain);

// Memory of this thread that lasts until the same one is asked for again; NULL where there is none.
enum { STEPS, ROUNDED, SUMS, PANELS, NORMED, PROJECTED, WIDE, INNER, ADDED, SCORES, QUERIES, ROOMS };
void *room(int which, int64_t size);

// The lanes of a vector of 16 that are there where `left` numbers are left.
static inline __mmask16 lanes(int64_t left) {
    return left >= 16 ? 0xffff : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
}

// Sums must stay in registers, which they do only where every loop over them is unrolled.
#define EACH(NAME, COUNT) _Pragma("GCC unroll 16") for (int NAME = 0; NAME < COUNT; NAME++)

// centred: whether the mean is taken away (LayerNorm); else the root mean square alone counts.
typedef struct {
    const float *weight, *bias;
    float epsilon;
    int32_t centred;
} norm;

// up: the gate and what it opens side by side where `gated` (SiLU), else one layer (GELU by tanh).  window: 0 sees all.
typedef struct {
    norm before, between;
    const layer *qkv, *out, *up, *down;
    int64_t gated, heads, shared, size, window;
    float scale;
} block;

static inline __m512 exponential(__m512 x) {
    x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-87.0f)), _mm512_set1_ps(88.0f));
    __m512 whole = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
    __m512 rest = _mm512_fnmadd_ps(whole, _mm512_set1_ps(0.693359375f), x);
    rest = _mm512_fnmadd_ps(whole, _mm512_set1_ps(-2.12194440e-4f), rest);
    static const float terms[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    __m512 sum = _mm512_set1_ps(1.0f / 5040);
    EACH(i, 7) sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(terms[i]));
    return _mm512_scalef_ps(sum, whole);
}
