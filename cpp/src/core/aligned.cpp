#include "core/aligned.hpp"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace matfac {

void advise_large_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef MADV_HUGEPAGE
  constexpr std::size_t kSmall = 4096, kWorthIt = std::size_t{4} << 20;
  if (bytes < kWorthIt) return;
  const auto offset = reinterpret_cast<std::size_t>(memory) % kSmall;
  const std::size_t skipped = offset == 0 ? 0 : kSmall - offset;
  // Advice: it does no harm where it is refused.
  madvise(static_cast<char*>(memory) + skipped, (bytes - skipped) / kSmall * kSmall, MADV_HUGEPAGE);
#endif
}

}  // namespace matfac
