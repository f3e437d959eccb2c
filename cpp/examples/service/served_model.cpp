#include "served_model.hpp"

#include <algorithm>

namespace service {

using matfac::Code;
using matfac::Index;

namespace {

template <class T>
class TypedModel final : public ServedModel {
 public:
  explicit TypedModel(matfac::ModelFile opened)
      : ServedModel(std::move(opened)), recommender_(recommender_of(file(), settings(), fold_in_fault_)) {}

  std::vector<double> predict(const std::vector<Code>& users, const std::vector<Code>& items) const override {
    std::vector<T> estimates(users.size());
    recommender_.predict(users, items, estimates);
    return {estimates.begin(), estimates.end()};
  }

  Lists recommend(const std::vector<Code>& users, Index n, const matfac::Filters& filters) const override {
    return lists_of(users.size(), n,
                    [&](auto items, auto scores) { recommender_.recommend(users, n, filters, items, scores); });
  }

  Lists recommend_new(const Visitors& visitors, Index n, const matfac::Filters& filters) const override {
    const std::vector<T> values(visitors.values.begin(), visitors.values.end());
    const matfac::RatingsView<T> ratings{visitors.rated.view(n_items()), values.data(), nullptr};
    return lists_of(static_cast<std::size_t>(visitors.rated.size()), n,
                    [&](auto items, auto scores) { recommender_.recommend_new(ratings, n, filters, items, scores); });
  }

  Lists similar_items(const std::vector<Code>& queries, Index n) const override {
    return lists_of(queries.size(), n,
                    [&](auto items, auto scores) { recommender_.similar_items(queries, n, items, scores); });
  }

 private:
  /// With the settings of the fit, or else without them: a model of somebody else may have factors and nothing more.
  static matfac::Recommender<T> recommender_of(const matfac::ModelFile& file, const matfac::Settings& settings,
                                               std::string& fault) {
    try {
      return matfac::Recommender<T>(file.model<T>(), &settings);
    } catch (const matfac::InvalidArgument& error) {
      matfac::Recommender<T> without(file.model<T>());  // throws again where the settings are not at fault
      fault = error.what();
      return without;
    }
  }

  template <class Ask>
  static Lists lists_of(std::size_t n_queries, Index n, const Ask& ask) {
    const auto rows = static_cast<Index>(n_queries);
    std::vector<Code> items(n_queries * static_cast<std::size_t>(n));
    std::vector<T> scores(items.size());
    ask(matfac::MatrixView<Code>{items.data(), rows, n}, matfac::MatrixView<T>{scores.data(), rows, n});
    return {n, std::move(items), {scores.begin(), scores.end()}};
  }

  matfac::Recommender<T> recommender_;
};

}  // namespace

void Rows::end_row_sorted() {
  std::sort(items.begin() + offsets.back(), items.end());
  items.erase(std::unique(items.begin() + offsets.back(), items.end()), items.end());
  end_row();
}

std::shared_ptr<const ServedModel> ServedModel::load(const std::string& path) {
  matfac::ModelFile file = matfac::ModelFile::open(path);
  try {
    if (file.is_double()) return std::make_shared<const TypedModel<double>>(std::move(file));
    return std::make_shared<const TypedModel<float>>(std::move(file));
  } catch (const matfac::InvalidArgument& error) {
    throw matfac::FileError(path + ": " + error.what());  // nobody's argument: it is the file that does not serve
  }
}

}  // namespace service
