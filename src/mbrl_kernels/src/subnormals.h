// Numbers below 1.2e-38 are taken for zero meanwhile. Processors take a hundred cycles and more for
// each of them, and a network with steady units makes many: squares of gradients of 1e-20.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace mbrl {

// As long as it lives, the calling thread has no subnormal numbers; afterwards what it had before.
class WithoutSubnormals {
 public:
  WithoutSubnormals() : before_(read()) { write(before_ | kFlush); }
  ~WithoutSubnormals() { write(before_); }
  WithoutSubnormals(const WithoutSubnormals &) = delete;
  WithoutSubnormals &operator=(const WithoutSubnormals &) = delete;

 private:
#if defined(__SSE2__)
  static constexpr uint64_t kFlush = 0x8040;  // results (FTZ) and operands (DAZ)
  static uint64_t read() { return _mm_getcsr(); }
  static void write(uint64_t state) { _mm_setcsr(static_cast<unsigned>(state)); }
#elif defined(__aarch64__)
  static constexpr uint64_t kFlush = uint64_t{1} << 24;  // FZ
  static uint64_t read() {
    uint64_t state;
    asm volatile("mrs %0, fpcr" : "=r"(state) : : "memory");
    return state;
  }
  static void write(uint64_t state) { asm volatile("msr fpcr, %0" : : "r"(state) : "memory"); }
#else
  static constexpr uint64_t kFlush = 0;
  static uint64_t read() { return 0; }
  static void write(uint64_t) {}
#endif
  uint64_t before_;
};

}  // namespace mbrl
