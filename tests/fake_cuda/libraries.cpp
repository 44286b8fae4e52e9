// cuBLAS, cuBLASLt and cuDNN of the fake: they accept whatever libtorch describes, and log what it would compute.
#include <cublasLt.h>
#include <cublas_v2.h>
#include <cudnn.h>
#include <cudnn_backend.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "fake.h"

// ---------------------------------------------------------------- cuBLAS

EXPORT cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = reinterpret_cast<cublasHandle_t>(0x77);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasGetMathMode(cublasHandle_t, cublasMath_t* mode) {
  *mode = CUBLAS_DEFAULT_MATH;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }

EXPORT cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t, cublasPointerMode_t* mode) {
  *mode = CUBLAS_POINTER_MODE_HOST;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasGemmEx(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m, int n, int k,
                                   const void*, const void*, cudaDataType a_type, int, const void*, cudaDataType, int,
                                   const void*, void*, cudaDataType c_type, int, cublasComputeType_t,
                                   cublasGemmAlgo_t) {
  LOG("GEMM %dx%dx%d types %d to %d", m, n, k, a_type, c_type);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasSgemm_v2(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m, int n, int k,
                                     const float*, const float*, int, const float*, int, const float*, float*, int) {
  LOG("GEMM %dx%dx%d types %d to %d", m, n, k, CUDA_R_32F, CUDA_R_32F);
  return CUBLAS_STATUS_SUCCESS;
}

// ---------------------------------------------------------------- cuBLASLt: products with epilogues, and of 8-bit floats

namespace {

struct Product {
  int epilogue;
  int8_t fast_accumulation;
};

struct Matrix {
  cudaDataType type;
  uint64_t rows, columns;
};

template <typename T, typename Handle>
Handle created() {
  return reinterpret_cast<Handle>(calloc(1, sizeof(T)));
}

}  // namespace

EXPORT cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t, cudaDataType_t) {
  *product = created<Product, cublasLtMatmulDesc_t>();
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) {
  free(product);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle,
                                                     cublasLtMatmulDescAttributes_t attribute, const void* value,
                                                     size_t) {
  auto* product = reinterpret_cast<Product*>(handle);
  if (attribute == CUBLASLT_MATMUL_DESC_EPILOGUE) memcpy(&product->epilogue, value, sizeof product->epilogue);
  if (attribute == CUBLASLT_MATMUL_DESC_FAST_ACCUM) memcpy(&product->fast_accumulation, value, 1);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* handle, cudaDataType type, uint64_t rows,
                                                 uint64_t columns, int64_t) {
  *handle = created<Matrix, cublasLtMatrixLayout_t>();
  *reinterpret_cast<Matrix*>(*handle) = {type, rows, columns};
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matrix) {
  free(matrix);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t,
                                                       const void*, size_t) {
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = created<int64_t, cublasLtMatmulPreference_t>();
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  free(preference);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                           cublasLtMatmulPreferenceAttributes_t, const void*, size_t) {
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                                     cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                                     cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int,
                                                     cublasLtMatmulHeuristicResult_t* result, int* count) {
  memset(result, 0, sizeof *result);
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void*, const void*,
                                     cublasLtMatrixLayout_t a, const void*, cublasLtMatrixLayout_t b, const void*,
                                     const void*, cublasLtMatrixLayout_t, void*, cublasLtMatrixLayout_t d,
                                     const cublasLtMatmulAlgo_t*, void*, size_t workspace, cudaStream_t) {
  const auto& how = *reinterpret_cast<Product*>(product);
  const auto& from = *reinterpret_cast<Matrix*>(a);
  const auto& with = *reinterpret_cast<Matrix*>(b);
  const auto& to = *reinterpret_cast<Matrix*>(d);
  LOG("GEMM %lux%lu with %lux%lu types %d to %d epilogue %d fast %d workspace %zu", from.rows, from.columns, with.rows,
      with.columns, from.type, to.type, how.epilogue, how.fast_accumulation, workspace);
  return CUBLAS_STATUS_SUCCESS;
}

// ---------------------------------------------------------------- cuDNN: convolutions, and attention

EXPORT cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  *handle = reinterpret_cast<cudnnHandle_t>(0x88);
  return CUDNN_STATUS_SUCCESS;
}

EXPORT size_t cudnnGetVersion() { return CUDNN_VERSION; }

EXPORT size_t cudnnGetCudartVersion() { return 13000; }

EXPORT const char* cudnnGetErrorString(cudnnStatus_t) { return "an error of the fake cuDNN"; }

EXPORT cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                                  cudnnBackendDescriptor_t* descriptor) {
  auto* numbers = static_cast<int64_t*>(calloc(64, sizeof(int64_t)));
  numbers[0] = type;
  *descriptor = reinterpret_cast<cudnnBackendDescriptor_t>(numbers);
  return CUDNN_STATUS_SUCCESS;
}

// One answer to each question, a zero: no workspace, no shared memory, no notes about rounding.
EXPORT cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t, cudnnBackendAttributeName_t,
                                              cudnnBackendAttributeType_t type, int64_t requested, int64_t* count,
                                              void* values) {
  const bool notes = type == CUDNN_TYPE_NUMERICAL_NOTE || type == CUDNN_TYPE_BEHAVIOR_NOTE;
  const bool written = values != nullptr && requested > 0;
  if (count != nullptr) *count = notes && written ? 0 : 1;
  if (written && (type == CUDNN_TYPE_INT64 || type == CUDNN_TYPE_HANDLE)) memset(values, 0, sizeof(int64_t));
  // Plans that need more shared memory than there is are left out, and attention has no others.
  if (written && type == CUDNN_TYPE_INT32 && strcmp(fake::failure(), "attention") != 0) {
    memset(values, 0, sizeof(int32_t));
  }
  return CUDNN_STATUS_SUCCESS;
}

EXPORT cudnnStatus_t cudnnBackendExecute(cudnnHandle_t, cudnnBackendDescriptor_t, cudnnBackendDescriptor_t) {
  LOG("CUDNN");
  return CUDNN_STATUS_SUCCESS;
}
