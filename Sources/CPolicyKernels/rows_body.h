// Kernels that go over rows or columns of one matrix.

INLINE void gather_of(const void *table, const int type, int64_t n, const int32_t *ids, int64_t count, float *out) {
  for (int64_t i = 0; i < count; i++) {
    const void *row = element(table, ids[i] * n, type);
    float *o = out + i * n;
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) store(o + j, load_typed(row, j, type));
    for (; j < n; j++) o[j] = load_one(row, j, type);
  }
}

static void gather(const void *table, int type, int64_t n, const int32_t *ids, int64_t count, float *out) {
  switch (type) {
    case POLICY_F32: gather_of(table, POLICY_F32, n, ids, count, out); break;
    case POLICY_BF16: gather_of(table, POLICY_BF16, n, ids, count, out); break;
    default: gather_of(table, POLICY_F16, n, ids, count, out);
  }
}

// y[begin ..< end] += x[begin ..< end]
INLINE void add_to(const float *x, int64_t begin, int64_t end, float *y) {
  int64_t j = begin;
  for (; j + LANES <= end; j += LANES) store(y + j, load(y + j) + load(x + j));
  for (; j < end; j++) y[j] += x[j];
}

static void scatter_add(const float *x, const int32_t *ids, int64_t count, int64_t n, int64_t begin, int64_t end,
                        float *table) {
  for (int64_t i = 0; i < count; i++) add_to(x + i * n, begin, end, table + ids[i] * n);
}

static void column_sums(const float *x, int64_t rows, int64_t ld, int64_t begin, int64_t end, float *out) {
  for (int64_t i = 0; i < rows; i++) add_to(x + i * ld, begin, end, out);
}

static void add_row(float *x, int64_t rows, int64_t n, int64_t ld, const float *bias) {
  for (int64_t i = 0; i < rows; i++) add_to(bias, 0, n, x + i * ld);
}

static void axpy(float alpha, const float *x, int64_t count, float *y) {
  int64_t j = 0;
  for (; j + LANES <= count; j += LANES) store(y + j, load(y + j) + load(x + j) * alpha);
  for (; j < count; j++) y[j] += x[j] * alpha;
}

INLINE float dot_of(const float *x, const float *y, int64_t n) {
  vf s0 = splat(0), s1 = splat(0);
  int64_t j = 0;
  for (; j + 2 * LANES <= n; j += 2 * LANES) {
    s0 = load(x + j) * load(y + j) + s0;
    s1 = load(x + j + LANES) * load(y + j + LANES) + s1;
  }
  float rest = 0;
  for (; j < n; j++) rest += x[j] * y[j];
  return sum_of(s0 + s1) + rest;
}

INLINE float rms_norm_row(const float *x, const float *w, float eps, int64_t n, float *y) {
  float r = 1 / sqrtf(dot_of(x, x, n) / (float)n + eps);
  int64_t j = 0;
  for (; j + LANES <= n; j += LANES) store(y + j, load(x + j) * r * load(w + j));
  for (; j < n; j++) y[j] = x[j] * r * w[j];
  return r;
}

static void rms_norm(const float *x, const float *w, float eps, int64_t rows, int64_t n, float *y, float *rms) {
  for (int64_t i = 0; i < rows; i++) rms[i] = rms_norm_row(x + i * n, w, eps, n, y + i * n);
}

// With xh = x r: dx = r (w dy - xh mean(w dy xh)), dw = dy xh.
INLINE void rms_norm_backward_row(const float *x, const float *w, float r, const float *dy, int64_t n,
                                  const float *start, float *dx, float *dw) {
  vf sum = splat(0);
  float rest = 0;
  int64_t j = 0;
  for (; j + LANES <= n; j += LANES) sum = load(w + j) * load(dy + j) * load(x + j) + sum;
  for (; j < n; j++) rest += w[j] * dy[j] * x[j];
  float mean = (sum_of(sum) + rest) * r * r / (float)n;
  for (j = 0; j + LANES <= n; j += LANES) {
    vf xv = load(x + j), dv = load(dy + j);
    vf d = (load(w + j) * dv - xv * mean) * r;
    if (dw) store(dw + j, load(dw + j) + dv * xv * r);
    store(dx + j, start ? load(start + j) + d : d);
  }
  for (; j < n; j++) {
    float d = (w[j] * dy[j] - x[j] * mean) * r;
    if (dw) dw[j] += dy[j] * x[j] * r;
    dx[j] = start ? start[j] + d : d;
  }
}

