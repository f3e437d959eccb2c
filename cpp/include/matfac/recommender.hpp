#pragma once

#include <memory>
#include <span>

#include "matfac/export.hpp"
#include "matfac/model.hpp"
#include "matfac/ratings.hpp"
#include "matfac/settings.hpp"
#include "matfac/types.hpp"

/// A model made ready for a service: what a question would find out anew each time is found out once.
namespace matfac {

/// `fold_in` with what does not depend on the ratings kept: a sum over all items (implicit_squared), the sample that
/// stands for what a user has not chosen (bpr, warp). Copies share it; one that was moved from throws
/// InvalidArgument. All members are const and thread-safe.
template <class T>
class MATFAC_API FoldIn {
 public:
  /// Throws as `fold_in` does. The model's memory must outlive this object.
  FoldIn(const ModelView<T>& model, const Settings& settings, int n_threads = 0);

  void operator()(const RatingsView<T>& ratings, MatrixView<T> user_factors, std::span<T> user_biases,
                  int n_threads = 1) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

/// All questions that a service asks of one model. Copies share what is kept; one that was moved from throws
/// InvalidArgument. All members are const and thread-safe; one query, or a few, are answered on the calling thread
/// unless more are asked for.
///
/// To exchange the model under load, hold a std::shared_ptr<const Holder> under a mutex, the holder owning the memory
/// (a `ModelFile`, say) and its Recommender: each request takes the pointer once and answers from what it has taken.
template <class T>
class MATFAC_API Recommender {
 public:
  /// Throws InvalidArgument unless the shapes agree and every number of the items is finite. The items are read once,
  /// the users' rows are not touched. The model's memory must outlive this object. Without settings (those of the
  /// fit's report, or `ModelFile::settings`) `fold_in` and `recommend_new` refuse to work.
  explicit Recommender(const ModelView<T>& model, const Settings* settings = nullptr, int n_threads = 0);

  const ModelView<T>& model() const;

  /// As the functions of the same names in model.hpp.
  void predict(std::span<const Code> users, std::span<const Code> items, std::span<T> out, int n_threads = 1) const;
  void recommend(std::span<const Code> users, Index n, const Filters& filters, MatrixView<Code> items,
                 MatrixView<T> scores, int n_threads = 1) const;
  void similar_items(std::span<const Code> queries, Index n, MatrixView<Code> items, MatrixView<T> scores,
                     int n_threads = 1) const;
  void fold_in(const RatingsView<T>& ratings, MatrixView<T> user_factors, std::span<T> user_biases,
               int n_threads = 1) const;

  /// The n best items for each row of `ratings`, users who were not in the training: `fold_in`, then `recommend`. What
  /// they have rated is left out only where the filters say so: `{&ratings}`.
  void recommend_new(const RatingsView<T>& ratings, Index n, const Filters& filters, MatrixView<Code> items,
                     MatrixView<T> scores, int n_threads = 1) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace matfac
