// The layers of a decoder between, and with, their products: three calls for each layer, however many rows.

#include "kernel.h"

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
