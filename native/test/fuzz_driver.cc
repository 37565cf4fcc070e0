// Runs a fuzz target a bounded number of times on valid inputs and mutations of them: what `npm test` does
// where there is no libFuzzer. Usage: fuzz_NAME [COUNT]. IBEXFS_SEED takes a printed seed back.
#include "test/fuzz_driver.h"

#include <algorithm>
#include <cstdlib>

#include "test/support.h"

namespace {

void mutate(std::vector<uint8_t>& input, std::mt19937_64& random) {
  const size_t changes = random() % 5;
  for (size_t i = 0; i < changes && !input.empty(); ++i) {
    const size_t at = random() % input.size();
    switch (random() % 5) {
      case 0:
        input[at] ^= static_cast<uint8_t>(1U << (random() % 8));
        break;
      case 1:
        input[at] = static_cast<uint8_t>(random());
        break;
      case 2:
        input.resize(at);
        break;
      case 3:
        input.erase(input.begin() + static_cast<ptrdiff_t>(at),
                    input.begin() + static_cast<ptrdiff_t>(std::min(input.size(), at + random() % 80)));
        break;
      default:
        input.insert(input.begin() + static_cast<ptrdiff_t>(at), random() % 80, static_cast<uint8_t>(random()));
        break;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 20000;
  std::mt19937_64 random(ibexfs::test::random_seed(argv[0]));
  for (uint64_t i = 0; i < count; ++i) {
    std::vector<uint8_t> input = fuzz_seed_input(random);
    mutate(input, random);
    // A copy of exactly that size, so that a sanitizer sees a read behind its end.
    const std::vector<uint8_t> exact(input.begin(), input.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
  }
  std::printf("%llu inputs\n", static_cast<unsigned long long>(count));
  return 0;
}
