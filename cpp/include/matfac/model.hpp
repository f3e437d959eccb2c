#pragma once

#include <span>
#include <vector>

#include "matfac/export.hpp"
#include "matfac/fit.hpp"
#include "matfac/ratings.hpp"
#include "matfac/settings.hpp"
#include "matfac/types.hpp"

namespace matfac {

/// A fitted model that somebody else owns: r_hat_nm = mu + b_n + c_m + u_n . v_m.
/// All functions below are safe to call from many threads at once.
template <class T>
struct ModelView {
  MatrixView<const T> user_factors;  ///< n_users x F
  MatrixView<const T> item_factors;  ///< n_items x F
  std::span<const T> user_biases;    ///< n_users entries, or none
  std::span<const T> item_biases;    ///< n_items entries, or none
  double global_mean = 0;            ///< mu

  /// The same items with other users: those of `fold_in`, say. A single one may be a row of its own.
  ModelView with_users(MatrixView<const T> factors, std::span<const T> biases) const {
    return {factors, item_factors, biases, item_biases, global_mean};
  }
};

/// A fitted model that owns its memory.
template <class T>
struct Model {
  Index n_users = 0;
  Index n_items = 0;
  Index n_factors = 0;
  std::vector<T> user_factors, item_factors, user_biases, item_biases;
  double global_mean = 0;
  FitReport report;

  ModelView<T> view() const {
    return {{user_factors.data(), n_users, n_factors},
            {item_factors.data(), n_items, n_factors},
            user_biases,
            item_biases,
            global_mean};
  }
  operator ModelView<T>() const { return view(); }
};

/// Factorizes `train` into a model of its own; see the `fit` on caller's arrays for errors and promises.
/// `settings.init` must be `Init::random`.
template <class T>
MATFAC_API Model<T> fit(const RatingsView<T>& train, const Settings& settings, const RatingsView<T>* eval = nullptr,
                        const OnIteration& on_iteration = {});

/// Throws InvalidArgument unless the shapes agree and every number is finite.
template <class T>
MATFAC_API void validate(const ModelView<T>& model);

/// out[i] = r_hat of (users[i], items[i]). A code of -1 is an unknown user or item: what is known is used (the other
/// side's bias, the mean). All spans have the same length.
template <class T>
MATFAC_API void predict(const ModelView<T>& model, std::span<const Code> users, std::span<const Code> items,
                        std::span<T> out, int n_threads = 0);

/// Root of the mean squared error over `ratings`, which have the model's shape; NaN when there are none.
template <class T>
MATFAC_API double rmse(const ModelView<T>& model, const RatingsView<T>& ratings, int n_threads = 0);

/// The mean loss of a rating (with the ratings' weights, if they have any); NaN when there are none.
template <class T>
MATFAC_API double mean_loss(const ModelView<T>& model, const RatingsView<T>& ratings, const LossFunction& loss,
                            int n_threads = 0);

/// Which items may be recommended. Each pattern has one row a query, in the order of the queries, or one for them all.
struct Filters {
  const PatternView* exclude = nullptr;  ///< left out: what the user has seen, say
  const PatternView* among = nullptr;    ///< and no others than these; null: all items

  Filters() = default;
  Filters(const PatternView* excluded, const PatternView* allowed = nullptr) : exclude(excluded), among(allowed) {}
};

/// The n best items for each of `users`, best first, ties by the lower code.
///
/// `items` and `scores` are (users.size() x n); where fewer than n items remain the rest is -1 and -infinity. A score
/// is what `predict` gives, to the bit. A user of -1 is unknown: factors and bias of zero.
/// Cost: 2F flop a user and item, or a user and item of `among`.
template <class T>
MATFAC_API void recommend(const ModelView<T>& model, std::span<const Code> users, Index n, const Filters& filters,
                          MatrixView<Code> items, MatrixView<T> scores, int n_threads = 0);

/// The n items most similar to each of `queries` by the cosine of their factors, the query itself left out.
/// Layout and filling as for `recommend`; of a query of -1 nothing is similar. The cosine with a zero row is 0. Each
/// call computes the norms of all items: `Recommender` keeps them.
template <class T>
MATFAC_API void similar_items(const ModelView<T>& model, std::span<const Code> queries, Index n, MatrixView<Code> items,
                              MatrixView<T> scores, int n_threads = 0);

/// Factors (ratings.n_users x F) and biases (n_users entries, none without biases) of users who were not in the
/// training: each row minimizes the objective of `settings` (the report's: nothing that matters may be open) over the
/// user's own parameters, the items' held fixed.
/// `ratings` has the model's items. A user without ratings gets zeros. What does not depend on the ratings is computed
/// at each call: `Recommender` keeps it.
template <class T>
MATFAC_API void fold_in(const ModelView<T>& model, const Settings& settings, const RatingsView<T>& ratings,
                        MatrixView<T> user_factors, std::span<T> user_biases, int n_threads = 0);

}  // namespace matfac
