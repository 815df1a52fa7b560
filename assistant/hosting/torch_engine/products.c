// x W^T + b for float x and integer W: activations are rounded to 8 bits, one scale for each row.
//
// In 8 bits, weights lie in panels of 64 outputs: for every four inputs 4 x 16 outputs x 4 inputs, so that a product with one row
// reads memory from end to end.  Activations are made unsigned by adding 128; `offsets` holds 128 times the sum of each output's
// weights.
//
// In 4 bits, a weight is the integer m (q - 8) + z, with q from 0 to 15 and m and z for every group of 32 inputs: a number of 8
// bits again, so that both products are exact and one `scale` an output is all that is not an integer.  A panel holds for every
// group 64 pairs of m and z, then 4 x 4 x 16 x 4 bytes: eight inputs of 64 outputs, the first four in the low halves of bytes.
// A few rows multiply q and the signed activations; for more, a panel is turned into 8 bits first.
//
// Nothing is asked for ahead: the processor does that better, as long as pages are large.

#include "kernel.h"

#define PANEL 64
#define GROUP 32
#define GROUP_BYTES (PANEL * 2 + PANEL * GROUP / 2)
#define DIRECT 18 // rows that are multiplied by 4 bits as they lie

static __thread void *held[ROOMS];
static __thread int64_t held_size[ROOMS];

void *room(int which, int64_t size) {
    if (size > held_size[which]) {
        free(held[which]);
        held[which] = aligned_alloc(64, (size + 63) / 64 * 64);
        held_size[which] = held[which] ? size : 0;
    }
    return held[which];
}

// A row as bytes, filled up to `stride` of them with what stands for 0: 128, or 0 where they are signed.
static float rounded(const float *x, uint8_t *to, int64_t inputs, int64_t stride, int zero) {
    __m512 most = _mm512_setzero_ps();
    for (int64_t i = 0; i < inputs; i += 16)
        most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(lanes(inputs - i), x + i)));
    float largest = _mm512_reduce_max_ps(most);
    if (!(largest >= 1e-30f)) largest = 1e-30f;
    __m512 step = _mm512_set1_ps(127.0f / largest);
    for (int64_t i = 0; i < stride; i += 16) {
        __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(lanes(inputs - i), x + i), step));
        _mm_storeu_si128((void *)(to + i), _mm512_cvtepi32_epi8(_mm512_add_epi32(whole, _mm512_set1_epi32(zero))));
    }
    return largest / 127.0f;
}

static inline void put(__m512i sum, const layer *l, const int32_t *offsets, float step, int64_t from, float *y) {
    __mmask16 mask = lanes(l->outputs - from);
    if (offsets) sum = _mm512_sub_epi32(sum, _mm512_maskz_loadu_epi32(mask, offsets + from));
    __m512 scale = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, l->scale + from), _mm512_set1_ps(step));
    __m512 out = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
    if (l->bias) out = _mm512_add_ps(out, _mm512_maskz_loadu_ps(mask, l->bias + from));
    _mm512_mask_storeu_ps(y + from, mask, out);
}

// One panel of 8 bits and ROWS rows: ROWS x 4 sums.
#define ROWS_OF(ROWS)                                                                                                    \
    static void rows_##ROWS(const layer *l, const int8_t *w, int64_t length, const uint8_t *a, int64_t stride,           \
                            const float *steps, int64_t from, float *y) {                                                \
        __m512i sum[ROWS][4];                                                                                            \
        EACH(r, ROWS) EACH(j, 4) sum[r][j] = _mm512_setzero_si512();                                                     \
        for (int64_t k = 0; k < length; k += 4, w += 256) {                                                              \
            __m512i some[4];                                                                                             \
            EACH(j, 4) some[j] = _mm512_loadu_si512(w + 64 * j);                                                         \
            EACH(r, ROWS) {                                                                                              \
                __m512i four = _mm512_set1_epi32(*(const int32_t *)(a + r * stride + k));                                \
                EACH(j, 4) sum[r][j] = _mm512_dpbusd_epi32(sum[r][j], four, some[j]);                                    \
            }                                                                                                            \
        }                                                                                                                \
        EACH(r, ROWS) EACH(j, 4) put(sum[r][j], l, l->offsets, steps[r], from + 16 * j, y + r * l->outputs);             \
    }

ROWS_OF(1)
ROWS_OF(2)
ROWS_OF(3)
ROWS_OF(4)
ROWS_OF(5)
ROWS_OF(6)

