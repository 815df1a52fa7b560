// The layers of a decoder between, and with, their products: three calls for each layer, however many rows.

#include "kernel.h"

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

static __m512 exponential(__m512 x) {
    x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-87.0f)), _mm512_set1_ps(88.0f));
    __m512 whole = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
    __m512 rest = _mm512_fnmadd_ps(whole, _mm512_set1_ps(0.693359375f), x);
    rest = _mm512_fnmadd_ps(whole, _mm512_set1_ps(-2.12194440e-4f), rest);
    static const float terms[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    __m512 sum = _mm512_set1_ps(1.0f / 5040);
    EACH(i, 7) sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(terms[i]));
    return _mm512_scalef_ps(sum, whole);
}

// x / (1 + exp(-of)).
static __m512 times_sigmoid(__m512 x, __m512 of) {
    __m512 e = exponential(_mm512_sub_ps(_mm512_setzero_ps(), of));
    return _mm512_div_ps(x, _mm512_add_ps(e, _mm512_set1_ps(1)));
}

static void normed(const norm *n, int64_t size, const float *x, float *y) {
    __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
    if (n->centred)
        for (int64_t i = 0; i < size; i += 16) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes(size - i), x + i));
    __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / size);
    for (int64_t i = 0; i < size; i += 16) {
        __m512 part = _mm512_maskz_sub_ps(lanes(size - i), _mm512_maskz_loadu_ps(lanes(size - i), x + i), mean);
        squares = _mm512_fmadd_ps(part, part, squares);
    }
    __m512 least = _mm512_set1_ps(_mm512_reduce_add_ps(squares) / size + n->epsilon);
    __m512 step = _mm512_div_ps(_mm512_set1_ps(1), _mm512_sqrt_ps(least));
    for (int64_t i = 0; i < size; i += 16) {
        __mmask16 mask = lanes(size - i);
        __m512 part = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), mean), step);
        part = _mm512_mul_ps(part, _mm512_maskz_loadu_ps(mask, n->weight + i));
        if (n->bias) part = _mm512_add_ps(part, _mm512_maskz_loadu_ps(mask, n->bias + i));
        _mm512_mask_storeu_ps(y + i, mask, part);
    }
}

typedef struct {
    const norm *n;
    const block *b;
    int64_t size;
    const float *x;
    float *y;
} rows_of;

static void norm_rows(void *of, int64_t from, int64_t to) {
    rows_of *o = of;
    for (int64_t r = from; r < to; r++) normed(o->n, o->size, o->x + r * o->size, o->y + r * o->size);
}

static int of_normed(const norm *n, int64_t rows, const float *x, const layer *l, float *y) {
    rows_of o = {n, 0, l->inputs, x, room(NORMED, rows * l->inputs * sizeof(float))};
    if (!o.y) return 1;
    spread(norm_rows, &o, rows, 16);
    return product(rows, o.y, l, y);
}

// The end of the network: y = head(norm(x)).
int block_head(const block *b, int64_t rows, const float *x, float *y) { return of_normed(&b->before, rows, x, b->out, y); }

// A head turned by its position's angles; the first half of the sines is negated.  NULL: as it is.
static void turned(int64_t size, const float *x, const float *cosines, const float *sines, float *y) {
    int64_t half = size / 2;
    if (!cosines)
        for (int64_t i = 0; i < size; i++) y[i] = x[i];
    else
        for (int64_t i = 0; i < half; i++) {
            float one = x[i] * cosines[i] + x[i + half] * sines[i];
            y[i + half] = x[i + half] * cosines[i + half] + x[i] * sines[i + half];
            y[i] = one;
        }
}

