#include "include/policy_reference.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double half_to_double(uint16_t h) {
  int sign = h >> 15, exponent = h >> 10 & 31, fraction = h & 1023;
  double x = exponent == 0    ? ldexp(fraction, -24)
             : exponent < 31 ? ldexp(1024 + fraction, exponent - 25)
             : fraction      ? (double)NAN
                             : (double)INFINITY;
  return sign ? -x : x;
}

static double element(const void *data, int32_t type, int64_t i) {
  if (type == POLICY_F32) {
    float x;
    memcpy(&x, (const char *)data + 4 * i, 4);
    return x;
  }
  uint16_t h;
  memcpy(&h, (const char *)data + 2 * i, 2);
  if (type == POLICY_F16) return half_to_double(h);
  uint32_t bits = (uint32_t)h << 16;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

void reference_gemm(int64_t m, int64_t k, float alpha, policy_matrix a, const policy_product *parts, int64_t count) {
  for (int64_t p = 0; p < count; p++) {
    policy_product part = parts[p];
    for (int64_t i = 0; i < m; i++) {
      for (int64_t j = 0; j < part.n; j++) {
        double sum = part.start ? part.start[i * part.ld_start + j] : 0;
        for (int64_t s = 0; s < k; s++) {
          sum += alpha * element(a.data, a.type, i * a.rows + s * a.columns) *
                 element(part.b.data, part.b.type, s * part.b.rows + j * part.b.columns);
        }
        part.c[i * part.ldc + j] = (float)sum;
      }
    }
  }
}

void reference_gather(const void *table, int32_t type, int64_t n, const int32_t *ids, int64_t count, float *out) {
  for (int64_t i = 0; i < count; i++) {
    for (int64_t j = 0; j < n; j++) out[i * n + j] = (float)element(table, type, ids[i] * n + j);
  }
}

void reference_scatter_add(const float *x, const int32_t *ids, int64_t count, int64_t n, float *table) {
  for (int64_t i = 0; i < count; i++) {
    for (int64_t j = 0; j < n; j++) table[ids[i] * n + j] += x[i * n + j];
  }
}

void reference_rms_norm(const float *x, const float *w, float eps, int64_t rows, int64_t n, float *y, float *rms) {
  for (int64_t i = 0; i < rows; i++) {
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += (double)x[i * n + j] * x[i * n + j];
    double r = 1 / sqrt(sum / (double)n + eps);
    rms[i] = (float)r;
    for (int64_t j = 0; j < n; j++) y[i * n + j] = (float)(x[i * n + j] * r * w[j]);
  }
}

void reference_rms_norm_backward(const float *x, const float *w, const float *rms, const float *dy, int64_t rows,
                                 int64_t n, const float *start, float *dx, float *dw) {
  for (int64_t i = 0; i < rows; i++) {
    double r = rms[i], mean = 0;
    for (int64_t j = 0; j < n; j++) mean += (double)w[j] * dy[i * n + j] * x[i * n + j] * r / (double)n;
    for (int64_t j = 0; j < n; j++) {
      int64_t at = i * n + j;
      if (dw) dw[j] += (float)(dy[at] * (x[at] * r));
      dx[at] = (float)((start ? start[at] : 0) + r * ((double)w[j] * dy[at] - x[at] * r * mean));
    }
  }
}

static void rotate(const float *x, const float *c, const float *s, int width, double direction, float *out) {
  for (int j = 0; j < width / 2; j++) {
    double a = x[j], b = x[width / 2 + j], sine = direction * s[j];
    out[j] = (float)(a * c[j] - b * sine);
    out[width / 2 + j] = (float)(b * c[j] + a * sine);
  }
}

void reference_rope(policy_heads shape, int64_t rows, const float *qkv, const float *cosines, const float *sines,
                    const int32_t *positions, const float *q_norm, const float *k_norm, float eps, float *q, float *k,
                    float *v, int64_t capacity, int64_t first) {
  int width = shape.width;
  float *normed = malloc(sizeof *normed * (size_t)width), rms;
  for (int64_t i = 0; i < rows; i++) {
    const float *c = cosines + positions[i] * (width / 2), *s = sines + positions[i] * (width / 2);
    for (int h = 0; h < shape.heads + 2 * shape.groups; h++) {
      const float *x = qkv + (i * (shape.heads + 2 * shape.groups) + h) * width;
      int group = (h - shape.heads) % shape.groups;
      if (h >= shape.heads + shape.groups) {
        memcpy(v + (group * capacity + first + i) * width, x, sizeof *x * (size_t)width);
        continue;
      }
      const float *norm = h < shape.heads ? q_norm : k_norm;
      if (norm) {
        reference_rms_norm(x, norm, eps, 1, width, normed, &rms);
        x = normed;
      }
      float *out = h < shape.heads ? q + (i * shape.heads + h) * width : k + (group * capacity + first + i) * width;
      rotate(x, c, s, width, 1, out);
    }
  }
  free(normed);
}

void reference_rope_backward(policy_heads shape, int64_t rows, const float *qkv, const float *cosines,
                             const float *sines, const int32_t *positions, const float *q_norm, const float *k_norm,
                             float eps, const float *dq, const float *dk, const float *dv, int64_t parts,
                             int64_t padded, float *dqkv, float *dq_norm, float *dk_norm) {
  int width = shape.width;
  float *sum = malloc(sizeof *sum * (size_t)width * 3), *turned = sum + width, *normed = turned + width, rms;
  for (int64_t i = 0; i < rows; i++) {
    const float *c = cosines + positions[i] * (width / 2), *s = sines + positions[i] * (width / 2);
    for (int h = 0; h < shape.heads + 2 * shape.groups; h++) {
      int64_t at = (i * (shape.heads + 2 * shape.groups) + h) * width;
      int group = (h - shape.heads) % shape.groups;
      for (int j = 0; j < width; j++) {
        sum[j] = h < shape.heads ? dq[(i * shape.heads + h) * width + j] : 0;
        for (int64_t p = 0; h >= shape.heads && p < parts; p++) {
          sum[j] += (h < shape.heads + shape.groups ? dk : dv)[((p * shape.groups + group) * rows + i) * padded + j];
        }
      }
      if (h >= shape.heads + shape.groups) {
        memcpy(dqkv + at, sum, sizeof *sum * (size_t)width);
        continue;
      }
      const float *norm = h < shape.heads ? q_norm : k_norm;
      rotate(sum, c, s, width, -1, norm ? turned : dqkv + at);
      if (!norm) continue;
      reference_rms_norm(qkv + at, norm, eps, 1, width, normed, &rms);
      reference_rms_norm_backward(qkv + at, norm, &rms, turned, 1, width, NULL, dqkv + at,
                                  h < shape.heads ? dq_norm : dk_norm);
    }
  }
  free(sum);
}

// Whether a query of a segment sees a key.
static int sees(const policy_attention *a, const policy_segment *s, int query, int64_t key) {
  for (int r = 0; r < s->ranges; r++) {
    policy_range range = a->ranges[s->range + r];
    if (key >= range.begin && key < range.end) return 1;
  }
  return key >= s->own && key <= s->own + query;
}

static double dot(const float *x, const float *y, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += (double)x[i] * y[i];
  return sum;
}

void reference_attend(const policy_attention *a, float *out, float *lse) {
  int width = a->shape.width, per_group = a->shape.heads / a->shape.groups;
  double *p = malloc(sizeof *p * (size_t)a->capacity);
  for (int64_t s = 0; s < a->segment_count; s++) {
    const policy_segment *segment = &a->segments[s];
    for (int i = 0; i < segment->count; i++) {
      for (int h = 0; h < a->shape.heads; h++) {
        int64_t row = segment->query + i;
        const float *q = a->q + (row * a->shape.heads + h) * width;
        const float *k = a->k + h / per_group * a->capacity * width, *v = a->v + h / per_group * a->capacity * width;
        double max = -INFINITY, sum = 0;
        for (int64_t key = 0; key < a->capacity; key++) {
          p[key] = sees(a, segment, i, key) ? dot(q, k + key * width, width) / sqrt(width) : -INFINITY;
          if (p[key] > max) max = p[key];
        }
        for (int64_t key = 0; key < a->capacity; key++) sum += exp(p[key] - max);
        lse[h * a->rows + row] = (float)(max + log(sum));
        for (int d = 0; d < width; d++) {
          double o = 0;
          for (int64_t key = 0; key < a->capacity; key++) {
            if (p[key] > -INFINITY) o += exp(p[key] - max) / sum * v[key * width + d];
          }
          out[(row * a->shape.heads + h) * width + d] = (float)o;
        }
      }
    }
  }
  free(p);
}

void reference_attend_backward(const policy_attention *a, const float *out, const float *lse, const float *dout,
                               int64_t padded, float *dq, float *dk, float *dv) {
  int width = a->shape.width, per_group = a->shape.heads / a->shape.groups;
  size_t size = (size_t)(a->shape.groups * a->rows * padded);
  double *k_sums = calloc(2 * size + (size_t)width, sizeof *k_sums), *v_sums = k_sums + size, *q_sums = v_sums + size;
  for (int64_t s = 0; s < a->segment_count; s++) {
    const policy_segment *segment = &a->segments[s];
    for (int i = 0; i < segment->count; i++) {
      for (int h = 0; h < a->shape.heads; h++) {
        int64_t row = segment->query + i, at = (row * a->shape.heads + h) * width, group = h / per_group;
        double delta = dot(out + at, dout + at, width);
        for (int d = 0; d < width; d++) q_sums[d] = 0;
        for (int64_t key = 0; key < a->capacity; key++) {
          if (!sees(a, segment, i, key)) continue;
          const float *k = a->k + (group * a->capacity + key) * width, *v = a->v + (group * a->capacity + key) * width;
          double p = exp(dot(a->q + at, k, width) / sqrt(width) - lse[h * a->rows + row]);
          double ds = p * (dot(dout + at, v, width) - delta) / sqrt(width);
          for (int d = 0; d < width; d++) {
            q_sums[d] += ds * k[d];
            k_sums[(group * a->rows + key) * padded + d] += ds * a->q[at + d];
            v_sums[(group * a->rows + key) * padded + d] += p * dout[at + d];
          }
        }
        for (int d = 0; d < width; d++) dq[at + d] = (float)q_sums[d];
      }
    }
  }
  for (size_t i = 0; i < size; i++) {
    dk[i] = (float)k_sums[i];
    dv[i] = (float)v_sums[i];
  }
  free(k_sums);
}

void reference_swiglu(const float *gate_up, int64_t rows, int64_t n, float *out) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < n; j++) {
      double x = gate_up[i * 2 * n + j];
      out[i * n + j] = (float)(x / (1 + exp(-x)) * gate_up[i * 2 * n + n + j]);
    }
  }
}

