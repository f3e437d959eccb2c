#include <exception>
#include <new>

#include "bindings.hpp"
#include "matfac/error.hpp"

PYBIND11_MODULE(_core, m) {
  using namespace matfac::bindings;
  m.doc() =
      "The native core of matfac. Arrays are taken as they lie; the checks are in C++, the conveniences in Python.";
  pybind11::register_exception<matfac::DivergenceError>(m, "DivergenceError", PyExc_ArithmeticError);
  pybind11::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const std::bad_alloc&) {
      PyErr_SetString(PyExc_MemoryError, "there is not enough memory; fewer factors or threads need less");
    }
  });
  register_runtime(m);
  register_ratings(m);
  register_ids(m);
  register_operations(m);
  register_fit(m);
  register_model(m);
  register_metrics(m);
  register_model_file(m);
}
