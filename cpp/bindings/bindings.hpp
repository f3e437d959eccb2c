#pragma once

#include <pybind11/pybind11.h>

/// One registration unit per topic; module.cpp is the table of contents.
namespace matfac::bindings {

void register_runtime(pybind11::module_& m);
void register_ratings(pybind11::module_& m);
void register_ids(pybind11::module_& m);
void register_operations(pybind11::module_& m);
void register_fit(pybind11::module_& m);
void register_model(pybind11::module_& m);
void register_metrics(pybind11::module_& m);
void register_model_file(pybind11::module_& m);

}  // namespace matfac::bindings
