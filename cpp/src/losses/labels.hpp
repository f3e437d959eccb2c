// Labels: 1 stands for yes, -1 or 0 for no.
#pragma once

namespace matfac {
namespace {

template <class T>
inline __attribute__((always_inline)) T label_sign(T rating) {
  return rating > T(0) ? T(1) : T(-1);
}

}  // namespace
}  // namespace matfac
