// A CUDA that computes nothing, for `scripts/check_cuda.py`: what its parts share.
//
// All of libtorch's host code for CUDA runs on it (checks, dispatch, allocators, streams, events), and each kernel,
// product, copy and wait is logged. It tells which kernels are chosen, what the allocator takes and where the host waits;
// it tells nothing of numbers, races or time.
#pragma once

#include <cstddef>
#include <cstdio>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace fake {

// FAKE_CUDA_LOG: a file, or `-` for standard output; null without it. Each line is written at once, so that it stands in
// order among what the program itself prints.
FILE* log_file();

// The number in this environment variable, or another one where it is not set.
unsigned long long setting(const char* variable, unsigned long long otherwise);

// FAKE_CUDA_FAIL, or an empty text: `count` (the driver is too old for the runtime), `kernel` (no kernels for this GPU),
// `attention` (cuDNN has no plan for attention).
const char* failure();

// Compute capability times ten: FAKE_CUDA_CAPABILITY, or Hopper's 90.
int capability();

}  // namespace fake

#define LOG(...)                             \
  do {                                       \
    if (FILE* file = fake::log_file()) {     \
      fprintf(file, __VA_ARGS__);            \
      fputc('\n', file);                     \
    }                                        \
  } while (0)
