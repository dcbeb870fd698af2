// Vectors of floats as wide as the machine has them, and the two functions that networks need.
//
// GCC's and clang's vector types: arithmetic on them is the machine's, and the same source serves
// AVX-512, AVX2, SSE and NEON.
#pragma once

#include <cstdint>
#include <cstring>

namespace mbrl {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * sizeof(float))));
typedef uint32_t Bits __attribute__((vector_size(kLanes * sizeof(float))));

inline Vec load(const float *from) {
  Vec x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

inline void store(float *to, Vec x) { std::memcpy(to, &x, sizeof x); }

// The first `count` numbers, zeros behind them.
inline Vec load_some(const float *from, int count) {
  Vec x{};
  std::memcpy(&x, from, count * sizeof(float));
  return x;
}

inline void store_some(float *to, Vec x, int count) { std::memcpy(to, &x, count * sizeof(float)); }

inline Vec all(float x) { return Vec{} + x; }

inline Vec max(Vec x, float y) { return x < y ? all(y) : x; }

inline Vec min(Vec x, float y) { return x > y ? all(y) : x; }

inline Vec abs(Vec x) { return x < 0.0f ? -x : x; }

inline float sum(Vec x) {
  float total = 0.0f;
  for (int i = 0; i < kLanes; i++) total += x[i];
  return total;
}

// e^x, to 2 units in the last place; NaN stays NaN, what would overflow becomes 2^127 or so.
// x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its series, 2^n put into the exponent.
inline Vec exp(Vec x) {
  x = min(max(x, -87.0f), 88.0f);
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves n in the lowest bits
  const Vec shifted = x * 1.44269504f + kRound;
  const Vec n = shifted - kRound;
  const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  Vec series = all(1.0f / 5040);
  series = series * r + 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 0.5f;
  series = series * r + 1.0f;
  series = series * r + 1.0f;
  Bits bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3f800000u;
  Vec power;
  std::memcpy(&power, &bits, sizeof power);
  return series * power;
}

// log(1 + x) for x in [0, 1], as 2 artanh(x / (2 + x)).
inline Vec log1p(Vec x) {
  const Vec s = x / (2.0f + x), z = s * s;
  Vec series = all(1.0f / 15);
  series = series * z + 1.0f / 13;
  series = series * z + 1.0f / 11;
  series = series * z + 1.0f / 9;
  series = series * z + 1.0f / 7;
  series = series * z + 1.0f / 5;
  series = series * z + 1.0f / 3;
  return 2.0f * s * (series * z + 1.0f);
}

inline Vec sigmoid(Vec x) { return 1.0f / (1.0f + exp(-x)); }

// log(1 + e^x)
inline Vec softplus(Vec x) { return max(x, 0.0f) + log1p(exp(-abs(x))); }

}  // namespace mbrl
