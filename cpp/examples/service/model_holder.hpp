#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "metrics.hpp"
#include "served_model.hpp"

namespace service {

/// The model in use. Each request takes it once and answers from what it has taken; a reload loads and verifies the new
/// file beside the old one and then exchanges the pointer. The old model is unmapped when its last request is answered.
class ModelHolder {
 public:
  /// Loads the first model. Throws what ServedModel::load throws.
  ModelHolder(std::string path, Metrics& metrics);

  std::shared_ptr<const ServedModel> current() const {
    const std::lock_guard<std::mutex> lock(exchanging_);
    return current_;
  }

  /// Loads the file of the start, or another one in its folder: `name` must then be a plain file name. When the file is
  /// refused (matfac::FileError, InvalidArgument) the model in use stays.
  std::shared_ptr<const ServedModel> reload(const std::string& name = {});

 private:
  std::string path_;
  Metrics& metrics_;
  std::mutex reloading_;
  // Held for a few instructions. std::atomic<std::shared_ptr> would do the same with a lock inside, which libstdc++ 12
  // releases too weakly and libc++ does not have.
  mutable std::mutex exchanging_;
  std::shared_ptr<const ServedModel> current_;
};

}  // namespace service
