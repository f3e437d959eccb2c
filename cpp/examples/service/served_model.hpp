#pragma once

#include <memory>
#include <string>
#include <vector>

#include <matfac/matfac.hpp>

namespace service {

/// Lists of codes, one a row.
struct Rows {
  std::vector<matfac::Index> offsets{0};
  std::vector<matfac::Code> items;

  matfac::Index size() const { return static_cast<matfac::Index>(offsets.size()) - 1; }
  void end_row() { offsets.push_back(static_cast<matfac::Index>(items.size())); }
  /// Sorts a row that is not ended yet and leaves out what occurs twice.
  void end_row_sorted();
  matfac::PatternView view(matfac::Index n_items) const { return {size(), n_items, offsets.data(), items.data()}; }
};

/// What is found for some queries: n a query, filled up with the code -1.
struct Lists {
  matfac::Index n = 0;
  std::vector<matfac::Code> items;
  std::vector<double> scores;
};

/// Users who were not in the training.
struct Visitors {
  Rows rated;
  std::vector<double> values;  ///< aligned with the items
};

/// One model file, mapped and made ready. It never changes: any number of requests may read it at once. Numbers are
/// double here, whatever they are in the file; every float is one of them.
class ServedModel {
 public:
  /// Verifies the checksum and every number of the items. Throws matfac::FileError.
  static std::shared_ptr<const ServedModel> load(const std::string& path);
  virtual ~ServedModel() = default;

  const matfac::ModelFile& file() const { return file_; }
  const matfac::ModelRecord& record() const { return file_.record(); }
  const matfac::Settings& settings() const { return settings_; }
  matfac::Index n_users() const { return record().user_ids.size(); }
  matfac::Index n_items() const { return record().item_ids.size(); }
  bool has_seen() const { return record().seen.n_users > 0; }
  /// Why `recommend_new` cannot be asked: what the file does not say of its fit. Empty: it can.
  const std::string& fold_in_fault() const { return fold_in_fault_; }

  virtual std::vector<double> predict(const std::vector<matfac::Code>& users,
                                      const std::vector<matfac::Code>& items) const = 0;
  virtual Lists recommend(const std::vector<matfac::Code>& users, matfac::Index n,
                          const matfac::Filters& filters) const = 0;
  virtual Lists recommend_new(const Visitors& visitors, matfac::Index n, const matfac::Filters& filters) const = 0;
  virtual Lists similar_items(const std::vector<matfac::Code>& items, matfac::Index n) const = 0;

 protected:
  explicit ServedModel(matfac::ModelFile file) : file_(std::move(file)), settings_(file_.settings()) {}

  std::string fold_in_fault_;

 private:
  matfac::ModelFile file_;
  matfac::Settings settings_;
};

}  // namespace service
