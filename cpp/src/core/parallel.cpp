#include "core/parallel.hpp"

#include <algorithm>
#include <cstdlib>

#include "core/cpu_limit.hpp"
#include "core/message.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define MATFAC_HAS_ATFORK 1
#endif

namespace matfac {
namespace {

std::atomic<bool> g_used_openmp{false};
std::atomic<bool> g_team_lost{false};

#ifdef MATFAC_HAS_ATFORK
void after_fork_in_child() {
  if (g_used_openmp.load()) g_team_lost.store(true);
}
#endif

#ifdef _OPENMP
/// What 0 stands for: OMP_NUM_THREADS or `omp_set_num_threads` if they say, but no more threads than the process may
/// run at once unless the variable asks for them: they would only wait for each other.
int default_threads() {
  static const bool is_chosen = std::getenv("OMP_NUM_THREADS") != nullptr;
  static const int limit = cpu_limit();
  const int wanted = omp_get_max_threads();
  return is_chosen ? wanted : std::max(1, std::min({wanted, omp_get_num_procs(), limit}));
}
#endif

}  // namespace

void detail::note_parallel_region() {
  if (g_used_openmp.load(std::memory_order_relaxed)) return;
#ifdef MATFAC_HAS_ATFORK
  static std::once_flag registered;
  std::call_once(registered, [] { pthread_atfork(nullptr, nullptr, after_fork_in_child); });
#endif
  g_used_openmp.store(true);
}

int resolve_threads(int n_threads) {
  require(n_threads >= 0, "n_threads must be at least 0 (0: all), not ", n_threads);
#ifdef _OPENMP
  if (g_team_lost.load(std::memory_order_relaxed)) return 1;
  // Results do not depend on the number, so an absurd one is cut to what the system can be trusted to start.
  const int most = std::max(64, 4 * omp_get_num_procs());
  return std::min(n_threads > 0 ? n_threads : default_threads(), most);
#else
  return 1;
#endif
}

}  // namespace matfac
