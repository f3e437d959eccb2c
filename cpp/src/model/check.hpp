#pragma once

#include <span>

#include "matfac/model.hpp"

namespace matfac {

/// Refuses a model whose shapes do not agree. O(1): for use at every call.
template <class T>
void require_consistent(const ModelView<T>& model);

/// Refuses codes outside [-1, n).
void require_codes(const char* side, std::span<const Code> codes, Index n);

}  // namespace matfac
