// Nonlinearities: their value and their slope, found together in the forward pass.
#pragma once

#include "vector.h"

namespace mbrl {

// The numbers are those of mbrl_dynamics.native.
enum class Activation : int32_t { silu, relu, tanh, gelu, elu, leaky_relu, softplus, sigmoid };

struct Curve {
  Vec value, slope;
};

struct Silu {
  static Curve at(Vec x) {
    const Vec s = sigmoid(x), y = x * s;
    return {y, s + y * (1.0f - s)};
  }
};

struct Relu {
  static Curve at(Vec x) { return {x > 0.0f ? x : Vec{}, x > 0.0f ? all(1.0f) : Vec{}}; }
};

struct Tanh {
  static Curve at(Vec x) {
    const Vec y = 2.0f * sigmoid(2.0f * x) - 1.0f;
    return {y, 1.0f - y * y};
  }
};

struct Gelu {
  static Curve at(Vec x) {
    // The normal distribution; Abramowitz & Stegun 7.1.26, wrong by less than 2e-7.
    const Vec z = abs(x) * 0.70710678f, t = 1.0f / (1.0f + 0.3275911f * z), density = exp(-z * z);
    Vec series = all(1.061405429f);
    series = series * t - 1.453152027f;
    series = series * t + 1.421413741f;
    series = series * t - 0.284496736f;
    series = series * t + 0.254829592f;
    const Vec tail = 0.5f * series * t * density, below = x < 0.0f ? tail : 1.0f - tail;
    return {x * below, below + x * density * 0.39894228f};
  }
};

struct Elu {
  static Curve at(Vec x) {
    const Vec e = exp(min(x, 0.0f));
    return {x > 0.0f ? x : e - 1.0f, e};
  }
};

struct LeakyRelu {
  static Curve at(Vec x) {
    return {x > 0.0f ? x : 0.01f * x, x > 0.0f ? all(1.0f) : all(0.01f)};
  }
};

struct Softplus {
  static Curve at(Vec x) { return {softplus(x), sigmoid(x)}; }
};

struct Sigmoid {
  static Curve at(Vec x) {
    const Vec y = sigmoid(x);
    return {y, y * (1.0f - y)};
  }
};

// x becomes the slope at x, y the value.
template <typename Function>
void activate(int64_t count, float *x, float *y) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Curve curve = Function::at(load(x + i));
    store(x + i, curve.slope);
    store(y + i, curve.value);
  }
  const int rest = static_cast<int>(count - i);
  const Curve curve = Function::at(load_some(x + i, rest));
  store_some(x + i, curve.slope, rest);
  store_some(y + i, curve.value, rest);
}

inline void activate(Activation activation, int64_t count, float *x, float *y) {
  switch (activation) {
    case Activation::silu: return activate<Silu>(count, x, y);
    case Activation::relu: return activate<Relu>(count, x, y);
    case Activation::tanh: return activate<Tanh>(count, x, y);
    case Activation::gelu: return activate<Gelu>(count, x, y);
    case Activation::elu: return activate<Elu>(count, x, y);
    case Activation::leaky_relu: return activate<LeakyRelu>(count, x, y);
    case Activation::softplus: return activate<Softplus>(count, x, y);
    case Activation::sigmoid: return activate<Sigmoid>(count, x, y);
  }
}

}  // namespace mbrl
