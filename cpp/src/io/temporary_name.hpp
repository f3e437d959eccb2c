#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "io/checksum.hpp"

namespace matfac {

/// A name that no other process or thread picks; short, so that it fits wherever a file name fits.
inline std::string temporary_name() {
  std::random_device random;  // asks the system each time: a forked child does not repeat its parent's names
  return ".matfac-" + hex_digits(std::uint64_t{random()} << 32 | random()) + ".tmp";
}

}  // namespace matfac
