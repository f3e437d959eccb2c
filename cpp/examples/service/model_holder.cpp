#include "model_holder.hpp"

#include <filesystem>

namespace service {

ModelHolder::ModelHolder(std::string path, Metrics& metrics)
    : path_(std::move(path)), metrics_(metrics), current_(ServedModel::load(path_)) {}

std::shared_ptr<const ServedModel> ModelHolder::reload(const std::string& name) {
  std::filesystem::path path = path_;
  if (!name.empty()) {
    const bool is_plain = name.find_first_of(std::string("/\\\0", 3)) == std::string::npos && name.front() != '.';
    if (!is_plain) {
      throw matfac::InvalidArgument("'file' must be the name of a file in the model's folder, no path and not hidden");
    }
    path.replace_filename(name);
  }
  const std::lock_guard<std::mutex> lock(reloading_);
  try {
    auto loaded = ServedModel::load(path.string());
    auto old = loaded;  // the old model ends with this block, when nobody waits for the lock
    {
      const std::lock_guard<std::mutex> exchange(exchanging_);
      current_.swap(old);
    }
    metrics_.count_reload(true);
    return loaded;
  } catch (...) {
    metrics_.count_reload(false);
    throw;
  }
}

}  // namespace service
