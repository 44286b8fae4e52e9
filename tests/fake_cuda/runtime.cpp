// The CUDA runtime (libcudart) of the fake: memory, streams and launches of one GPU with the limits of an H200.
#include <cuda_runtime_api.h>
#include <cxxabi.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

#include "fake.h"

namespace fake {

FILE* log_file() {
  static FILE* file = []() -> FILE* {
    const char* path = getenv("FAKE_CUDA_LOG");
    if (path == nullptr) return nullptr;
    FILE* opened = strcmp(path, "-") == 0 ? fdopen(1, "w") : fopen(path, "w");
    if (opened != nullptr) setvbuf(opened, nullptr, _IOLBF, 0);
    return opened;
  }();
  return file;
}

unsigned long long setting(const char* variable, unsigned long long otherwise) {
  const char* text = getenv(variable);
  return text != nullptr ? strtoull(text, nullptr, 10) : otherwise;
}

const char* failure() {
  const char* text = getenv("FAKE_CUDA_FAIL");
  return text != nullptr ? text : "";
}

int capability() {
  static const int value = static_cast<int>(setting("FAKE_CUDA_CAPABILITY", 90));
  return value;
}

}  // namespace fake

namespace {

constexpr size_t MIB = 1 << 20;
constexpr size_t PAGE = 2 * MIB;
// Addresses of device memory: reserved and never backed, so that touching one from the host is a crash.
constexpr size_t ARENA = size_t{1} << 42;
// What the context of a real driver takes before anything is allocated, roughly.
constexpr size_t CONTEXT = 500 * MIB;

size_t total_memory() {
  static const size_t bytes = fake::setting("FAKE_CUDA_MEMORY_MIB", 143771) * MIB;
  return bytes;
}

char* arena() {
  static char* start =
      static_cast<char*>(mmap(nullptr, ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  return start;
}

bool on_device(const void* pointer) {
  const char* address = static_cast<const char*>(pointer);
  return address >= arena() && address < arena() + ARENA;
}

std::mutex allocating;
std::map<void*, size_t> allocated;
size_t in_use = CONTEXT;
size_t next_address = 0;

thread_local cudaError_t last_error = cudaSuccess;

cudaError_t failed(cudaError_t error) {
  last_error = error;
  return error;
}

// The names of the kernels in libtorch's libraries, by the host function that launches each.
std::unordered_map<const void*, std::string>& kernels() {
  static auto* names = new std::unordered_map<const void*, std::string>;
  return *names;
}

unsigned long number(const void* handle) { return static_cast<unsigned long>(reinterpret_cast<uintptr_t>(handle)); }

}  // namespace

// ---------------------------------------------------------------- devices

EXPORT cudaError_t cudaGetDeviceCount(int* count) {
  if (strcmp(fake::failure(), "count") == 0) {
    *count = 0;
    return failed(cudaErrorInsufficientDriver);
  }
  *count = 1;
  return cudaSuccess;
}

EXPORT cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

EXPORT cudaError_t cudaSetDevice(int) { return cudaSuccess; }

EXPORT cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

EXPORT cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int) {
  snprintf(id, static_cast<size_t>(length), "0000:00:00.0");
  return cudaSuccess;
}

EXPORT cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  memset(properties, 0, sizeof *properties);
  strcpy(properties->name, "Fake GPU");
  properties->totalGlobalMem = total_memory();
  properties->sharedMemPerBlock = 49152;
  properties->regsPerBlock = 65536;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsDim[0] = 1024;
  properties->maxThreadsDim[1] = 1024;
  properties->maxThreadsDim[2] = 64;
  properties->maxGridSize[0] = 2147483647;
  properties->maxGridSize[1] = 65535;
  properties->maxGridSize[2] = 65535;
  properties->totalConstMem = 65536;
  properties->major = fake::capability() / 10;
  properties->minor = fake::capability() % 10;
  properties->textureAlignment = 512;
  properties->multiProcessorCount = 132;
  properties->unifiedAddressing = 1;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->sharedMemPerMultiprocessor = 233472;
  properties->regsPerMultiprocessor = 65536;
  properties->sharedMemPerBlockOptin = 232448;
  properties->l2CacheSize = 62914560;
  properties->concurrentKernels = 1;
  properties->asyncEngineCount = 3;
  properties->maxBlocksPerMultiProcessor = 32;
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  cudaDeviceProp p;
  cudaGetDeviceProperties(&p, 0);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; break;
    case cudaDevAttrMaxBlockDimX: *value = p.maxThreadsDim[0]; break;
    case cudaDevAttrMaxBlockDimY: *value = p.maxThreadsDim[1]; break;
    case cudaDevAttrMaxBlockDimZ: *value = p.maxThreadsDim[2]; break;
    case cudaDevAttrMaxGridDimX: *value = p.maxGridSize[0]; break;
    case cudaDevAttrMaxGridDimY: *value = p.maxGridSize[1]; break;
    case cudaDevAttrMaxGridDimZ: *value = p.maxGridSize[2]; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = static_cast<int>(p.sharedMemPerBlock); break;
    case cudaDevAttrWarpSize: *value = p.warpSize; break;
    case cudaDevAttrMaxRegistersPerBlock: *value = p.regsPerBlock; break;
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
    case cudaDevAttrL2CacheSize: *value = p.l2CacheSize; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = p.maxThreadsPerMultiProcessor; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = static_cast<int>(p.sharedMemPerMultiprocessor); break;
    case cudaDevAttrMaxRegistersPerMultiprocessor: *value = p.regsPerMultiprocessor; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(p.sharedMemPerBlockOptin); break;
    case cudaDevAttrMaxBlocksPerMultiprocessor: *value = p.maxBlocksPerMultiProcessor; break;
    default: *value = 0;
  }
  return cudaSuccess;
}

