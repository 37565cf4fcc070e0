// What a fuzz target offers to the bounded driver besides LLVMFuzzerTestOneInput.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size);

// A valid input, from which the driver makes invalid ones.
std::vector<uint8_t> fuzz_seed_input(std::mt19937_64& random);
