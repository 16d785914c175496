// One microtile of a product, and the packing of its factors.
#define TILE_COLUMNS (TILE_VECTORS * LANES)

// rows, vectors and mode are constants where this is inlined, so the sums stay in registers.
INLINE void tile_of(const int mode, const int rows, const int vectors, int64_t k, const float *a, int64_t stride,
                    const float *b, int64_t ldb, float *c, int64_t ldc, const float *start, int64_t ld_start) {
  vf sums[TILE_ROWS][TILE_VECTORS];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++) sums[i][j] = start ? load(start + i * ld_start + j * LANES) : splat(0);
  }
  const int64_t row = mode == POLICY_ROWS ? stride : 1;
  const int64_t column = mode == POLICY_PACKED ? TILE_ROWS : mode == POLICY_ROWS ? 1 : stride;
#pragma clang loop unroll_count(2)
  for (int64_t s = 0; s < k; s++) {
    vf x[TILE_VECTORS];
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++) x[j] = load(b + j * LANES);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
      vf y = splat(a[i * row]);
#pragma clang loop unroll(full)
      for (int j = 0; j < vectors; j++) sums[i][j] = y * x[j] + sums[i][j];
    }
    a += column;
    b += ldb;
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++) store(c + i * ldc + j * LANES, sums[i][j]);
  }
}

#define TILE(M, R, V)                                                                                              \
  static void tile_##M##_##R##_##V(int64_t k, const float *a, int64_t stride, const float *b, int64_t ldb,         \
                                   float *c, int64_t ldc, const float *start, int64_t ld_start) {                  \
    tile_of(M, R, V, k, a, stride, b, ldb, c, ldc, start, ld_start);                                               \
  }
#if TILE_ROWS == 12
#define EACH_ROW_COUNT(F, M, V) \
  F(M, 1, V) F(M, 2, V) F(M, 3, V) F(M, 4, V) F(M, 5, V) F(M, 6, V) F(M, 7, V) F(M, 8, V) F(M, 9, V) F(M, 10, V) \
  F(M, 11, V) F(M, 12, V)
#elif TILE_ROWS == 8
#define EACH_ROW_COUNT(F, M, V) \
  F(M, 1, V) F(M, 2, V) F(M, 3, V) F(M, 4, V) F(M, 5, V) F(M, 6, V) F(M, 7, V) F(M, 8, V)
#elif TILE_ROWS == 6
#define EACH_ROW_COUNT(F, M, V) F(M, 1, V) F(M, 2, V) F(M, 3, V) F(M, 4, V) F(M, 5, V) F(M, 6, V)
#else
#define EACH_ROW_COUNT(F, M, V) F(M, 1, V) F(M, 2, V) F(M, 3, V) F(M, 4, V)
#endif
// 0, 1, 2 are POLICY_PACKED, POLICY_ROWS, POLICY_COLUMNS.
EACH_ROW_COUNT(TILE, 0, 1) EACH_ROW_COUNT(TILE, 1, 1) EACH_ROW_COUNT(TILE, 2, 1)
EACH_ROW_COUNT(TILE, 0, 2) EACH_ROW_COUNT(TILE, 1, 2) EACH_ROW_COUNT(TILE, 2, 2)

#define TILE_NAME(M, R, V) tile_##M##_##R##_##V,
static const policy_tile tiles[3][TILE_VECTORS][TILE_ROWS] = {
    {{EACH_ROW_COUNT(TILE_NAME, 0, 1)}, {EACH_ROW_COUNT(TILE_NAME, 0, 2)}},
    {{EACH_ROW_COUNT(TILE_NAME, 1, 1)}, {EACH_ROW_COUNT(TILE_NAME, 1, 2)}},
    {{EACH_ROW_COUNT(TILE_NAME, 2, 1)}, {EACH_ROW_COUNT(TILE_NAME, 2, 2)}},
};

static policy_tile tile(int mode, int rows, int vectors) { return tiles[mode][vectors - 1][rows - 1]; }

