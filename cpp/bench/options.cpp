#include "options.hpp"

#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace matfac::bench {

const char* const kUsage =
    "matfac_bench [options]: median seconds of each kernel, of repetitions in turns\n"
    "  --users N --items M --ratings COUNT   the size of the generated ratings (20000, 5000, 2000000)\n"
    "  --factors F,F,...                     lengths of the factors (32,64,128)\n"
    "  --threads T,T,...                     numbers of threads (1)\n"
    "  --repeats COUNT                       repetitions (5)\n"
    "  --only TEXT                           the cases whose names contain it\n"
    "  --json FILE                           write the results too; - prints them instead of the table\n"
    "  --latency COUNT                       instead: percentiles of COUNT single questions, as a service asks them\n"
    "  --model FILE --seconds S              instead: recommendations a second of a model file (float), one thread\n"
    "MATFAC_ISA=baseline|avx2|avx512 forces the kernels of a level.\n";

namespace {

template <class Integer>
Integer positive(std::string_view name, std::string_view text) {
  Integer value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) {
    throw std::invalid_argument(std::string(name) + " " + std::string(text) + ": expected a whole number from 1");
  }
  return value;
}

template <class Integer>
std::vector<Integer> positives(std::string_view name, std::string_view text) {
  std::vector<Integer> values;
  while (true) {
    const std::size_t comma = text.find(',');
    values.push_back(positive<Integer>(name, text.substr(0, comma)));
    if (comma == std::string_view::npos) return values;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--help" || name == "-h") {
      options.help = true;
      return options;
    }
    if (i + 1 == argc) throw std::invalid_argument(std::string(name) + ": unknown, or its value is missing");
    const std::string_view value = argv[++i];
    if (name == "--users") {
      options.n_users = positive<Index>(name, value);
    } else if (name == "--items") {
      options.n_items = positive<Index>(name, value);
    } else if (name == "--ratings") {
      options.n_ratings = positive<Index>(name, value);
    } else if (name == "--factors") {
      options.n_factors = positives<Index>(name, value);
    } else if (name == "--threads") {
      options.n_threads = positives<int>(name, value);
    } else if (name == "--repeats") {
      options.repeats = positive<int>(name, value);
    } else if (name == "--only") {
      options.only = value;
    } else if (name == "--latency") {
      options.latency = positive<Index>(name, value);
    } else if (name == "--model") {
      options.model_path = value;
    } else if (name == "--seconds") {
      options.seconds = positive<int>(name, value);
    } else if (name == "--json") {
      options.json_path = value;
    } else {
      throw std::invalid_argument(std::string(name) + ": unknown option; --help lists them");
    }
  }
  return options;
}

}  // namespace matfac::bench
