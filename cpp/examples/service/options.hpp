#pragma once

#include <cstddef>
#include <string>

namespace service {

/// What is fixed when the service starts.
struct Options {
  std::string model_path;
  std::string host = "127.0.0.1";
  int port = 8080;                              ///< 0: any that is free
  int n_workers = 32;                           ///< connections that are served at a time
  std::size_t max_body = std::size_t{1} << 20;  ///< bytes of a request
  std::size_t max_batch = 1000;                 ///< users, items or pairs in a request
  std::size_t max_n = 1000;                     ///< recommendations for one of them
  std::size_t max_listed = 100'000;             ///< entries of one list, with those of the lists in it
  std::string reload_token;                     ///< of the environment variable MATFAC_RELOAD_TOKEN
  bool help = false;

  bool is_loopback() const { return host == "127.0.0.1" || host == "::1" || host == "localhost"; }
};

extern const char* const kUsage;

/// Throws std::invalid_argument with a message for whoever typed it.
Options parse(int argc, char** argv);

}  // namespace service