void reference_swiglu_backward(float *gate_up, const float *dout, int64_t rows, int64_t n, float *out) {
  if (out) reference_swiglu(gate_up, rows, n, out);
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < n; j++) {
      float *gate = gate_up + i * 2 * n + j, *up = gate + n;
      double x = *gate, d = dout[i * n + j], s = 1 / (1 + exp(-x));
      *gate = (float)(d * *up * s * (1 + x * (1 - s)));
      *up = (float)(d * x * s);
    }
  }
}

void reference_column_sums(const float *x, int64_t rows, int64_t n, int64_t ld, float *out) {
  for (int64_t j = 0; j < n; j++) {
    double sum = out[j];
    for (int64_t i = 0; i < rows; i++) sum += x[i * ld + j];
    out[j] = (float)sum;
  }
}

void reference_add_row(float *x, int64_t rows, int64_t n, int64_t ld, const float *bias) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < n; j++) x[i * ld + j] += bias[j];
  }
}

void reference_add_transposed(const float *x, int64_t rows, int64_t columns, float *y) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) y[j * rows + i] += x[i * columns + j];
  }
}

void reference_scale_rows(float *x, int64_t rows, int64_t n, const float *factors) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < n; j++) x[i * n + j] *= factors[i];
  }
}

void reference_head_scan(float *z, int64_t rows, int64_t n, float inverse_temperature, policy_softmax_sums *sums,
                         float *rescale) {
  for (int64_t i = 0; i < rows; i++) {
    double max = sums[i].max;
    for (int64_t j = 0; j < n; j++) max = fmax(max, (double)z[i * n + j] * inverse_temperature);
    double factor = isinf(sums[i].max) ? 0 : exp(sums[i].max - max);
    double shift = isinf(sums[i].max) ? 0 : sums[i].max - max;
    double sum = sums[i].sum * factor, weighted = (sums[i].weighted + sums[i].sum * shift) * factor;
    for (int64_t j = 0; j < n; j++) {
      double d = (double)z[i * n + j] * inverse_temperature - max;
      sum += exp(d);
      weighted += d * exp(d);
      if (rescale) z[i * n + j] = (float)exp(d);
    }
    sums[i] = (policy_softmax_sums){(float)max, sum, weighted};
    if (rescale) rescale[i] = (float)factor;
  }
}

void reference_head_top(const float *z, int64_t rows, int64_t n, int64_t seen, int64_t top, int32_t *ids,
                        float *values) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < n; j++) {
      int64_t place = top;
      while (place > 0 && (ids[i * top + place - 1] < 0 || z[i * n + j] > values[i * top + place - 1])) place--;
      if (place == top) continue;
      for (int64_t k = top - 1; k > place; k--) {
        ids[i * top + k] = ids[i * top + k - 1];
        values[i * top + k] = values[i * top + k - 1];
      }
      ids[i * top + place] = (int32_t)(seen + j);
      values[i * top + place] = z[i * n + j];
    }
  }
}

void reference_head_gradient(float *z, int64_t rows, int64_t n, float inverse_temperature, const float *lse,
                             const float *entropy, const float *dlogprob, const float *dentropy) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < n; j++) {
      double logp = (double)z[i * n + j] * inverse_temperature - lse[i];
      double slope = dlogprob[i] + (dentropy ? dentropy[i] * (logp + entropy[i]) : 0);
      z[i * n + j] = (float)(-exp(logp) * slope * inverse_temperature);
    }
  }
}
