#pragma once

#include <span>

#include "core/aligned.hpp"
#include "matfac/model.hpp"

namespace matfac {

/// 1 / |v| of each item, with 1 / 0 taken as 0.
template <class T>
AlignedBuffer<T> inverse_norms(MatrixView<const T> item_factors, int n_threads);

/// `similar_items`, given the inverse norms.
template <class T>
void rank_similar(const ModelView<T>& model, const AlignedBuffer<T>& norms, std::span<const Code> queries, Index n,
                  MatrixView<Code> items, MatrixView<T> scores, int n_threads);

}  // namespace matfac
