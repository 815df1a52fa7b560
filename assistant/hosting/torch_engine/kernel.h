// What the parts of the kernel share: `products.c` multiplies, `blocks.c` goes through the layers of a decoder, `threads.c` shares
// the work out.  For cores with AVX-512 VNNI.  Every row is computed as if it were alone, to the last bit, by however many threads.

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
enum { STEPS, ROUNDED, SUMS, PANELS, NORMED, PROJECTED, WIDE, INNER, ADDED, SCORES, ROOMS };
void *room(int which, int64_t size);

// The lanes of a vector of 16 that are there where `left` numbers are left.
static inline __mmask16 lanes(int64_t left) {
    return left >= 16 ? 0xffff : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
}

// Sums must stay in registers, which they do only where every loop over them is unrolled.
#define EACH(NAME, COUNT) _Pragma("GCC unroll 16") for (int NAME = 0; NAME < COUNT; NAME++)
