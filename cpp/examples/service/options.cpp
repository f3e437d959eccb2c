#include "options.hpp"

#include <charconv>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace service {

const char* const kUsage =
    "matfac_service MODEL [options]: recommendations of a model file over HTTP\n"
    "  --host ADDRESS    where to listen (127.0.0.1)\n"
    "  --port PORT       0: any free one, which is printed (8080)\n"
    "  --workers COUNT   connections that are served at a time (32)\n"
    "  --max-body BYTES  of a request (1048576)\n"
    "  --max-batch COUNT users, items or pairs in a request (1000)\n"
    "  --max-n COUNT     recommendations for one of them (1000)\n"
    "  --max-listed COUNT entries of a list, with those of lists in it (100000)\n"
    "MATFAC_RELOAD_TOKEN in the environment: POST /reload must bring it (Authorization: Bearer ...). Without it /reload\n"
    "is open on a loopback address and closed on others. SIGHUP reloads MODEL, SIGTERM and SIGINT end the service.\n";

namespace {

template <class Integer>
Integer whole(std::string_view name, std::string_view text, Integer least, Integer most) {
  Integer value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw std::invalid_argument(std::string(name) + " " + std::string(text) + ": expected a whole number from " +
                                std::to_string(least) + " to " + std::to_string(most));
  }
  return value;
}

}  // namespace

Options parse(int argc, char** argv) {
  constexpr std::size_t kMost = std::size_t{1} << 30;
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--help" || name == "-h") {
      options.help = true;
      return options;
    }
    if (!name.starts_with("--")) {
      if (!options.model_path.empty()) throw std::invalid_argument("one model file only: " + std::string(name));
      options.model_path = name;
      continue;
    }
    if (i + 1 == argc) throw std::invalid_argument(std::string(name) + ": unknown, or its value is missing");
    const std::string_view value = argv[++i];
    if (name == "--host") {
      options.host = value;
    } else if (name == "--port") {
      options.port = whole(name, value, 0, 65535);
    } else if (name == "--workers") {
      options.n_workers = whole(name, value, 1, 4096);
    } else if (name == "--max-body") {
      options.max_body = whole<std::size_t>(name, value, 1, kMost);
    } else if (name == "--max-batch") {
      options.max_batch = whole<std::size_t>(name, value, 1, kMost);
    } else if (name == "--max-n") {
      options.max_n = whole<std::size_t>(name, value, 1, kMost);
    } else if (name == "--max-listed") {
      options.max_listed = whole<std::size_t>(name, value, 1, kMost);
    } else {
      throw std::invalid_argument(std::string(name) + ": unknown option; --help lists them");
    }
  }
  if (options.model_path.empty()) throw std::invalid_argument("no model file is named; --help says how");
  if (const char* token = std::getenv("MATFAC_RELOAD_TOKEN")) options.reload_token = token;
  return options;
}

}  // namespace service