// Queries [rows, heads, size] of x [rows, inputs]; keys and values go behind the `start` that a cache [shared, capacity, size] holds.
int block_project(const block *b, int64_t rows, const float *x, const float *cosines, const float *sines, float *queries,
                  float *keys, float *values, int64_t capacity, int64_t start) {
    int64_t size = b->size, width = b->qkv->outputs;
    float *all = room(PROJECTED, rows * width * sizeof(float));
    if (!all || of_normed(&b->before, rows, x, b->qkv, all)) return 1;
    for (int64_t r = 0; r < rows; r++) {
        const float *from = all + r * width, *c = cosines ? cosines + r * size : 0, *s = sines ? sines + r * size : 0;
        for (int64_t h = 0; h < b->heads; h++) turned(size, from + h * size, c, s, queries + (r * b->heads + h) * size);
        for (int64_t h = 0; h < b->shared; h++) {
            int64_t to = (h * capacity + start + r) * size;
            turned(size, from + (b->heads + h) * size, c, s, keys + to);
            turned(size, from + (b->heads + b->shared + h) * size, 0, 0, values + to);
        }
    }
    return 0;
}

// The sums of 16 vectors, in their order.
static __m512 sums(__m512 *v) {
    EACH(i, 8) v[i] = _mm512_add_ps(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
    EACH(i, 4) {
        __m512d one = _mm512_castps_pd(v[2 * i]), two = _mm512_castps_pd(v[2 * i + 1]);
        v[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(one, two)), _mm512_castpd_ps(_mm512_unpackhi_pd(one, two)));
    }
    EACH(i, 2)
    v[i] = _mm512_add_ps(_mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0x88), _mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_f32x4(v[0], v[1], 0x88), _mm512_shuffle_f32x4(v[0], v[1], 0xdd));
}

// Products of `group` queries with `count` keys, to [group, count]; 16 keys at a time, which then lie in the nearest cache.
static void scored(int64_t group, int64_t size, const float *queries, const float *keys, int64_t count, float scale, float *to) {
    for (int64_t t = 0; t < count; t += 16) {
        int64_t at[16];
        EACH(i, 16) at[i] = (t + i < count ? t + i : count - 1) * size;
        for (int64_t g = 0; g < group; g++) {
            __m512 v[16];
            EACH(i, 16) v[i] = _mm512_setzero_ps();
            for (int64_t c = 0; c < size; c += 16) {
                __mmask16 mask = lanes(size - c);
                __m512 query = _mm512_maskz_loadu_ps(mask, queries + g * size + c);
                EACH(i, 16) v[i] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, keys + at[i] + c), query, v[i]);
            }
            _mm512_mask_storeu_ps(to + g * count + t, lanes(count - t), _mm512_mul_ps(sums(v), _mm512_set1_ps(scale)));
        }
    }
}

// Scores to exp(score - the largest); 1 over their sum.
static float softened(float *scores, int64_t count) {
    __m512 most = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps();
    for (int64_t t = 0; t < count; t += 16)
        most = _mm512_mask_max_ps(most, lanes(count - t), most, _mm512_maskz_loadu_ps(lanes(count - t), scores + t));
    most = _mm512_set1_ps(_mm512_reduce_max_ps(most));
    for (int64_t t = 0; t < count; t += 16) {
        __mmask16 mask = lanes(count - t);
        __m512 e = exponential(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, scores + t), most));
        _mm512_mask_storeu_ps(scores + t, mask, e);
        sum = _mm512_mask_add_ps(sum, mask, sum, e);
    }
    return 1 / _mm512_reduce_add_ps(sum);
}

// out [group, size] += weights [group, count] times values from `from` on; 64 numbers of `size` at a time stay in registers.
static void mixed(int64_t group, int64_t size, const float *weights, int64_t stride, const float *values, int64_t count, float *out) {
    for (int64_t g = 0; g < group; g++)
        for (int64_t c = 0; c < size; c += 64) {
            __m512 sum[4];
            EACH(i, 4) sum[i] = _mm512_maskz_loadu_ps(lanes(size - c - 16 * i), out + g * size + c + 16 * i);
            for (int64_t t = 0; t < count; t++) {
                __m512 weight = _mm512_set1_ps(weights[g * stride + t]);
                const float *value = values + t * size + c;
                EACH(i, 4) sum[i] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes(size - c - 16 * i), value + 16 * i), weight, sum[i]);
            }
            EACH(i, 4) _mm512_mask_storeu_ps(out + g * size + c + 16 * i, lanes(size - c - 16 * i), sum[i]);
        }
}

typedef struct {
    const block *b;
    const float *queries, *keys, *values;
    float *out;
    int64_t capacity, start, parts;
    int failed;
} attention;