// The pairs of m and z of 16 outputs, 16 bits each.
static inline __m512i pairs(const int8_t *group, int j) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)(group + 32 * j)));
}

static inline __m512i low(__m512i bytes) { return _mm512_and_si512(bytes, _mm512_set1_epi8(15)); }

static inline __m512i high(__m512i bytes) { return low(_mm512_srli_epi16(bytes, 4)); }

// One panel of 4 bits and ROWS rows.  A group's sum of (q - 8) x fits into 16 bits; so m times it and z times the sum of x are one
// instruction.
#define DIRECT_OF(ROWS)                                                                                                  \
    static void direct_##ROWS(const layer *l, const int8_t *w, int64_t stride, const int8_t *a, const int32_t *sums,     \
                              const float *steps, int64_t from, float *y) {                                              \
        __m512i all[ROWS][4];                                                                                            \
        EACH(r, ROWS) EACH(j, 4) all[r][j] = _mm512_setzero_si512();                                                     \
        for (int64_t k = 0; k < stride; k += GROUP, w += GROUP_BYTES) {                                                  \
            __m512i sum[ROWS][4];                                                                                        \
            EACH(r, ROWS) EACH(j, 4) sum[r][j] = _mm512_set1_epi32(-8 * sums[(r * stride + k) / GROUP]);                 \
            EACH(p, 4) EACH(j, 4) {                                                                                      \
                __m512i both = _mm512_loadu_si512(w + 2 * PANEL + 256 * p + 64 * j);                                     \
                EACH(r, ROWS) {                                                                                          \
                    const int32_t *fours = (const int32_t *)(a + r * stride + k + 8 * p);                                \
                    sum[r][j] = _mm512_dpbusd_epi32(sum[r][j], low(both), _mm512_set1_epi32(fours[0]));                  \
                    sum[r][j] = _mm512_dpbusd_epi32(sum[r][j], high(both), _mm512_set1_epi32(fours[1]));                 \
                }                                                                                                        \
            }                                                                                                            \
            EACH(r, ROWS) {                                                                                              \
                __m512i whole = _mm512_set1_epi32(sums[(r * stride + k) / GROUP] * 65536);                               \
                EACH(j, 4)                                                                                               \
                all[r][j] = _mm512_dpwssd_epi32(all[r][j], _mm512_mask_blend_epi16(0xaaaaaaaa, sum[r][j], whole),        \
                                                pairs(w, j));                                                            \
            }                                                                                                            \
        }                                                                                                                \
        EACH(r, ROWS) EACH(j, 4) put(all[r][j], l, 0, steps[r], from + 16 * j, y + r * l->outputs);                      \
    }

DIRECT_OF(1)
DIRECT_OF(2)
DIRECT_OF(3)

// m q + (z - 8 m), byte by byte; m q is 255 at most.
static inline __m512i weights(__m512i q, __m512i m, __m512i rest) {
    const __m512i even = _mm512_set1_epi16(255);
    __m512i evens = _mm512_mullo_epi16(_mm512_and_si512(q, even), m);
    __m512i odds = _mm512_mullo_epi16(_mm512_andnot_si512(even, q), m);
    return _mm512_add_epi8(_mm512_or_si512(evens, odds), rest);
}

// A panel of 4 bits in 8 bits.
static void unpack(const int8_t *w, int64_t length, int8_t *to) {
    const __m512i first = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
    for (int64_t k = 0; k < length; k += GROUP, w += GROUP_BYTES, to += PANEL * GROUP) {
        EACH(j, 4) {
            __m512i both = pairs(w, j), m = _mm512_shufflehi_epi16(_mm512_shufflelo_epi16(both, 0xa0), 0xa0);
            __m512i z = _mm512_srai_epi32(both, 16);
            __m512i rest = _mm512_sub_epi32(z, _mm512_slli_epi32(_mm512_and_si512(both, _mm512_set1_epi32(0xffff)), 3));
            rest = _mm512_shuffle_epi8(rest, first);
            EACH(p, 4) {
                __m512i q = _mm512_loadu_si512(w + 2 * PANEL + 256 * p + 64 * j);
                _mm512_storeu_si512(to + 512 * p + 64 * j, weights(low(q), m, rest));
                _mm512_storeu_si512(to + 512 * p + 256 + 64 * j, weights(high(q), m, rest));
            }
        }
    }
}

static int64_t filled_up(const layer *l) { return (l->inputs + GROUP - 1) / GROUP * GROUP; }

