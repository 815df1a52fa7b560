// Attention over a cache of keys and values [heads of keys, capacity, size].

#include "kernel.h"

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

// Products of `group` queries with `count` keys, to [group, count]; 8 keys with two queries at a time.
static void scored(int64_t group, int64_t size, const float *queries, const float *keys, int64_t count, float scale, float *to) {
    for (int64_t t = 0; t < count; t += 8) {
        int64_t at[8];
        EACH(i, 8) at[i] = (t + i < count ? t + i : count - 1) * size;
        for (int64_t g = 0; g < group; g += 2) {
            int64_t other = g + 1 < group ? g + 1 : g;
            __m512 v[16];
            EACH(i, 16) v[i] = _mm512_setzero_ps();
            for (int64_t c = 0; c < size; c += 16) {
                __mmask16 mask = lanes(size - c);
                __m512 one = _mm512_maskz_loadu_ps(mask, queries + g * size + c);
                __m512 two = _mm512_maskz_loadu_ps(mask, queries + other * size + c);
                EACH(i, 8) {
                    __m512 key = _mm512_maskz_loadu_ps(mask, keys + at[i] + c);
                    v[i] = _mm512_fmadd_ps(key, one, v[i]);
                    v[8 + i] = _mm512_fmadd_ps(key, two, v[8 + i]);
                }
            }
            __m512 both = _mm512_mul_ps(sums(v), _mm512_set1_ps(scale));
            __mmask8 there = (__mmask8)lanes(count - t < 8 ? count - t : 8);
            _mm256_mask_storeu_ps(to + g * count + t, there, _mm512_castps512_ps256(both));
            _mm256_mask_storeu_ps(to + other * count + t, there, _mm512_extractf32x8_ps(both, 1));
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

// out [group, size] += weights [group, stride] times `count` values; 64 numbers of two queries at a time stay in registers.
static void mixed(int64_t group, int64_t size, const float *weights, int64_t stride, const float *values, int64_t count, float *out) {
    for (int64_t g = 0; g < group; g += 2)
        for (int64_t c = 0; c < size; c += 64) {
            int64_t rows[2] = {g, g + 1 < group ? g + 1 : g};
            __m512 sum[2][4];
            EACH(r, 2) EACH(i, 4) sum[r][i] = _mm512_maskz_loadu_ps(lanes(size - c - 16 * i), out + rows[r] * size + c + 16 * i);
            for (int64_t t = 0; t < count; t++) {
                __m512 value[4];
                EACH(i, 4) value[i] = _mm512_maskz_loadu_ps(lanes(size - c - 16 * i), values + t * size + c + 16 * i);
                EACH(r, 2) {
                    __m512 weight = _mm512_set1_ps(weights[rows[r] * stride + t]);
                    EACH(i, 4) sum[r][i] = _mm512_fmadd_ps(value[i], weight, sum[r][i]);
                }
            }
            EACH(r, 2) EACH(i, 4)
            _mm512_mask_storeu_ps(out + rows[r] * size + c + 16 * i, lanes(size - c - 16 * i), sum[r][i]);
        }
}

typedef struct {
    const block *b;
    const float *queries, *keys, *values;
    float *out;
    int64_t rows, capacity, start, parts;
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
    attention a = {b, queries, keys, values, out, rows, capacity, start, parts, 0};
    spread(attend, &a, rows * b->shared * parts, 1);
    return a.failed;
}

// The same for a chunk of a prompt: rows that share a head of keys are taken together, so that these are read a few times only.

#define BOTH 6   // queries whose sums are in registers at a time
#define TILE 32  // keys at a time, turned so that a vector holds one number of 16 of them
#define NEAR 128 // values at a time, which then lie in the nearest cache
#define MANY 48  // queries of an item, about

// 16 rows of at most 16 numbers to columns; only `count` rows are there, and numbers under `mask`.
static void columns(const float *from, int64_t stride, int64_t count, __mmask16 mask, float *to) {
    __m512 r[16], t[16];
    EACH(i, 16) r[i] = i < count ? _mm512_maskz_loadu_ps(mask, from + i * stride) : _mm512_setzero_ps();
    EACH(i, 8) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    EACH(i, 16) {
        __m512d one = _mm512_castps_pd(t[i / 4 * 4 + i % 4 / 2]), two = _mm512_castps_pd(t[i / 4 * 4 + i % 4 / 2 + 2]);
        r[i] = _mm512_castpd_ps(i % 2 ? _mm512_unpackhi_pd(one, two) : _mm512_unpacklo_pd(one, two));
    }
    EACH(c, 4) {
        __m512 a = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88), b = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88);
        _mm512_storeu_ps(to + c * TILE, _mm512_shuffle_f32x4(a, b, 0x88));
        _mm512_storeu_ps(to + (8 + c) * TILE, _mm512_shuffle_f32x4(a, b, 0xdd));
        a = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xdd), b = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xdd);
        _mm512_storeu_ps(to + (4 + c) * TILE, _mm512_shuffle_f32x4(a, b, 0x88));
        _mm512_storeu_ps(to + (12 + c) * TILE, _mm512_shuffle_f32x4(a, b, 0xdd));
    }
}