#define TOGETHER 8 // query heads that read the same keys at a time

// Items are rows by heads of keys by parts of the query heads that share one.
static void attend(void *of, int64_t item, int64_t last) {
    attention *a = of;
    const block *b = a->b;
    int64_t sharing = b->heads / b->shared, size = b->size;
    for (; item < last; item++) {
        int64_t r = item / a->parts / b->shared, h = item / a->parts % b->shared, begin = item % a->parts * TOGETHER;
        int64_t group = sharing - begin < TOGETHER ? sharing - begin : TOGETHER;
        int64_t end = a->start + r + 1, first = b->window && end > b->window ? end - b->window : 0, count = end - first;
        int64_t cached = (h * a->capacity + first) * size, where = (r * b->heads + h * sharing + begin) * size;
        float *scores = room(SCORES, group * count * sizeof(float)), *out = a->out + where;
        if (!scores) {
            a->failed = 1;
            return;
        }
        scored(group, size, a->queries + where, a->keys + cached, count, b->scale, scores);
        float shares[TOGETHER];
        for (int64_t g = 0; g < group; g++) shares[g] = softened(scores + g * count, count);
        for (int64_t i = 0; i < group * size; i++) out[i] = 0;
        for (int64_t t = 0; t < count; t += 64)
            mixed(group, size, scores + t, count, a->values + cached + t * size, count - t < 64 ? count - t : 64, out);
        for (int64_t g = 0; g < group; g++)
            for (int64_t i = 0; i < size; i++) out[g * size + i] *= shares[g];
    }
}

// Attention of the last `rows` tokens, the first of which is number `start` in the cache: out [rows, heads, size].
int block_attend(const block *b, int64_t rows, const float *queries, const float *keys, const float *values, int64_t capacity,
                 int64_t start, float *out) {
    int64_t parts = (b->heads / b->shared + TOGETHER - 1) / TOGETHER;
    attention a = {b, queries, keys, values, out, capacity, start, parts, 0};
    spread(attend, &a, rows * b->shared * parts, 1);
    return a.failed;
}

static void activated(const block *b, const float *x, float *y) {
    int64_t size = b->down->inputs;
    for (int64_t i = 0; i < size; i += 16) {
        __mmask16 mask = lanes(size - i);
        __m512 gate = _mm512_maskz_loadu_ps(mask, x + i), of = gate, to = gate;
        if (b->gated)
            to = _mm512_mul_ps(gate, _mm512_maskz_loadu_ps(mask, x + size + i));
        else {
            __m512 cube = _mm512_mul_ps(_mm512_mul_ps(gate, gate), gate);
            of = _mm512_fmadd_ps(cube, _mm512_set1_ps(0.044715f), gate);
            of = _mm512_mul_ps(of, _mm512_set1_ps(1.5957691216f)); // 2 sqrt(2 / pi): tanh by way of the sigmoid
        }
        _mm512_mask_storeu_ps(y + i, mask, times_sigmoid(to, of));
    }
}

static void activate_rows(void *of, int64_t from, int64_t to) {
    rows_of *o = of;
    for (int64_t r = from; r < to; r++) activated(o->b, o->x + r * o->size, o->y + r * o->b->down->inputs);
}

static int added(int64_t rows, const float *x, const layer *l, float *to) {
    float *y = room(ADDED, rows * l->outputs * sizeof(float));
    if (!y || product(rows, x, l, y)) return 1;
    for (int64_t i = 0; i < rows * l->outputs; i++) to[i] += y[i];
    return 0;
}

// x += out(attended); x += down(activation(up(norm(x)))).
int block_finish(const block *b, int64_t rows, const float *attended, float *x) {
    int64_t wide = b->up->outputs;
    float *up = room(WIDE, rows * wide * sizeof(float)), *inner = room(INNER, rows * b->down->inputs * sizeof(float));
    if (!up || !inner || added(rows, attended, b->out, x) || of_normed(&b->between, rows, x, b->up, up)) return 1;
    rows_of o = {0, b, wide, up, inner};
    spread(activate_rows, &o, rows, 4);
    return added(rows, inner, b->down, x);
}