// A panel in 8 bits: as it lies, or unpacked into `to`.
static const int8_t *panel_of(const layer *l, int64_t panel, int8_t *to) {
    if (l->bits == 8) return l->weight + panel * PANEL * l->inputs;
    unpack(l->weight + panel * filled_up(l) / GROUP * GROUP_BYTES, filled_up(l), to);
    return to;
}

// What unsigned activations add to each output: 128 times the sum of its weights, one number for every output.
int offsets(const layer *l, int32_t *to) {
    int64_t length = l->bits == 8 ? l->inputs : filled_up(l);
    int8_t *unpacked = room(PANELS, PANEL * length);
    if (!unpacked) return 1;
    for (int64_t panel = 0; panel * PANEL < l->outputs; panel++) {
        const int8_t *w = panel_of(l, panel, unpacked);
        EACH(j, 4) {
            __m512i sum = _mm512_setzero_si512();
            for (int64_t k = 0; k < length; k += 4)
                sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8((char)128), _mm512_loadu_si512(w + 64 * k + 64 * j));
            int64_t from = panel * PANEL + 16 * j;
            _mm512_mask_storeu_epi32(to + from, lanes(l->outputs - from), sum);
        }
    }
    return 0;
}

// One product: rounded activations `a`, or signed ones and the `sums` of their groups.
typedef struct {
    const layer *l;
    int64_t rows, stride;
    const float *x;
    float *steps, *y;
    uint8_t *a;
    int32_t *sums;
    int failed;
} call;

static void round_rows(void *of, int64_t from, int64_t to) {
    call *c = of;
    for (int64_t r = from; r < to; r++) {
        const int8_t *a = (const int8_t *)c->a + r * c->stride;
        c->steps[r] = rounded(c->x + r * c->l->inputs, c->a + r * c->stride, c->l->inputs, c->stride, c->sums ? 0 : 128);
        for (int64_t k = 0; c->sums && k < c->stride; k += GROUP) {
            __m256i group = _mm256_loadu_si256((const void *)(a + k));
            __m256i fours = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), group);
            c->sums[(r * c->stride + k) / GROUP] = _mm512_reduce_add_epi32(_mm512_zextsi256_si512(fours));
        }
    }
}

static void direct(void *of, int64_t panel, int64_t end) {
    call *c = of;
    int64_t stride = c->stride;
    for (; panel < end; panel++)
        for (int64_t r = 0; r < c->rows; r += 3)
            (c->rows - r == 1 ? direct_1 : c->rows - r == 2 ? direct_2 : direct_3)(
                c->l, c->l->weight + panel * stride / GROUP * GROUP_BYTES, stride, (const int8_t *)c->a + r * stride,
                c->sums + r * stride / GROUP, c->steps + r, panel * PANEL, c->y + r * c->l->outputs);
}

typedef void (*some)(const layer *, const int8_t *, int64_t, const uint8_t *, int64_t, const float *, int64_t, float *);

static void in_eight_bits(void *of, int64_t panel, int64_t end) {
    static const some few[] = {0, rows_1, rows_2, rows_3, rows_4, rows_5, rows_6};
    call *c = of;
    const layer *l = c->l;
    int64_t stride = c->stride, length = l->bits == 8 ? l->inputs : stride;
    int8_t *unpacked = room(PANELS, PANEL * stride);
    if (!unpacked) c->failed = 1;
    for (; unpacked && panel < end; panel++) {
        const int8_t *w = panel_of(l, panel, unpacked);
        for (int64_t r = 0; r < c->rows; r += 6) {
            int64_t left = c->rows - r;
            few[left < 6 ? left : 6](
                l, w, length, c->a + r * stride, stride, c->steps + r, panel * PANEL, c->y + r * l->outputs);
        }
    }
}

int product(int64_t rows, const float *x, const layer *l, float *y) {
    int64_t stride = filled_up(l), panels = (l->outputs + PANEL - 1) / PANEL;
    int directly = l->bits == 4 && rows <= DIRECT;
    call c = {l, rows, stride, x, room(STEPS, rows * sizeof(float)), y, room(ROUNDED, rows * stride), 0, 0};
    if (directly) c.sums = room(SUMS, rows * stride / GROUP * sizeof(int32_t));
    if (!c.steps || !c.a || (directly && !c.sums)) return 1;
    spread(round_rows, &c, rows, 8);
    spread(directly ? direct : in_eight_bits, &c, panels, panels < 64 ? 2 : 8);
    return c.failed;
}
