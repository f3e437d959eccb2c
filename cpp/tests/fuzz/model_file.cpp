#include "examine.hpp"

/// libFuzzer's entry; CMakeLists.txt has the commands.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  matfac::test::examine(std::as_bytes(std::span(data, size)));
  return 0;
}
