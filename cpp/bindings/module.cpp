#include "bindings.hpp"
#include "matfac/error.hpp"

PYBIND11_MODULE(_core, m) {
  using namespace matfac::bindings;
  m.doc() =
      "The native core of matfac. Arrays are taken as they lie; the checks are in C++, the conveniences in Python.";
  pybind11::register_exception<matfac::DivergenceError>(m, "DivergenceError", PyExc_ArithmeticError);
  register_runtime(m);
  register_ratings(m);
  register_ids(m);
  register_operations(m);
  register_fit(m);
  register_model(m);
  register_metrics(m);
  register_model_file(m);
}
