// Rows of logits, a block of the vocabulary at a time.

static void head_scan(float *z, int64_t rows, int64_t n, float inverse_temperature, policy_softmax_sums *sums,
                      float *rescale) {
  for (int64_t i = 0; i < rows; i++) {
    float *row = z + i * n;
    int64_t whole = n / LANES * LANES, left = n - whole;
    vf top = splat(-INFINITY), poison = splat(0);
    for (int64_t j = 0; j < whole; j += LANES) {
      vf x = load(row + j);
      top = __builtin_elementwise_max(top, x);
      poison = x * 0.0f + poison;
    }
    if (left) {
      vf x = load_some(row + whole, left, -INFINITY);
      top = __builtin_elementwise_max(top, x);
      poison = load_some(row + whole, left, 0) * 0.0f + poison;
    }
    // NaN if any logit is NaN or infinite.
    float block = largest_of(top) * inverse_temperature + sum_of(poison);
    policy_softmax_sums s = sums[i];
    float max = s.max > block ? s.max : block;
    // Nothing was there before: the factor is 0 and not e^(-inf + inf).
    float factor = s.max == max ? 1 : s.max == -INFINITY ? 0 : expf(s.max - max);
    if (factor != 1) {
      double shift = s.max == -INFINITY ? 0 : (double)s.max - (double)max;
      s.weighted = (double)factor * (s.weighted + s.sum * shift);
      s.sum *= (double)factor;
    }
    vf sum = splat(0), weighted = splat(0);
    for (int64_t j = 0; j < whole; j += LANES) {
      vf d = load(row + j) * inverse_temperature - max;
      vf e = exp_of(d);
      sum += e;
      weighted = e * d + weighted;
      if (rescale) store(row + j, e);
    }
    if (left) {
      float ones[LANES];
      for (int l = 0; l < LANES; l++) ones[l] = l < left ? 1 : 0;
      vf own = load(ones);
      // 0 in the lanes behind the row: there -max could be anything, and e^89 is infinite, which 0 does not undo.
      vf d = (load_some(row + whole, left, 0) * inverse_temperature - max) * own;
      vf e = exp_of(d);
      vf e1 = e * own;
      sum += e1;
      weighted = e1 * d + weighted;
      if (rescale) store_some(row + whole, left, e);
    }
    s.max = max;
    s.sum += (double)sum_of(sum);
    s.weighted += (double)sum_of(weighted);
    sums[i] = s;
    if (rescale) rescale[i] = factor;
  }
}

static void head_top(const float *z, int64_t rows, int64_t n, int64_t seen, int64_t top, int32_t *ids, float *values) {
  for (int64_t i = 0; i < rows; i++) {
    const float *row = z + i * n;
    int32_t *id = ids + i * top;
    float *value = values + i * top;
    int64_t kept = 0;
    while (kept < top && id[kept] >= 0) kept++;
    for (int64_t j = 0; j < n; j += LANES) {
      int64_t left = n - j < LANES ? n - j : LANES;
      if (kept == top) {
        vf x = left == LANES ? load(row + j) : load_some(row + j, left, -INFINITY);
        if (!(largest_of(x) > value[top - 1])) continue;
      }
      for (int64_t l = 0; l < left; l++) {
        float x = row[j + l];
        if (kept == top && !(x > value[top - 1])) continue;
        int64_t place = kept < top ? kept++ : top - 1;
        for (; place > 0 && x > value[place - 1]; place--) {
          value[place] = value[place - 1];
          id[place] = id[place - 1];
        }
        value[place] = x;
        id[place] = (int32_t)(seen + j + l);
      }
    }
  }
}

static void head_gradient(float *z, int64_t rows, int64_t n, float inverse_temperature, const float *lse,
                          const float *entropy, const float *dlogprob, const float *dentropy) {
  for (int64_t i = 0; i < rows; i++) {
    float *row = z + i * n;
    float shift = -lse[i];
    float gradient = -inverse_temperature * dlogprob[i];
    float slope = dentropy ? -inverse_temperature * dentropy[i] : 0;
    // -(dlogprob + dentropy * (log p + H)) / T
    float constant = gradient + (dentropy ? slope * entropy[i] : 0);
    for (int64_t j = 0; j < n; j += LANES) {
      int64_t left = n - j;
      vf logp = (left >= LANES ? load(row + j) : load_some(row + j, left, 0)) * inverse_temperature + shift;
      vf d = exp_of(logp) * (logp * slope + constant);
      if (left >= LANES) {
        store(row + j, d);
      } else {
        store_some(row + j, left, d);
      }
    }
  }
}