#if LANES == 16
#define HALF_A_8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HALF_B_8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define HALF_A_4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define HALF_B_4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define HALF_A_2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HALF_B_2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define HALF_A_1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define HALF_B_1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#elif LANES == 8
#define HALF_A_4 0, 1, 2, 3, 8, 9, 10, 11
#define HALF_B_4 4, 5, 6, 7, 12, 13, 14, 15
#define HALF_A_2 0, 1, 8, 9, 4, 5, 12, 13
#define HALF_B_2 2, 3, 10, 11, 6, 7, 14, 15
#define HALF_A_1 0, 8, 2, 10, 4, 12, 6, 14
#define HALF_B_1 1, 9, 3, 11, 5, 13, 7, 15
#else
#define HALF_A_2 0, 1, 4, 5
#define HALF_B_2 2, 3, 6, 7
#define HALF_A_1 0, 4, 2, 6
#define HALF_B_1 1, 5, 3, 7
#endif
// Swaps the off-diagonal blocks of D x D within blocks of twice that.
#define SWAP_BLOCKS(D)                                                 \
  _Pragma("clang loop unroll(full)") for (int i = 0; i < LANES; i++) { \
    if (i & D) continue;                                               \
    vf p = r[i], q = r[i + D];                                         \
    r[i] = __builtin_shufflevector(p, q, HALF_A_##D);                  \
    r[i + D] = __builtin_shufflevector(p, q, HALF_B_##D);              \
  }
INLINE void transpose(vf *r) {
#if LANES == 16
  SWAP_BLOCKS(8)
#endif
#if LANES >= 8
  SWAP_BLOCKS(4)
#endif
  SWAP_BLOCKS(2)
  SWAP_BLOCKS(1)
}

INLINE void pack_rows_of(const void *const *rows, const int type, int count, int64_t k, float scale, float *out,
                         int width) {
  for (int base = 0; base < width; base += LANES) {
    int present = count - base < LANES ? count - base : LANES;
    if (present < 0) present = 0;
    int64_t s = 0;
    for (; s + LANES <= k; s += LANES) {
      vf r[LANES];
      if (present == LANES) {
#pragma clang loop unroll(full)
        for (int i = 0; i < LANES; i++) r[i] = load_typed(rows[base + i], s, type) * scale;
      } else {
        for (int i = 0; i < LANES; i++) r[i] = i < present ? load_typed(rows[base + i], s, type) * scale : splat(0);
      }
      transpose(r);
#pragma clang loop unroll(full)
      for (int i = 0; i < LANES; i++) store(out + (s + i) * width + base, r[i]);
    }
    int room = width - base < LANES ? width - base : LANES;
    for (; s < k; s++) {
      for (int i = 0; i < room; i++) {
        out[s * width + base + i] = i < present ? load_one(rows[base + i], s, type) * scale : 0;
      }
    }
  }
}

static void pack_rows(const void *const *rows, int type, int count, int64_t k, float scale, float *out, int width) {
  switch (type) {
    case POLICY_F32: pack_rows_of(rows, POLICY_F32, count, k, scale, out, width); break;
    case POLICY_BF16: pack_rows_of(rows, POLICY_BF16, count, k, scale, out, width); break;
    default: pack_rows_of(rows, POLICY_F16, count, k, scale, out, width);
  }
}

INLINE void pack_columns_of(const void *x, const int type, int64_t ld, int64_t count, int64_t k, float scale, float *out,
                            const int width, int64_t block) {
  int64_t blocks = (count + width - 1) / width;
  for (int64_t s = 0; s < k; s++) {
    const void *row = element(x, s * ld, type);
    float *o = out + s * width;
    // A vector that begins in the row may end behind it: not at the last row, behind which there may be nothing.
    int64_t whole = count / width;
    if (width < LANES && s + 1 == k) whole = count >= LANES ? (count - LANES) / width + 1 : 0;
    int64_t b = 0;
    for (; b < whole; b++) {
#pragma clang loop unroll(full)
      for (int i = 0; i < width; i += LANES) store(o + b * block + i, load_typed(row, b * width + i, type) * scale);
    }
    for (; b < blocks; b++) {
      for (int i = 0; i < width; i++) {
        o[b * block + i] = b * width + i < count ? load_one(row, b * width + i, type) * scale : 0;
      }
    }
  }
}

INLINE void pack_columns_width(const void *x, int type, int64_t ld, int64_t count, int64_t k, float scale, float *out,
                               const int width, int64_t block) {
  switch (type) {
    case POLICY_F32: pack_columns_of(x, POLICY_F32, ld, count, k, scale, out, width, block); break;
    case POLICY_BF16: pack_columns_of(x, POLICY_BF16, ld, count, k, scale, out, width, block); break;
    default: pack_columns_of(x, POLICY_F16, ld, count, k, scale, out, width, block);
  }
}

// The widths are those of strips, panels and half panels.
static void pack_columns(const void *x, int type, int64_t ld, int64_t count, int64_t k, float scale, float *out,
                         int width, int64_t block) {
  if (width == TILE_ROWS) {
    pack_columns_width(x, type, ld, count, k, scale, out, TILE_ROWS, block);
  } else if (width == TILE_COLUMNS) {
    pack_columns_width(x, type, ld, count, k, scale, out, TILE_COLUMNS, block);
  } else {
    pack_columns_width(x, type, ld, count, k, scale, out, LANES, block);
  }
}

// Two rows of w at a time against all rows of x: each number of w is read once, as decoding is bound by that.
INLINE void narrow_of(const int m, const int type, int64_t k, float alpha, const float *x, int64_t ldx, const void *w,
                      int64_t ldw, int64_t begin, int64_t end, float *out, int64_t ldc, const float *start,
                      int64_t ld_start) {
  for (int64_t j = begin; j < end; j += 2) {
    int rows = end - j > 1 ? 2 : 1;
    const void *w0 = element(w, j * ldw, type), *w1 = element(w, (j + rows - 1) * ldw, type);
    vf sums[2][2][POLICY_NARROW_ROWS];
#pragma clang loop unroll(full)
    for (int i = 0; i < m; i++) sums[0][0][i] = sums[0][1][i] = sums[1][0][i] = sums[1][1][i] = splat(0);
    int64_t s = 0;
    for (; s + 2 * LANES <= k; s += 2 * LANES) {
#pragma clang loop unroll(full)
      for (int h = 0; h < 2; h++) {
        vf a = load_typed(w0, s + h * LANES, type), b = load_typed(w1, s + h * LANES, type);
#pragma clang loop unroll(full)
        for (int i = 0; i < m; i++) {
          vf y = load(x + i * ldx + s + h * LANES);
          sums[0][h][i] = a * y + sums[0][h][i];
          sums[1][h][i] = b * y + sums[1][h][i];
        }
      }
    }
    for (int i = 0; i < m; i++) {
      for (int r = 0; r < rows; r++) {
        float sum = sum_of(sums[r][0][i] + sums[r][1][i]);
        for (int64_t t = s; t < k; t++) sum += load_one(r ? w1 : w0, t, type) * x[i * ldx + t];
        out[i * ldc + j + r] = (start ? start[i * ld_start + j + r] : 0) + sum * alpha;
      }
    }
  }
}

#define NARROW(M, T) \
  narrow_of(M, T, k, alpha, x, ldx, w, ldw, begin, end, out, ldc, start, ld_start)
#define NARROW_TYPES(M)                                        \
  switch (type) {                                              \
    case POLICY_F32: NARROW(M, POLICY_F32); break;             \
    case POLICY_BF16: NARROW(M, POLICY_BF16); break;           \
    default: NARROW(M, POLICY_F16);                            \
  }
static void narrow(int64_t m, int64_t k, float alpha, const float *x, int64_t ldx, const void *w, int type,
                   int64_t ldw, int64_t begin, int64_t end, float *out, int64_t ldc, const float *start,
                   int64_t ld_start) {
  switch (m) {
    case 1: NARROW_TYPES(1) break;
    case 2: NARROW_TYPES(2) break;
    case 3: NARROW_TYPES(3) break;
    default: NARROW_TYPES(4)
  }
}
