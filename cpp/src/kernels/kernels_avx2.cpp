#include <cstdint>

#include "kernels/kernels.hpp"

#define MATFAC_LEVEL_TABLE kernels_avx2
#include "kernels/table.inl"
