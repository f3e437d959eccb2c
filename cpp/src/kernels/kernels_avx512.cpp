#include <cstdint>

#include "kernels/kernels.hpp"

#define MATFAC_LEVEL_TABLE kernels_avx512
#include "kernels/table.inl"
