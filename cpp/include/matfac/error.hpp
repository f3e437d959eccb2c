#pragma once

#include <stdexcept>
#include <string>

#include "matfac/export.hpp"

namespace matfac {

/// An argument breaks a rule. The message names the value, its position, the rule and the remedy.
/// Thrown before any work: nothing has been changed. (Python: `ValueError`.)
class MATFAC_API InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// A fit left the finite numbers. The message says at which iteration and what to lower.
/// (Python: `matfac.DivergenceError`, an `ArithmeticError`.)
class MATFAC_API DivergenceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file cannot be read or written, or is not what it claims to be.
/// (Python: `OSError` where the system refused, `matfac.ModelFileError`, a `ValueError`, where the content is wrong.)
class MATFAC_API FileError : public std::runtime_error {
 public:
  /// `system_error` is the `errno` of the failed call, or 0 when the content is at fault.
  explicit FileError(const std::string& message, int system_error = 0)
      : std::runtime_error(message), system_error_(system_error) {}
  int system_error() const noexcept { return system_error_; }

 private:
  int system_error_;
};

}  // namespace matfac
