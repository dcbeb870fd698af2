// Products of small matrices, in single precision.
//
// A tile of the result, kRows rows by kColumns vectors, stays in registers while the sum runs; the
// right factor is read in vectors along its rows, the left one number by number, so that it may lie
// either way round. Networks of a few hundred units fit the second-level cache, so nothing is
// packed or blocked any further. Every number of the result is one sum in one fixed order: it does
// not depend on what is computed beside it.
#pragma once

#include <algorithm>
#include <vector>

#include "vector.h"

namespace mbrl {

// As many sums as there are registers for, beside those for the factors.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRows = 8, kColumns = 3;
#else
constexpr int kRows = 4, kColumns = 3;
#endif

// Where a number stands: data[row * row_step + column * column_step].
struct Left {
  const float *data;
  int64_t row_step, column_step;
};

template <int kTileRows, int kTileColumns>
inline void tile(int depth, Left a, const float *b, int b_width, const float *bias, float *c,
                 int c_width) {
  Vec sums[kTileRows][kTileColumns];
#pragma GCC unroll 8
  for (int r = 0; r < kTileRows; r++) {
#pragma GCC unroll 8
    for (int v = 0; v < kTileColumns; v++) sums[r][v] = bias ? load(bias + v * kLanes) : Vec{};
  }
  for (int k = 0; k < depth; k++) {
    Vec right[kTileColumns];
#pragma GCC unroll 8
    for (int v = 0; v < kTileColumns; v++) right[v] = load(b + int64_t{k} * b_width + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; r++) {
      const float left = a.data[r * a.row_step + k * a.column_step];
#pragma GCC unroll 8
      for (int v = 0; v < kTileColumns; v++) sums[r][v] += left * right[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kTileRows; r++) {
#pragma GCC unroll 8
    for (int v = 0; v < kTileColumns; v++) store(c + int64_t{r} * c_width + v * kLanes, sums[r][v]);
  }
}

// All rows of some columns: tiles of kTileRows rows, and what is left in ever smaller ones.
template <int kTileRows, int kTileColumns>
void strip(int rows, int depth, Left a, const float *b, int b_width, const float *bias, float *c,
           int c_width) {
  while (rows >= kTileRows) {
    tile<kTileRows, kTileColumns>(depth, a, b, b_width, bias, c, c_width);
    a.data += kTileRows * a.row_step;
    c += int64_t{kTileRows} * c_width;
    rows -= kTileRows;
  }
  if constexpr (kTileRows > 1) {
    if (rows > 0) {
      strip<kTileRows / 2, kTileColumns>(rows, depth, a, b, b_width, bias, c, c_width);
    }
  }
}

// A right factor that is narrower than a vector, with zeros behind each row.
inline void narrow_product(int rows, int columns, int depth, Left a, const float *b,
                           const float *bias, float *c) {
  thread_local std::vector<float> padded;
  padded.assign(int64_t{depth + 1} * kLanes, 0.0f);
  if (bias) std::copy(bias, bias + columns, padded.data());
  float *right = padded.data() + kLanes;
  for (int k = 0; k < depth; k++) {
    std::copy(b + int64_t{k} * columns, b + int64_t{k + 1} * columns, right + int64_t{k} * kLanes);
  }
  float result[kRows * kLanes];
  for (int row = 0; row < rows; row += kRows) {
    const int some = std::min(kRows, rows - row);
    const Left part{a.data + row * a.row_step, a.row_step, a.column_step};
    strip<kRows, 1>(some, depth, part, right, kLanes, padded.data(), result, kLanes);
    for (int r = 0; r < some; r++) {
      std::copy(result + r * kLanes, result + r * kLanes + columns,
                c + int64_t{row + r} * columns);
    }
  }
}

// c [rows, columns] = a [rows, depth] * b [depth, columns] + bias [columns]; null: no bias.
inline void product(int rows, int columns, int depth, Left a, const float *b, const float *bias,
                    float *c) {
  if (columns < kLanes) {
    narrow_product(rows, columns, depth, a, b, bias, c);
    return;
  }
  const int vectors = (columns + kLanes - 1) / kLanes;
  for (int done = 0; done < vectors;) {
    int some = std::min({kColumns, vectors - done, columns / kLanes});
    if (vectors - done == kColumns + 1) some = std::min(some, 2);  // 2 and 2, not 3 and 1
    // The last strip ends with the row, and computes some columns once more.
    const int column = std::min(done * kLanes, columns - some * kLanes);
    const float *from = bias ? bias + column : nullptr;
    const auto run = some == 1 ? strip<kRows, 1> : some == 2 ? strip<kRows, 2> : strip<kRows, 3>;
    run(rows, depth, a, b + column, columns, from, c + column, columns);
    done += some;
  }
}

// to [columns, rows] = from [rows, columns], turned over its diagonal.
inline void transpose(int rows, int columns, const float *from, float *to) {
  if (rows < kLanes || columns < kLanes) {
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) to[int64_t{c} * rows + r] = from[int64_t{r} * columns + c];
    }
    return;
  }
  // Interleaving the upper half of the rows with the lower half, log2(kLanes) times.
  Bits low, high;
  for (int i = 0; i < kLanes; i++) {
    low[i] = i / 2 + i % 2 * kLanes;
    high[i] = low[i] + kLanes / 2;
  }
  for (int i = 0; i < rows; i += kLanes) {
    const int r = std::min(i, rows - kLanes);
    for (int j = 0; j < columns; j += kLanes) {
      const int c = std::min(j, columns - kLanes);
      Vec block[kLanes], mixed[kLanes];
#pragma GCC unroll 16
      for (int k = 0; k < kLanes; k++) block[k] = load(from + int64_t{r + k} * columns + c);
#pragma GCC unroll 4
      for (int round = 1; round < kLanes; round *= 2) {
#pragma GCC unroll 8
        for (int k = 0; k < kLanes / 2; k++) {
          mixed[2 * k] = __builtin_shuffle(block[k], block[k + kLanes / 2], low);
          mixed[2 * k + 1] = __builtin_shuffle(block[k], block[k + kLanes / 2], high);
        }
#pragma GCC unroll 16
        for (int k = 0; k < kLanes; k++) block[k] = mixed[k];
      }
#pragma GCC unroll 16
      for (int k = 0; k < kLanes; k++) store(to + int64_t{c + k} * rows + r, block[k]);
    }
  }
}

}  // namespace mbrl