// ---------------------------------------------------------------- errors

EXPORT cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

EXPORT cudaError_t cudaPeekAtLastError() { return last_error; }

// The texts of the real runtime, since libtorch and the engine read them.
EXPORT const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoKernelImageForDevice: return "no kernel image is available for execution on the device";
    default: return "an error of the fake CUDA";
  }
}

EXPORT const char* cudaGetErrorName(cudaError_t) { return "cudaErrorFake"; }

// ---------------------------------------------------------------- memory

EXPORT cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  const std::lock_guard<std::mutex> guard(allocating);
  if (in_use + bytes > total_memory()) {
    LOG("MALLOC %zu out of memory", bytes);
    return failed(cudaErrorMemoryAllocation);
  }
  *pointer = arena() + next_address;
  next_address += (bytes + PAGE - 1) / PAGE * PAGE;
  allocated[*pointer] = bytes;
  in_use += bytes;
  LOG("MALLOC %zu in use %zu", bytes, in_use);
  return cudaSuccess;
}

EXPORT cudaError_t cudaFree(void* pointer) {
  const std::lock_guard<std::mutex> guard(allocating);
  const auto found = allocated.find(pointer);
  if (found != allocated.end()) {
    in_use -= found->second;
    allocated.erase(found);
  }
  LOG("FREE in use %zu", in_use);
  return cudaSuccess;
}

EXPORT cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  *pointer = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  LOG("PINNED %zu", bytes);
  return cudaSuccess;
}

EXPORT cudaError_t cudaFreeHost(void*) { return cudaSuccess; }

EXPORT cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const std::lock_guard<std::mutex> guard(allocating);
  *total = total_memory();
  *free = total_memory() - in_use;
  return cudaSuccess;
}

EXPORT cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  memset(attributes, 0, sizeof *attributes);
  attributes->type = on_device(pointer) ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
  attributes->devicePointer = const_cast<void*>(pointer);
  return cudaSuccess;
}

// What comes from the device is ones in every byte: a flag that is read back holds, and no number is NaN.
static void copy(void* to, const void* from, size_t bytes, cudaStream_t stream, const char* how) {
  const bool to_device = on_device(to), from_device = on_device(from);
  const char* way = to_device ? (from_device ? "D2D" : "H2D") : (from_device ? "D2H" : "H2H");
  LOG("COPY %s %zu stream %lx %s", way, bytes, number(stream), how);
  if (!to_device) {
    from_device ? static_cast<void>(memset(to, 1, bytes)) : static_cast<void>(memcpy(to, from, bytes));
  }
}

EXPORT cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  copy(to, from, bytes, stream, "async");
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  copy(to, from, bytes, nullptr, "blocking");
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  if (!on_device(to)) memset(to, value, bytes);
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemset(void* to, int value, size_t bytes) { return cudaMemsetAsync(to, value, bytes, nullptr); }

EXPORT cudaError_t cudaGetSymbolAddress(void** pointer, const void*) {
  *pointer = arena();
  return cudaSuccess;
}