// Products of `number` queries [number, wide], a multiple of BOTH, with `count` keys to [number, stride].
static void all_scored(int64_t number, int64_t size, int64_t wide, const float *queries, const float *keys, int64_t count,
                       int64_t stride, float *to) {
    float tile[wide * TILE];
    for (int64_t t = 0; t < count; t += TILE) {
        for (int64_t c = 0; c < size; c += 16)
            for (int64_t half = 0; half < TILE; half += 16)
                columns(keys + (t + half) * size + c, size, count - t - half, lanes(size - c), tile + c * TILE + half);
        for (int64_t q = 0; q < number; q += BOTH) {
            __m512 sum[BOTH][2];
            EACH(i, BOTH) EACH(j, 2) sum[i][j] = _mm512_setzero_ps();
            for (int64_t c = 0; c < size; c++) {
                __m512 key[2];
                EACH(j, 2) key[j] = _mm512_loadu_ps(tile + c * TILE + 16 * j);
                EACH(i, BOTH) {
                    __m512 one = _mm512_set1_ps(queries[(q + i) * wide + c]);
                    EACH(j, 2) sum[i][j] = _mm512_fmadd_ps(one, key[j], sum[i][j]);
                }
            }
            EACH(i, BOTH) EACH(j, 2) _mm512_storeu_ps(to + (q + i) * stride + t + 16 * j, sum[i][j]);
        }
    }
}

// Scores of the keys from `first` to `end` to shares of 1, all others of `stride` to 0.
static void shared_out(float *scores, int64_t first, int64_t end, int64_t stride) {
    for (int64_t t = 0; t < first; t++) scores[t] = 0;
    for (int64_t t = end; t < stride; t++) scores[t] = 0;
    __m512 step = _mm512_set1_ps(softened(scores + first, end - first));
    for (int64_t t = 0; t < stride; t += 16) _mm512_storeu_ps(scores + t, _mm512_mul_ps(_mm512_loadu_ps(scores + t), step));
}

// to [number, size] = shares [number, stride] times `count` values.
static void all_mixed(int64_t number, int64_t size, const float *shares, int64_t stride, const float *values, int64_t count,
                      float *to) {
    for (int64_t i = 0; i < number * size; i++) to[i] = 0;
    for (int64_t t = 0; t < count; t += NEAR)
        for (int64_t q = 0; q < number; q += BOTH)
            for (int64_t c = 0; c < size; c += 64) {
                __m512 sum[BOTH][4];
                float *out = to + q * size + c;
                EACH(i, BOTH) EACH(j, 4) sum[i][j] = _mm512_maskz_loadu_ps(lanes(size - c - 16 * j), out + i * size + 16 * j);
                for (int64_t n = t; n < t + NEAR && n < count; n++) {
                    __m512 value[4];
                    EACH(j, 4) value[j] = _mm512_maskz_loadu_ps(lanes(size - c - 16 * j), values + n * size + c + 16 * j);
                    EACH(i, BOTH) {
                        __m512 share = _mm512_set1_ps(shares[(q + i) * stride + n]);
                        EACH(j, 4) sum[i][j] = _mm512_fmadd_ps(share, value[j], sum[i][j]);
                    }
                }
                EACH(i, BOTH) EACH(j, 4) _mm512_mask_storeu_ps(out + i * size + 16 * j, lanes(size - c - 16 * j), sum[i][j]);
            }
}

// Items are blocks of `parts` rows by heads of keys.
static void attend_all(void *of, int64_t item, int64_t last) {
    attention *a = of;
    const block *b = a->b;
    int64_t sharing = b->heads / b->shared, size = b->size, wide = (size + 15) / 16 * 16;
    for (; item < last; item++) {
        int64_t h = item % b->shared, row = item / b->shared * a->parts;
        int64_t rows = a->rows - row < a->parts ? a->rows - row : a->parts, number = (rows * sharing + BOTH - 1) / BOTH * BOTH;
        int64_t start = a->start + row, end = start + rows, first = b->window && start + 1 > b->window ? start + 1 - b->window : 0;
        int64_t count = end - first, stride = (count + TILE - 1) / TILE * TILE, cached = (h * a->capacity + first) * size;
        float *scores = room(SCORES, number * stride * sizeof(float));
        float *queries = room(QUERIES, number * (wide + size) * sizeof(float)), *out = queries + number * wide;
        if (!scores || !queries) {
            a->failed = 1;
            return;
        }
        for (int64_t i = 0; i < number * wide; i++) queries[i] = 0;
        for (int64_t i = 0; i < rows * sharing; i++) {
            const float *from = a->queries + ((row + i / sharing) * b->heads + h * sharing + i % sharing) * size;
            for (int64_t c = 0; c < size; c++) queries[i * wide + c] = from[c] * b->scale;
        }
        all_scored(number, size, wide, queries, a->keys + cached, count, stride, scores);
        for (int64_t i = 0; i < number; i++) {
            int64_t seen = start + (i < rows * sharing ? i / sharing : 0) + 1 - first;
            shared_out(scores + i * stride, b->window && seen > b->window ? seen - b->window : 0, seen, stride);
        }
        all_mixed(number, size, scores, stride, a->values + cached, count, out);
        for (int64_t i = 0; i < rows * sharing; i++) {
            float *to = a->out + ((row + i / sharing) * b->heads + h * sharing + i % sharing) * size;
            for (int64_t c = 0; c < size; c++) to[c] = out[i * size + c];
        }
    }
}

// Like `block_attend`, but a row's last bits may depend on the rows beside it.
int block_attend_all(const block *b, int64_t rows, const float *queries, const float *keys, const float *values,
                     int64_t capacity, int64_t start, float *out) {
    int64_t together = MANY * b->shared / b->heads;
    attention a = {b, queries, keys, values, out, rows, capacity, start, together < 1 ? 1 : together, 0};
    spread(attend_all, &a, (rows + a.parts - 1) / a.parts * b->shared, 1);
    return a.failed;
}
