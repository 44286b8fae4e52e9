// What libtorch offers in C++ and tch does not bind: TF32, which attention, streams, pinned memory, and what the
// allocator counts.
//
// Only c10's interfaces for any device are used, so that nothing here needs CUDA to be compiled or linked; a device that
// is not there is an error like any other. Each function returns null, or what went wrong, for the caller to read before
// its next call on the same thread.

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace {

thread_local std::string words;

template <typename Work>
const char* tried(Work&& work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception& error) {
    words = error.what();
    return words.c_str();
  } catch (...) {
    words = "an error without words";
    return words.c_str();
  }
}

c10::DeviceIndex index_of(int32_t device) { return static_cast<c10::DeviceIndex>(device); }

// libtorch fills its list of CUDA devices when CUDA starts; before that the allocator knows none.
c10::DeviceAllocator* allocator() {
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
  return c10::getDeviceAllocator(c10::DeviceType::CUDA);
}

// A stream of a CUDA device beside the one that computes.
struct Side {
  c10::impl::VirtualGuardImpl guard{c10::DeviceType::CUDA};
  c10::Device device;
  c10::Stream side;
  c10::Stream main;
  void* main_is_there = nullptr;
  void* side_is_there = nullptr;

  explicit Side(int32_t index)
      : device(c10::DeviceType::CUDA, index_of(index)),
        side(guard.getNewStream(device)),
        main(guard.getStream(device)) {}

  ~Side() {
    for (void* event : {main_is_there, side_is_there}) {
      if (event != nullptr) {
        guard.destroyEvent(event, device.index());
      }
    }
  }
};

}  // namespace

extern "C" {

// Whether convolutions in f32 may round their inputs to TF32, as they do unasked.
const char* wanctl_allow_tf32(bool allow) {
  return tried([&] { at::globalContext().setAllowTF32CuDNN(allow); });
}

// The order in which kernels of attention are tried, by at::SDPBackend: 0 plain, 1 flash, 2 efficient, 3 cuDNN.
//
// On Hopper the first attention puts cuDNN in front of any order (2.11.0, aten/src/ATen/native/transformers/cuda/
// sdp_utils.cpp, `priority_order`), so cuDNN is left out where it is not the first.
const char* wanctl_attention_order(const int64_t* order, size_t count) {
  return tried([&] {
    at::globalContext().setSDPPriorityOrder(std::vector<int64_t>(order, order + count));
    at::globalContext().setSDPUseCuDNN(count > 0 && order[0] == static_cast<int64_t>(at::SDPBackend::cudnn_attention));
  });
}

// The most bytes that were taken from a CUDA device at once.
const char* wanctl_peak(int32_t device, int64_t* bytes) {
  return tried([&] { *bytes = allocator()->getDeviceStats(index_of(device)).reserved_bytes[0].peak; });
}

// The bytes of a CUDA device that nobody has: neither another program nor a tensor of this one.
const char* wanctl_free(int32_t device, int64_t* bytes) {
  return tried([&] {
    const auto stats = allocator()->getDeviceStats(index_of(device));
    const int64_t kept = stats.reserved_bytes[0].current - stats.allocated_bytes[0].current;
    *bytes = static_cast<int64_t>(allocator()->getMemoryInfo(index_of(device)).first) + kept;
  });
}

// Bytes in the host's memory, pinned for CUDA, as a tensor that the caller owns.
const char* wanctl_pinned(int64_t bytes, void** tensor) {
  return tried([&] {
    const auto options = at::TensorOptions().dtype(at::kByte).pinned_memory(true);
    *tensor = new at::Tensor(at::empty({bytes}, options));
  });
}

// Gives what no tensor holds back to the device.
const char* wanctl_empty_cache() {
  return tried([&] { allocator()->emptyCache(); });
}

// Counts the peak from here on.
const char* wanctl_reset_peak(int32_t device) {
  return tried([&] { allocator()->resetPeakStats(index_of(device)); });
}

const char* wanctl_side_new(int32_t device, void** side) {
  return tried([&] { *side = new Side(device); });
}

void wanctl_side_free(void* side) { delete static_cast<Side*>(side); }

// What follows runs on the side stream, after all that the computing one was told before.
const char* wanctl_side_begin(void* handle) {
  auto* side = static_cast<Side*>(handle);
  return tried([&] {
    side->main = side->guard.getStream(side->device);
    side->guard.record(&side->main_is_there, side->main, side->device.index(), c10::EventFlag::PYTORCH_DEFAULT);
    side->guard.block(side->main_is_there, side->side);
    side->guard.exchangeStream(side->side);
  });
}

// What follows runs on the computing stream again, beside what the side stream was told.
const char* wanctl_side_end(void* handle) {
  auto* side = static_cast<Side*>(handle);
  return tried([&] {
    side->guard.exchangeStream(side->main);
    side->guard.record(&side->side_is_there, side->side, side->device.index(), c10::EventFlag::PYTORCH_DEFAULT);
  });
}

// What follows waits for all that the side stream was told before its last end.
const char* wanctl_side_join(void* handle) {
  auto* side = static_cast<Side*>(handle);
  return tried([&] {
    if (side->side_is_there != nullptr) {
      side->guard.block(side->side_is_there, side->guard.getStream(side->device));
    }
  });
}
}