// ---------------------------------------------------------------- streams and events

static std::atomic<long> streams{0}, events{0};

EXPORT cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  *stream = reinterpret_cast<cudaStream_t>(0x1000 + ++streams);
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }

EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  LOG("WAIT stream %lx", number(stream));
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceSynchronize() {
  LOG("WAIT device");
  return cudaSuccess;
}

EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  LOG("WAIT event %lx", number(event));
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }

EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(0x9000 + ++events);
  return cudaSuccess;
}

EXPORT cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }

EXPORT cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  LOG("EVENT %lx on stream %lx", number(event), number(stream));
  return cudaSuccess;
}

EXPORT cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
  return cudaEventRecord(event, stream);
}

EXPORT cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  LOG("EVENT stream %lx after %lx", number(stream), number(event));
  return cudaSuccess;
}

EXPORT cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
  *milliseconds = 1;
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus* status, unsigned long long* id,
                                            cudaGraph_t*, const cudaGraphNode_t**, const cudaGraphEdgeData**,
                                            size_t*) {
  *status = cudaStreamCaptureStatusNone;
  if (id != nullptr) *id = 0;
  return cudaSuccess;
}

EXPORT cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }

// ---------------------------------------------------------------- kernels

EXPORT cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  memset(attributes, 0, sizeof *attributes);
  attributes->maxThreadsPerBlock = 1024;
  attributes->binaryVersion = fake::capability();
  attributes->ptxVersion = fake::capability();
  attributes->numRegs = 64;
  attributes->maxDynamicSharedSizeBytes = 232448;
  return cudaSuccess;
}

EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int, size_t) {
  *blocks = 2;
  return cudaSuccess;
}

EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int, size_t,
                                                                          unsigned) {
  *blocks = 2;
  return cudaSuccess;
}

static cudaError_t launch(const void* function, dim3 grid, dim3 block, cudaStream_t stream) {
  if (strcmp(fake::failure(), "kernel") == 0) return failed(cudaErrorNoKernelImageForDevice);
  if (fake::log_file() == nullptr) return cudaSuccess;
  const auto found = kernels().find(function);
  const std::string name = found == kernels().end() ? "?" : found->second;
  int status = 0;
  char* readable = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  LOG("KERNEL %u,%u,%u x %u,%u,%u stream %lx %s", grid.x, grid.y, grid.z, block.x, block.y, block.z, number(stream),
      readable != nullptr ? readable : name.c_str());
  free(readable);
  return cudaSuccess;
}

// `<<<grid, block>>>` of compiled code pushes its numbers, and the launcher pops them.
static thread_local struct {
  dim3 grid, block;
  size_t shared;
  cudaStream_t stream;
} pushed;

EXPORT unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  pushed = {grid, block, shared, stream};
  return 0;
}

EXPORT cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  *grid = pushed.grid;
  *block = pushed.block;
  *shared = pushed.shared;
  *static_cast<cudaStream_t*>(stream) = pushed.stream;
  return cudaSuccess;
}

EXPORT cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void**, size_t, cudaStream_t stream) {
  return launch(function, grid, block, stream);
}

EXPORT cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block, void**, size_t,
                                               cudaStream_t stream) {
  return launch(function, grid, block, stream);
}

EXPORT cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void**) {
  return launch(function, config->gridDim, config->blockDim, config->stream);
}

EXPORT cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = static_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}

EXPORT cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void**, size_t,
                                      cudaStream_t stream) {
  return launch(kernel, grid, block, stream);
}

// Each library with kernels registers them when it is loaded.
EXPORT char __cudaInitModule(void**) { return 1; }

EXPORT void** __cudaRegisterFatBinary(void*) {
  static void* handle[1];
  return handle;
}

EXPORT void __cudaRegisterFatBinaryEnd(void**) {}

EXPORT void __cudaUnregisterFatBinary(void**) {}

EXPORT void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, void*, void*, void*, void*,
                                   int*) {
  kernels()[host] = name;
}

EXPORT void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

// ---------------------------------------------------------------- the driver, as libtorch asks the runtime for it

static long nothing() { return 0; }

EXPORT cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned, unsigned long long,
                                                    cudaDriverEntryPointQueryResult* result) {
  *function = reinterpret_cast<void*>(&nothing);
  if (result != nullptr) *result = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}
