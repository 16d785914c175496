INLINE vf root_of(vf x) {
#if LANES == 4
  vf y;
  for (int i = 0; i < LANES; i++) y[i] = sqrtf(x[i]);
  return y;
#else
  return __builtin_elementwise_sqrt(x);
#endif
}

// Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), as torch.optim.AdamW orders its operations.
static void adamw(policy_adamw_settings s, const float *gradient, int64_t count, float *p, float *m, float *v) {
  float inverse1 = 1 / s.correction1, inverse_root2 = 1 / sqrtf(s.correction2);
  for (int64_t i = 0; i < count; i += LANES) {
    int64_t left = count - i;
    int whole = left >= LANES;
    vf g = (whole ? load(gradient + i) : load_some(gradient + i, left, 0)) * s.scale;
    vf pv = whole ? load(p + i) : load_some(p + i, left, 0);
    vf mv = whole ? load(m + i) : load_some(m + i, left, 0);
    vf vv = whole ? load(v + i) : load_some(v + i, left, 0);
    mv = mv * s.beta1 + g * (1 - s.beta1);
    vv = vv * s.beta2 + g * g * (1 - s.beta2);
    vf step = mv * inverse1 / (root_of(vv) * inverse_root2 + s.eps);
    pv = pv * (1 - s.lr * s.decay) - step * s.lr;
    if (whole) {
      store(p + i, pv);
      store(m + i, mv);
      store(v + i, vv);
    } else {
      store_some(p + i, left, pv);
      store_some(m + i, left, mv);
      store_some(v + i, left, vv);
    }
  }
}

// In double precision, eight lanes.
static double sum_of_squares(const float *x, int64_t count) {
  double lanes[8] = {0};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int l = 0; l < 8; l++) lanes[l] += (double)x[i + l] * (double)x[i + l];
  }
  for (; i < count; i++) lanes[i % 8] += (double)x[i] * (double)x[i];
  double sum = 0;
  for (int l = 0; l < 8; l++) sum += lanes[l];
  return sum;
}
