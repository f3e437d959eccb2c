#include <doctest/doctest.h>

#include <cstring>
#include <locale>

#include "io/entry_text.hpp"
#include "make_ratings.hpp"
#include "matfac/error.hpp"
#include "matfac/model.hpp"
#include "matfac/settings.hpp"
#include "model_file_fixture.hpp"

using namespace matfac;
using namespace matfac::test;

namespace {

/// Settings of which none has its default.
Settings unusual_settings() {
  Settings s;
  s.solver = Solver::sgd;
  s.loss = Loss::huber;
  s.huber_threshold = 0.3;
  s.regularization = PerSide{0.1, 1.0 / 3};
  s.bias_regularization = PerSide{2, 1e-7};
  s.l1_regularization = {0, 12345.678};
  s.regularization_exponent = 0.7;
  s.learning_rate = 5e-324;
  s.row_solver = RowSolver::subspace;
  s.cg_steps = 7;
  s.subspace_size = Index{1} << 40;
  s.unobserved_weight = 0.01;
  s.negatives = Negatives::popularity;
  s.max_trials = 2147483647;
  s.compare_users = true;
  s.max_iter = 9;
  s.tol = 1e22;
  s.early_stopping = true;
  s.patience = 4;
  s.init_std = 1.7976931348623157e308;
  s.seed = 18446744073709551615u;
  return s;
}

/// The settings of a file with these entries.
Settings settings_with(const std::map<std::string, std::string>& metadata, bool biases = true) {
  const TemporaryDirectory directory;
  Sample<float> sample(3, 4, 6, {biases, false, false});
  sample.metadata = metadata;
  save_model(directory.file("m"), sample.model(), sample.record());
  return ModelFile::open(directory.file("m")).settings();
}

std::map<std::string, std::string> entries_of(const Settings& settings) {
  FitReport report;
  report.settings = settings;
  return metadata_of(report);
}

std::string error_with(const std::map<std::string, std::string>& metadata) {
  try {
    settings_with(metadata);
  } catch (const FileError& error) {
    CHECK(error.system_error() == 0);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("settings come back from a file bit for bit, whatever the locale") {
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const auto entries = entries_of(unusual_settings());
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Comma));
  CHECK(entries_of(unusual_settings()) == entries);
  const Settings found = settings_with(entries);
  std::locale::global(before);
  CHECK(entries_of(found) == entries);
  CHECK(found.n_factors == 6);  // of the file, which keeps it itself
  CHECK(found.loss == Loss::huber);
  CHECK(found.regularization->item == 1.0 / 3);
  CHECK(found.learning_rate == 5e-324);
  CHECK(found.seed == 18446744073709551615u);
  CHECK(found.subspace_size == Index{1} << 40);
  const auto defaults = entries_of(Settings());
  for (const auto& entry : entries) {  // or else a setting that is not kept would not be noticed
    const std::string &name = entry.first, &text = entry.second;
    const bool may_agree = name == "biases" || name == "nonnegative" || name == "confidence_scale" ||
                           name == "estimator" || name.back() == '_';
    CHECK_MESSAGE((may_agree || text != defaults.at(name)), name);
  }
}

TEST_CASE("flags and factors of a file come back") {
  Settings s;
  s.loss = Loss::implicit_squared;
  s.nonnegative = true;
  s.confidence_scale = 40;
  s.biases = false;
  const Settings found = settings_with(entries_of(s), false);
  CHECK(found.nonnegative);
  CHECK(found.confidence_scale == 40);
  CHECK(entries_of(found) == entries_of(s));
  CHECK(settings_with({{"biases", "true"}}, false).biases == false);  // the tensors know
  CHECK(settings_with({{"biases", "false"}}, true).biases == true);
}

TEST_CASE("a fit's report makes a file that folds in alike") {
  for (const Loss loss : {Loss::squared, Loss::huber, Loss::logistic, Loss::implicit_squared}) {
    Settings settings;
    settings.n_factors = 5;
    settings.loss = loss;
    settings.max_iter = 2;
    settings.biases = loss != Loss::implicit_squared;
    auto data = make_ratings<double>(40, 30, 0.2);
    if (loss == Loss::logistic) {
      for (double& value : data.values) value = value > 3 ? 1 : 0;
    }
    const auto ratings = data.view();
    std::vector<double> u(40 * 5), v(30 * 5), b(settings.biases ? 40 : 0), c(settings.biases ? 30 : 0);
    const FactorsView<double> factors{{u.data(), 40, 5}, {v.data(), 30, 5}, b, c};
    const FitReport report = fit(ratings, settings, factors);

    const TemporaryDirectory directory;
    const ModelView<double> model{{u.data(), 40, 5}, {v.data(), 30, 5}, b, c, report.global_mean};
    const SampleIds users(40, false), items(30, false);
    save_model(directory.file("m"), model, {users.view(), items.view(), {}, metadata_of(report)});
    const ModelFile file = ModelFile::open(directory.file("m"));
    CHECK(entries_of(file.settings()) == entries_of(report.settings));
    CHECK(file.record().metadata.at("n_iter_") == "2");
    CHECK(file.record().metadata.at("stop_reason_") == "max_iter");

    const auto folded = [&](const ModelView<double>& from, const Settings& how) {
      std::vector<double> rows(40 * 5), biases(b.size());
      fold_in(from, how, ratings, {rows.data(), 40, 5}, std::span<double>(biases), 1);
      rows.insert(rows.end(), biases.begin(), biases.end());
      return rows;
    };
    const auto expected = folded(model, report.settings), found = folded(file.model<double>(), file.settings());
    CHECK(std::memcmp(expected.data(), found.data(), expected.size() * sizeof(double)) == 0);
  }
}

TEST_CASE("what Python leaves open follows from the loss or from what the fit has found") {
  const Settings found = settings_with({{"regularization", "null"},
                                        {"regularization_", "[0.5, 2]"},
                                        {"bias_regularization", "3"},
                                        {"huber_threshold", " 0.25\n"},
                                        {"loss", "huber"},
                                        {"l1_regularization", "1e-3"},
                                        {"random_state", "null"},
                                        {"note", "{not JSON"}});
  CHECK(found.regularization->user == 0.5);
  CHECK(found.regularization->item == 2);
  CHECK(found.bias_regularization->item == 3);
  CHECK(found.l1_regularization.user == 1e-3);
  CHECK(found.huber_threshold == 0.25);
  CHECK(found.seed == 0);
  CHECK(settings_with({{"loss", "bpr"}}).solver == Solver::sgd);
  CHECK(settings_with({{"loss", "squared"}}).solver == Solver::als);
  CHECK_FALSE(settings_with({}).regularization);
}

TEST_CASE("an entry that is no setting is named, with what was expected") {
  const auto refuses = [](const std::map<std::string, std::string>& metadata, const std::string& phrase) {
    const std::string error = error_with(metadata);
    CHECK_MESSAGE(error.find(phrase) != std::string::npos, error);
    for (const auto& [name, text] : metadata) CHECK_MESSAGE(error.find(name) != std::string::npos, error);
  };
  refuses({{"max_iter", "twenty"}}, "expected an integer in");
  for (const char* text : {"", " ", "1.0", "+1", "01", "0x1", "1 2", "2147483648", "-2147483649", "1e3", "[1]"}) {
    refuses({{"max_iter", text}}, "expected an integer in");
  }
  for (const char* text :
       {"", ".5", "1.", "+1", "01", "inf", "NaN", "0x1p3", "1e", "1e+", "1,5", "--1", "1d5", "true"}) {
    refuses({{"tol", text}}, "expected a number");
  }
  refuses({{"tol", "1e999"}}, "expected a finite number");
  for (const char* text : {"[]", "[1]", "[1,2,3]", "[1 2]", "[1,2", "1,2]", "[[1],2]", "[null, 1]"}) {
    refuses({{"regularization", text}}, "expected");
  }
  for (const char* text : {"True", "1", "\"true\"", "null "})
    refuses({{"nonnegative", text}}, "expected true or false");
  refuses({{"solver", "magic"}}, "choose one of 'als'");
  refuses({{"random_state", "-1"}}, "[0, 18446744073709551615]");
  CHECK(error_with({{"regularization", "-1"}}).find("at least 0") != std::string::npos);
  CHECK(error_with({{"solver", "ccd"}, {"loss", "hinge"}}).find("ccd") != std::string::npos);
  refuses({{"history_", "5"}}, "expected an object of lists of numbers");
  refuses({{"history_", "{\"objective\": [1, \"x\"]}"}}, "expected an object of lists of numbers");
  refuses({{"n_iter_", "-1"}}, "at least 0");
  refuses({{"stop_reason_", "boredom"}}, "'early_stopping'");
  refuses({{"classes_", "[0, 2]"}}, "[-1, 1]");
  refuses({{"estimator", "Forest"}}, "'ImplicitFactorization'");
  refuses({{"estimator", "MatrixFactorization"}, {"loss", "bpr"}}, "loss 'bpr' is one of 'ImplicitFactorization'");
  refuses({{"regularization", "0.5"}}, "without \"bias_regularization\"");
  refuses({{"bias_regularization_", "[1, 2]"}}, "without \"regularization\"");
  CHECK(settings_with({{"regularization", "0.5"}}, false).regularization->item == 0.5);  // without biases
  const std::string error = error_with({{"tol", std::string(100'000, 'x') + "\n"}});
  CHECK(error.size() < 1000);
}

TEST_CASE("numbers are read to the nearest, also where they leave the range") {
  const auto read = [](const char* text) {
    double value = 1;
    entry_text::read(text, value);
    return value;
  };
  CHECK(read("0.1") == 0.1);
  CHECK(read("-0") == 0);
  CHECK(read("1e-400") == 0);
  CHECK(read("-2.5E+1") == -25);
  CHECK(read("179769313486231570000000000000000000000") == 179769313486231570000000000000000000000.0);
  CHECK(entry_text::text_of(5.0) == "5.0");
  CHECK(entry_text::text_of(1e22) == "1e+22");
  CHECK(entry_text::text_of(std::optional<double>()) == "null");
}
