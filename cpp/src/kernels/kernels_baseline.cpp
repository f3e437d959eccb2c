#include <cstdint>

#include "kernels/kernels.hpp"

#define MATFAC_LEVEL_TABLE kernels_baseline
#include "kernels/table.inl"
