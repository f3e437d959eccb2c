#include <cstdlib>
#include <iterator>

#include "core/message.hpp"
#include "kernels/kernels.hpp"

#ifdef MATFAC_X86_LEVELS
#include <cpuid.h>
#endif

namespace matfac {
namespace {

enum Level { kBaseline, kAvx2, kAvx512 };
constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};

#ifdef MATFAC_X86_LEVELS
// The registers that the operating system saves (XCR0).
unsigned long long saved_registers() {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<unsigned long long>(high) << 32) | low;
}

// Both the processor and the operating system must support a level's registers.
Level best_level() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return kBaseline;
  constexpr unsigned kOsxsave = 1u << 27, kAvx = 1u << 28, kFma = 1u << 12;
  if ((c & kOsxsave) == 0 || (c & kAvx) == 0 || (c & kFma) == 0) return kBaseline;
  const unsigned long long saved = saved_registers();
  constexpr unsigned long long kYmm = 0x6, kZmm = 0xe6;
  if ((saved & kYmm) != kYmm) return kBaseline;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return kBaseline;
  constexpr unsigned kAvx2Bit = 1u << 5;
  constexpr unsigned kAvx512Bits = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);  // F, DQ, BW, VL
  if ((b & kAvx2Bit) == 0) return kBaseline;
  if ((b & kAvx512Bits) != kAvx512Bits || (saved & kZmm) != kZmm) return kAvx2;
  return kAvx512;
}
#else
Level best_level() { return kBaseline; }
#endif

// The level is read from the environment at the first use, not when the library is loaded: an unusable MATFAC_ISA is an
// error that can be caught, not a failed import.
Level chosen_level() {
  const Level best = best_level();
  const char* const forced = std::getenv("MATFAC_ISA");
  if (forced == nullptr || *forced == '\0') return best;
  for (int level = kBaseline; level <= best; ++level) {
    if (std::string(forced) == kNames[level]) return static_cast<Level>(level);
  }
  std::string possible;
  for (int level = kBaseline; level <= best; ++level) possible += std::string(level == 0 ? "" : ", ") + kNames[level];
  throw InvalidArgument(message("MATFAC_ISA is '", forced, "', but this build on this processor can run: ", possible));
}

Level level() {
  static const Level chosen = chosen_level();
  return chosen;
}

}  // namespace

template <class T>
const Kernels<T>& kernels() {
#ifdef MATFAC_X86_LEVELS
  switch (level()) {
    case kAvx512: return kernels_avx512<T>();
    case kAvx2: return kernels_avx2<T>();
    case kBaseline: break;
  }
#else
  (void)level();
#endif
  return kernels_baseline<T>();
}

template const Kernels<float>& kernels();
template const Kernels<double>& kernels();

const std::string& instruction_set() {
  static const std::string name = kNames[level()];
  return name;
}

std::vector<std::string> instruction_sets() { return {kNames, std::next(kNames, best_level() + 1)}; }

}  // namespace matfac
