// A stranger's program: trains, saves, maps, recommends, catches an error, and says what it found.
#include <matfac/matfac.hpp>

#include <cstdint>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

namespace {

constexpr matfac::Index kUsers = 60, kItems = 40, kFactors = 4;

// Users and items of the same parity like each other; every third pair is known.
matfac::Ratings<float> make_ratings() {
  std::vector<matfac::Code> users, items;
  std::vector<float> values;
  for (matfac::Code u = 0; u < kUsers; ++u) {
    for (matfac::Code m = 0; m < kItems; ++m) {
      if ((2 * u + m) % 3 != 0) continue;
      users.push_back(u);
      items.push_back(m);
      values.push_back(u % 2 == m % 2 ? 5.0f : 1.0f);
    }
  }
  return matfac::ratings_from_triplets<float>(users, items, values, kUsers, kItems);
}

struct Lists {
  std::vector<matfac::Code> items;
  std::vector<float> scores;
};

Lists recommend(const matfac::ModelView<float>& model) {
  constexpr matfac::Index n = 5;
  std::vector<matfac::Code> users(kUsers);
  std::iota(users.begin(), users.end(), 0);
  Lists lists{std::vector<matfac::Code>(kUsers * n), std::vector<float>(kUsers * n)};
  matfac::recommend<float>(model, users, n, nullptr, {lists.items.data(), kUsers, n}, {lists.scores.data(), kUsers, n});
  return lists;
}

bool refuses_nonsense() {
  try {
    matfac::fit<float>(make_ratings(), {.n_factors = 0});
  } catch (const matfac::InvalidArgument&) {
    return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string path = argc > 1 ? argv[1] : "stranger.safetensors";
  const matfac::Ratings<float> ratings = make_ratings();
  const auto model = matfac::fit<float>(ratings, {.n_factors = kFactors, .max_iter = 20, .n_threads = 2});
  const Lists expected = recommend(model);

  std::vector<std::int64_t> user_ids(kUsers), item_ids(kItems);
  std::iota(user_ids.begin(), user_ids.end(), 100);
  std::iota(item_ids.begin(), item_ids.end(), 1000);
  matfac::ModelRecord record;
  record.user_ids.integers = user_ids;
  record.item_ids.integers = item_ids;
  matfac::save_model<float>(path, model, record);
  const matfac::ModelFile file = matfac::ModelFile::open(path);
  const Lists mapped = recommend(file.model<float>());

  int of_own_parity = 0;
  for (std::size_t i = 0; i < expected.items.size(); ++i) {
    const auto user = static_cast<matfac::Code>(i / 5);
    of_own_parity += expected.items[i] % 2 == user % 2;
  }
  const matfac::RuntimeInfo info = matfac::runtime_info();
  const bool good = matfac::rmse<float>(model, ratings) < 1 &&
                    of_own_parity == static_cast<int>(expected.items.size()) && mapped.items == expected.items &&
                    mapped.scores == expected.scores && file.record().item_ids.find(1007) == 7 &&
                    info.version == MATFAC_VERSION && refuses_nonsense();
  std::printf("%s: matfac %s, %s, OpenMP %s, item %d for user 0\n", good ? "good" : "BAD", info.version.c_str(),
              info.compiler.c_str(), info.openmp.c_str(), expected.items[0]);
  return good ? 0 : 1;
}
