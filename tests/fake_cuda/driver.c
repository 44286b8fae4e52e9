/* NVIDIA's driver (libcuda.so.1) of the fake: one GPU. The tests put it alone before a libtorch without CUDA, too. */
#include <stdlib.h>
#include <string.h>

static unsigned long long setting(const char *variable, unsigned long long otherwise) {
  const char *text = getenv(variable);
  return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

int cuInit(unsigned flags) { return (int)setting("FAKE_CUDA_INIT", 0); }

int cuDriverGetVersion(int *version) {
  *version = (int)setting("FAKE_CUDA_DRIVER", 13000);
  return 0;
}

int cuDeviceGetCount(int *count) {
  *count = (int)setting("FAKE_CUDA_DEVICES", 1);
  return 0;
}

int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  *bytes = (size_t)setting("FAKE_CUDA_MEMORY_MIB", 143771) << 20;
  return 0;
}

int cuDeviceGetName(char *name, int length, int device) {
  strncpy(name, "Fake GPU", (size_t)length);
  return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
  enum { MAJOR = 75, MINOR = 76 };
  const int capability = (int)setting("FAKE_CUDA_CAPABILITY", 90);
  *value = attribute == MAJOR ? capability / 10 : attribute == MINOR ? capability % 10 : 1;
  return 0;
}

int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
  *flags = 0;
  *active = 1;
  return 0;
}

int cuCtxGetCurrent(void **context) {
  *context = (void *)1;
  return 0;
}

int cuGetErrorString(int error, const char **text) {
  *text = "an error of the fake driver";
  return 0;
}

int cuGetErrorName(int error, const char **text) { return cuGetErrorString(error, text); }

/* What libraries look up and never need an answer from. */
#define NOTHING(name) \
  int name(void) { return 0; }
NOTHING(cuModuleLoadData)
NOTHING(cuModuleLoadDataEx)
NOTHING(cuModuleUnload)
NOTHING(cuModuleGetFunction)
NOTHING(cuOccupancyMaxActiveBlocksPerMultiprocessor)
NOTHING(cuLaunchKernel)
NOTHING(cuLaunchCooperativeKernel)
NOTHING(cuLinkCreate_v2)
NOTHING(cuLinkAddData_v2)
NOTHING(cuLinkComplete)
NOTHING(cuLinkDestroy)
NOTHING(cuFuncSetAttribute)
NOTHING(cuFuncGetAttribute)
NOTHING(cuFuncSetCacheConfig)
NOTHING(cuTensorMapEncodeTiled)
NOTHING(cuPointerGetAttribute)
NOTHING(cuCtxFromGreenCtx)
NOTHING(cuCtxPopCurrent_v2)
NOTHING(cuCtxPushCurrent_v2)
NOTHING(cuCtxSetCurrent)
NOTHING(cuGreenCtxCreate)
NOTHING(cuGreenCtxDestroy)
NOTHING(cuDevSmResourceSplitByCount)
NOTHING(cuDeviceGetDevResource)
NOTHING(cuDevResourceGenerateDesc)
NOTHING(cuMemCreate)
NOTHING(cuMemMap)
NOTHING(cuMemRelease)
NOTHING(cuMemAddressReserve)
NOTHING(cuMemAddressFree)
NOTHING(cuMemSetAccess)
NOTHING(cuMemUnmap)
NOTHING(cuStreamWriteValue32_v2)
NOTHING(cuStreamWaitValue32_v2)
NOTHING(cuMulticastAddDevice)
NOTHING(cuCtxGetDevice)
