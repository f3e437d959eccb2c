#pragma once

/// matfac: sparse matrix factorization, R = U V^T. Three ideas: `RatingsView` (data), `Settings` (what to compute) and
/// `ModelView` (the result); the verbs are `fit`, `predict`, `recommend`, `fold_in`, `save_model`. A service asks a
/// `Recommender`.
#include "matfac/encode.hpp"
#include "matfac/error.hpp"
#include "matfac/fit.hpp"
#include "matfac/metrics.hpp"
#include "matfac/model.hpp"
#include "matfac/model_file.hpp"
#include "matfac/operations.hpp"
#include "matfac/ratings.hpp"
#include "matfac/recommender.hpp"
#include "matfac/runtime.hpp"
#include "matfac/settings.hpp"
#include "matfac/types.hpp"
#include "matfac/version.hpp"
