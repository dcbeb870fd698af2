// Losses of one member on one batch, and their derivatives by its outputs.
//
// They are those of mbrl_dynamics.gradient, which says where they come from. Outputs and
// derivatives are [batch, width]; each function handles some columns of them, a vector of rows at a
// time.
#pragma once

#include <algorithm>
#include <cmath>

#include "vector.h"

namespace mbrl {

// Rows `first` to `first + count` of one column of a matrix.
inline Vec column(const float *from, int width, int first, int count) {
  Vec x{};
  for (int i = 0; i < count; i++) x[i] = from[int64_t{first + i} * width];
  return x;
}

inline void store_column(float *to, int width, int first, int count, Vec x) {
  for (int i = 0; i < count; i++) to[int64_t{first + i} * width] = x[i];
}

// 1 for the rows that there are, 0 behind them.
inline Vec present(int count) {
  Vec x{};
  for (int i = 0; i < count; i++) x[i] = 1.0f;
  return x;
}

// The mean of the squared error.
inline float squared(int batch, int count, const float *targets, const float *output, int width,
                     float *derivative) {
  const float scale = 1.0f / (static_cast<float>(batch) * count);
  float total = 0.0f;
  for (int row = 0; row < batch; row++) {
    for (int t = 0; t < count; t++) {
      const int64_t at = int64_t{row} * width + t;
      const float difference = output[at] - targets[int64_t{row} * count + t];
      total += difference * difference;
      derivative[at] = 2.0f * scale * difference;
    }
  }
  return total * scale;
}

// The negative log-likelihood; its derivative, as PETS has it, is that of twice the loss. Adds
// to the derivatives by the bounds of the log-variance, which hold the penalty.
inline float gaussian(int batch, int count, const float *targets, const float *output, int width,
                      const float *low, const float *high, float *derivative, float *d_low,
                      float *d_high) {
  const float scale = 1.0f / (static_cast<float>(batch) * count);
  float total = 0.0f;
  for (int t = 0; t < count; t++) {
    Vec loss{}, to_low_bound{}, to_high_bound{};
    for (int row = 0; row < batch; row += kLanes) {
      const int rows = std::min(kLanes, batch - row);
      const Vec weight = present(rows);
      const Vec below = high[t] - column(output + count + t, width, row, rows);
      const Vec above = (high[t] - low[t]) - softplus(below);
      const Vec logvar = low[t] + softplus(above);
      const Vec difference =
          column(output + t, width, row, rows) - column(targets + t, count, row, rows);
      const Vec weighted = difference * exp(-logvar) * weight;
      const Vec square = difference * weighted;
      const Vec d_logvar = (weight - square) * scale;
      const Vec d_above = d_logvar * sigmoid(above);
      const Vec d_raw = d_above * sigmoid(below);
      loss += square + logvar * weight;
      to_low_bound += d_logvar - d_above;
      to_high_bound += d_above - d_raw;
      store_column(derivative + t, width, row, rows, 2.0f * scale * weighted);
      store_column(derivative + count + t, width, row, rows, d_raw);
    }
    total += sum(loss);
    d_low[t] += sum(to_low_bound);
    d_high[t] += sum(to_high_bound);
  }
  return 0.5f * (total * scale + 1.83787707f);  // log 2 pi
}

// The cross-entropy of the episode's end; one column.
inline float cross_entropy(int batch, const float *ends, const float *output, int width,
                           float *derivative) {
  const float scale = 1.0f / static_cast<float>(batch);
  Vec loss{};
  for (int row = 0; row < batch; row += kLanes) {
    const int rows = std::min(kLanes, batch - row);
    const Vec logit = column(output, width, row, rows), end = column(ends, 1, row, rows);
    loss += (softplus(logit) - end * logit) * present(rows);
    store_column(derivative, width, row, rows, (sigmoid(logit) - end) * scale);
  }
  return sum(loss) * scale;
}

}  // namespace mbrl
