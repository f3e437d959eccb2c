#include "matfac/runtime.hpp"

#include <pybind11/stl.h>

#include "bindings.hpp"
#include "matfac/version.hpp"

namespace matfac::bindings {

void register_runtime(pybind11::module_& m) {
  namespace py = pybind11;
  m.attr("__version__") = MATFAC_VERSION;
  m.def("runtime_info", [] {
    const RuntimeInfo info = runtime_info();
    py::dict result;
    result["version"] = info.version;
    result["instruction_set"] = info.instruction_set;
    result["instruction_sets"] = info.instruction_sets;
    result["n_threads"] = info.n_threads;
    result["openmp"] = info.openmp;
    result["compiler"] = info.compiler;
    return result;
  });
}

}  // namespace matfac::bindings