static void rms_norm_backward(const float *x, const float *w, const float *rms, const float *dy, int64_t rows,
                              int64_t n, const float *start, float *dx, float *dw) {
  for (int64_t i = 0; i < rows; i++) {
    rms_norm_backward_row(x + i * n, w, rms[i], dy + i * n, n, start ? start + i * n : NULL, dx + i * n, dw);
  }
}

static void swiglu(const float *gate_up, int64_t rows, int64_t n, float *out) {
  for (int64_t i = 0; i < rows; i++) {
    const float *g = gate_up + i * 2 * n, *u = g + n;
    float *o = out + i * n;
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) {
      vf x = load(g + j);
      store(o + j, x * sigmoid_of(x) * load(u + j));
    }
    if (j < n) {
      vf x = load_some(g + j, n - j, 0);
      store_some(o + j, n - j, x * sigmoid_of(x) * load_some(u + j, n - j, 0));
    }
  }
}

// silu'(x) = s (1 + x (1 - s)), s = sigmoid(x)
static void swiglu_backward(float *gate_up, const float *dout, int64_t rows, int64_t n, float *out) {
  for (int64_t i = 0; i < rows; i++) {
    float *g = gate_up + i * 2 * n, *u = g + n;
    for (int64_t j = 0; j < n; j += LANES) {
      int64_t left = n - j;
      int whole = left >= LANES;
      vf x = whole ? load(g + j) : load_some(g + j, left, 0);
      vf y = whole ? load(u + j) : load_some(u + j, left, 0);
      vf d = whole ? load(dout + i * n + j) : load_some(dout + i * n + j, left, 0);
      vf s = sigmoid_of(x);
      vf silu = x * s;
      vf dg = d * y * (s + silu * (1.0f - s));
      vf du = d * silu;
      vf o = silu * y;
      if (whole) {
        store(g + j, dg);
        store(u + j, du);
        if (out) store(out + i * n + j, o);
      } else {
        store_some(g + j, left, dg);
        store_some(u + j, left, du);
        if (out) store_some(out + i * n + j, left, o);
      }
    }
  }
}

// (a, b) -> (a cos - b sin, b cos + a sin) for the halves a, b of a head.
static void rope_row(const float *x, const float *cosines, const float *sines, int width, float *out) {
  int half = width / 2, j = 0;
  for (; j + LANES <= half; j += LANES) {
    vf a = load(x + j), b = load(x + half + j), c = load(cosines + j), s = load(sines + j);
    store(out + j, a * c - b * s);
    store(out + half + j, b * c + a * s);
  }
  for (; j < half; j++) {
    float a = x[j], b = x[half + j];
    out[j] = a * cosines[j] - b * sines[j];
    out[half + j] = b * cosines[j] + a * sines[j];
  }
}

static void rope_row_backward(const float *dy, const float *cosines, const float *sines, int width, float *dx) {
  int half = width / 2, j = 0;
  for (; j + LANES <= half; j += LANES) {
    vf a = load(dy + j), b = load(dy + half + j), c = load(cosines + j), s = load(sines + j);
    store(dx + j, a * c + b * s);
    store(dx + half + j, b * c - a * s);
  }
  for (; j < half; j++) {
    float a = dy[j], b = dy[half + j];
    dx[j] = a * cosines[j] + b * sines[j];
    dx[half + j] = b * cosines[j] - a * sines[j];
  }
}

static void scale_rows(float *x, int64_t rows, int64_t n, const float *factors) {
  for (int64_t i = 0; i < rows; i++) {
    if (factors[i] == 1) continue;
    float *row = x + i * n;
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) store(row + j, load(row + j) * factors[i]);
    for (; j < n; j++) row[j] *= factors[i];
  }
}
