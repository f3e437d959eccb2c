#include "matfac/runtime.hpp"

#include "core/message.hpp"
#include "core/parallel.hpp"
#include "kernels/kernels.hpp"
#include "matfac/version.hpp"

namespace matfac {

RuntimeInfo runtime_info() {
  RuntimeInfo info;
  info.version = MATFAC_VERSION;
  info.instruction_set = instruction_set();
  info.instruction_sets = instruction_sets();
  info.n_threads = resolve_threads(0);
#ifdef _OPENMP
  info.openmp = std::to_string(_OPENMP);
#endif
#if defined(__clang__)
  info.compiler = message("clang ", __clang_major__, ".", __clang_minor__, ".", __clang_patchlevel__);
#elif defined(__GNUC__)
  info.compiler = message("gcc ", __GNUC__, ".", __GNUC_MINOR__, ".", __GNUC_PATCHLEVEL__);
#endif
  return info;
}

}  // namespace matfac
