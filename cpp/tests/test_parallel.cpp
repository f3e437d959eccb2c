#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>

#include "core/ordered_blocks.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"
#include "core/sum.hpp"
#include "core/wavefront.hpp"
#include "make_ratings.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#define MATFAC_CAN_FORK 1
#endif

using namespace matfac;
using namespace matfac::test;

namespace {

// Order matters to it: mix(mix(s, a), b) is not mix(mix(s, b), a).
std::uint64_t mix(std::uint64_t state, std::uint64_t x) { return (state ^ x) * 0x9E3779B97F4A7C15u + (state >> 29); }

// Takes longer for some x than for others, so that threads overtake each other.
std::uint64_t work(std::uint64_t x) {
  for (std::uint64_t i = 0; i < x % 257 * 20; ++i) x = mix(x, i);
  return x;
}

/// The state of the rows and columns of a grid after its blocks, each of which mixes its row and its column.
struct Grid {
  Grid(Index n_rows, Index n_columns)
      : rows(static_cast<std::size_t>(n_rows), 1), columns(static_cast<std::size_t>(n_columns), 2) {}
  void visit(Index row, Index column, std::uint64_t key) {
    auto& r = rows[static_cast<std::size_t>(row)];
    auto& c = columns[static_cast<std::size_t>(column)];
    const std::uint64_t before = r;
    r = mix(r, work(c + key));
    c = mix(c, work(before + key));
  }
  bool operator==(const Grid&) const = default;
  std::vector<std::uint64_t> rows, columns;
};

}  // namespace

TEST_CASE("parallel_for visits every index once, with a thread number below the resolved one") {
  for (const int n_threads : kThreads) {
    const int resolved = resolve_threads(n_threads);
    std::vector<std::atomic<int>> visits(1000);
    std::atomic<bool> in_range{true};
    parallel_for(1000, n_threads, [&](Index i, int thread) {
      ++visits[static_cast<std::size_t>(i)];
      if (thread < 0 || thread >= resolved) in_range = false;
    });
    CHECK(in_range);
    CHECK(std::all_of(visits.begin(), visits.end(), [](const auto& n) { return n == 1; }));
  }
  parallel_for(0, 2, [](Index, int) { FAIL("there is nothing to visit"); });
}

TEST_CASE("chunks cover the range once") {
  for (const Index chunk : {1, 7, 100, 5000}) {
    std::vector<int> visits(1000);
    parallel_chunks(1000, chunk, 3, [&](Index begin, Index end, int) {
      for (Index i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
    });
    CHECK(visits == std::vector<int>(1000, 1));
  }
}

TEST_CASE("threads: all of them for 0, as many as wanted, never a negative number") {
  CHECK(resolve_threads(0) >= 1);
  CHECK(resolve_threads(5) >= 1);
  CHECK(contains(refusal([] { resolve_threads(-1); }), "n_threads must be at least 0 (0: all), not -1"));
}

TEST_CASE("an exception leaves the loop with its type and message, and the loop can be used again") {
  for (const int n_threads : kThreads) {
    const auto fail_at_17 = [](Index i, int) {
      if (i == 17) throw std::out_of_range("seventeen");
    };
    CHECK_THROWS_WITH_AS(parallel_for(1000, n_threads, fail_at_17), "seventeen", std::out_of_range);
    std::atomic<int> n{0};
    parallel_for(100, n_threads, [&](Index, int) { ++n; });
    CHECK(n == 100);
  }
}

TEST_CASE("a sum has the same bits at any number of threads") {
  std::vector<double> values(100003);
  for (std::uint32_t i = 0; i < values.size(); ++i) {
    values[i] = to_uniform(random_words(3, Stream::user_factors, 0, i)[0]) * 1e6 - 3e5;
  }
  const auto sum = [&](int n_threads) {
    return chunked_sum(static_cast<Index>(values.size()), 1000, n_threads, [&](Index begin, Index end) {
      double s = 0;
      for (Index i = begin; i < end; ++i) s += values[static_cast<std::size_t>(i)];
      return s;
    });
  };
  const double serial = sum(1);
  for (const int n_threads : kThreads) CHECK(sum(n_threads) == serial);
}

TEST_CASE("ordered blocks give the serial result") {
  constexpr Index kRows = 9, kColumns = 7;
  std::vector<Block> order;
  for (Index r = 0; r < kRows; ++r) {
    for (Index c = 0; c < kColumns; ++c) order.push_back({r, c});
  }
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    Grid serial(kRows, kColumns);
    for (std::size_t i = 0; i < order.size(); ++i) serial.visit(order[i].row, order[i].column, i);
    for (const int n_threads : kThreads) {
      Grid parallel(kRows, kColumns);
      run_ordered_blocks(order, kRows, kColumns, n_threads, [&](const Block& block, Index position, int) {
        parallel.visit(block.row, block.column, static_cast<std::uint64_t>(position));
      });
      CHECK(parallel == serial);
    }
  }
}

TEST_CASE("a wavefront gives the result of row by row") {
  for (const auto& [n_rows, n_columns] : {std::pair<Index, Index>{1, 1}, {1, 9}, {9, 1}, {13, 5}, {5, 13}}) {
    Grid serial(n_rows, n_columns);
    for (Index r = 0; r < n_rows; ++r) {
      for (Index c = 0; c < n_columns; ++c) serial.visit(r, c, 7);
    }
    for (const int n_threads : kThreads) {
      Grid parallel(n_rows, n_columns);
      run_wavefront(n_rows, n_columns, n_threads, [&](Index r, Index c, int) { parallel.visit(r, c, 7); });
      CHECK(parallel == serial);
    }
  }
}

TEST_CASE("an exception ends ordered work without a deadlock") {
  const std::vector<Block> order{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {0, 0}, {1, 1}};
  for (const int n_threads : kThreads) {
    const auto fail_in_block = [](const Block&, Index position, int) {
      if (position == 1) throw std::runtime_error("block");
    };
    CHECK_THROWS_WITH(run_ordered_blocks(order, 2, 2, n_threads, fail_in_block), "block");
    const auto fail_in_cell = [](Index row, Index column, int) {
      if (row == 1 && column == 2) throw std::runtime_error("cell");
    };
    CHECK_THROWS_WITH(run_wavefront(6, 5, n_threads, fail_in_cell), "cell");
  }
}

#ifdef MATFAC_CAN_FORK
TEST_CASE("a child forked after parallel work does not hang, and computes the same") {
  const auto total = [] {
    return chunked_sum(1000, 10, 3, [](Index begin, Index end) { return double(end - begin); });
  };
  REQUIRE(total() == 1000);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(60);  // ends a child that hangs
    _exit(resolve_threads(4) == 1 && total() == 1000 ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(total() == 1000);  // the parent goes on as before
}
#endif
