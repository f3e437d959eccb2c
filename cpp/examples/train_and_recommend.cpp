// A first program: trains on ratings, measures the model, saves and maps it, and recommends to a user of the training
// and to a visitor of whom a few ratings are known. docs/embedding.md explains how to build it.
//
//   train_and_recommend [MODEL]      MODEL: where the model is written (model.safetensors)

#include <matfac/matfac.hpp>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr matfac::Index kUsers = 2000, kItems = 500;

/// Triplets (user, item, rating), as they would come from a log. Users and items have one of five tastes each, and an
/// item of one's own taste is rated about two stars higher.
struct Log {
  std::vector<matfac::Code> users, items;
  std::vector<float> ratings;
};

Log make_log(int n_ratings, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<matfac::Code> user(0, kUsers - 1), item(0, kItems - 1);
  std::normal_distribution<float> noise(0.0f, 0.3f);
  Log log;
  for (int i = 0; i < n_ratings; ++i) {
    const matfac::Code u = user(random), m = item(random);
    log.users.push_back(u);
    log.items.push_back(m);
    log.ratings.push_back((u % 5 == m % 5 ? 4.5f : 2.5f) + noise(random));
  }
  return log;
}

/// A pair that was drawn twice keeps its last rating.
matfac::Ratings<float> read(const Log& log) {
  return matfac::ratings_from_triplets<float>(log.users, log.items, log.ratings, kUsers, kItems,
                                              matfac::Duplicates::last);
}

void print(const char* title, const std::vector<matfac::Code>& items, const std::vector<float>& scores) {
  std::printf("%s\n", title);
  for (std::size_t i = 0; i < items.size(); ++i) std::printf("  item %4d  %.2f\n", items[i], scores[i]);
}

void run(const std::string& path) {
  const matfac::Ratings<float> train = read(make_log(60'000, 1)), test = read(make_log(6'000, 2));
  matfac::Settings wanted;
  wanted.n_factors = 16;
  wanted.max_iter = 10;
  const auto trained = matfac::fit<float>(train, wanted);
  std::printf("RMSE on ratings that were held out: %.3f\n", matfac::rmse<float>(trained, test));

  // The file holds raw ids too; here they are the numbers themselves.
  std::vector<std::int64_t> user_ids(kUsers), item_ids(kItems);
  std::iota(user_ids.begin(), user_ids.end(), 0);
  std::iota(item_ids.begin(), item_ids.end(), 0);
  matfac::ModelRecord record;
  record.user_ids.integers = user_ids;
  record.item_ids.integers = item_ids;
  record.seen = train.view();
  record.metadata = matfac::metadata_of(trained.report);
  matfac::save_model<float>(path, trained, record);

  // Mapped, not read: opening costs the same at any size, and processes share the memory.
  const matfac::ModelFile file = matfac::ModelFile::open(path);
  const matfac::Settings settings = file.settings();
  const matfac::Recommender<float> recommender(file.model<float>(), &settings);

  constexpr matfac::Index n = 5;
  std::vector<matfac::Code> items(n);
  std::vector<float> scores(n);
  const matfac::Code user = file.record().user_ids.find(17);
  const matfac::PatternView& seen = file.record().seen;  // of all users; the call below wants a row a query
  const matfac::Index begin = seen.offsets[user], end = seen.offsets[user + 1];
  const std::vector<matfac::Index> offsets{0, end - begin};
  const matfac::PatternView of_user{1, kItems, offsets.data(), seen.items + begin};
  recommender.recommend({&user, 1}, n, &of_user, {items.data(), 1, n}, {scores.data(), 1, n});
  print("user 17, what was rated left out", items, scores);

  // A visitor likes items 3, 8 and 13: factors and a bias from these alone, then as for anybody else.
  const std::vector<matfac::Code> visitor(3, 0), liked{3, 8, 13};
  const std::vector<float> stars{5, 5, 4};
  const auto few = matfac::ratings_from_triplets<float>(visitor, liked, stars, 1, kItems);
  const matfac::PatternView rated = few.view();
  recommender.recommend_new(few, n, &rated, {items.data(), 1, n}, {scores.data(), 1, n});
  print("a visitor who likes items 3, 8 and 13", items, scores);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc > 1 ? argv[1] : "model.safetensors");
  } catch (const std::exception& error) {  // matfac::InvalidArgument, DivergenceError, FileError: the message says what
    std::fprintf(stderr, "train_and_recommend: %s\n", error.what());
    return 1;
  }
}
