# What each compiler is told. Sets MATFAC_PROCESSOR, MATFAC_WARNINGS, MATFAC_NO_CONTRACTION, MATFAC_RELEASE_FLAGS and the
# flags of the bindings, MATFAC_GLUE_FLAGS, and of the kernels: MATFAC_KERNEL_FLAGS (all levels), MATFAC_BASELINE_FLAGS, MATFAC_AVX2_FLAGS, MATFAC_AVX512_FLAGS.

set(MATFAC_PROCESSOR "${CMAKE_SYSTEM_PROCESSOR}")
if(APPLE AND CMAKE_OSX_ARCHITECTURES)
  list(LENGTH CMAKE_OSX_ARCHITECTURES _count)
  if(_count GREATER 1)
    message(FATAL_ERROR "matfac has kernels for one architecture at a time: build once for each of "
                        "${CMAKE_OSX_ARCHITECTURES} and join the results with lipo")
  endif()
  set(MATFAC_PROCESSOR "${CMAKE_OSX_ARCHITECTURES}")
endif()

# The kernels are written with the vector extensions of GCC and Clang.
if(CMAKE_CXX_COMPILER_ID STREQUAL "MSVC")
  message(FATAL_ERROR "matfac cannot be compiled by Microsoft's cl: its kernels use the vector extensions of GCC and "
                      "Clang. On Windows use clang-cl, which links with everything that cl compiles: cmake -T ClangCL, "
                      "or -G Ninja -DCMAKE_CXX_COMPILER=clang-cl")
endif()

set(_optimized "-O3 -fno-exceptions -fno-math-errno -fno-trapping-math")
set(_levels_avx2 "-mavx2 -mfma")
set(_levels_avx512 "-mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512")
if(MSVC)
  # clang-cl takes Clang's options with a prefix.
  set(MATFAC_WARNINGS /W3 -Wno-unknown-pragmas)
  set(MATFAC_NO_CONTRACTION /clang:-ffp-contract=off)
  set(MATFAC_RELEASE_FLAGS "")
  set(MATFAC_KERNEL_FLAGS "/EHs-c- /clang:-O3 /clang:-fno-math-errno /clang:-fno-trapping-math")
  string(REPLACE "-mprefer" "/clang:-mprefer" _levels_avx512 "${_levels_avx512}")
  set(MATFAC_FUSED "/clang:-ffp-contract=fast")
else()
  set(MATFAC_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
  set(MATFAC_NO_CONTRACTION -ffp-contract=off)
  set(MATFAC_RELEASE_FLAGS -O2)
  set(MATFAC_KERNEL_FLAGS "${_optimized} -Wno-psabi -Wno-uninitialized")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    string(APPEND MATFAC_KERNEL_FLAGS " -Wno-maybe-uninitialized")
    list(APPEND MATFAC_WARNINGS $<$<BOOL:${CMAKE_UNITY_BUILD}>:-Wno-subobject-linkage>)
  endif()
  set(MATFAC_FUSED "-ffp-contract=fast")
endif()

set(MATFAC_GLUE_FLAGS "")
if(NOT MSVC)
  set(MATFAC_GLUE_FLAGS -Wall -Wextra $<$<CONFIG:Release>:-O1>)
endif()

set(MATFAC_BASELINE_FLAGS "")
if(MATFAC_PROCESSOR MATCHES "aarch64|arm64|ARM64")
  set(MATFAC_BASELINE_FLAGS "${MATFAC_FUSED}")  # every such processor fuses
endif()
set(MATFAC_AVX2_FLAGS "${_levels_avx2}")
set(MATFAC_AVX512_FLAGS "${_levels_avx512}")
