// Stands in for NVIDIA's header, which is not among the packages of libtorch: what the runtime's headers need of it.
#pragma once
#define __CUDACC_VER_MAJOR__ 13
#define CUDARTAPI
#define CUDARTAPI_CDECL
#define CUDART_CB
#define __host__
#define __device__
#define __device_builtin__
#define __device_builtin_texture_type__
#define __device_builtin_surface_type__
#define __cudart_builtin__
#define __global__
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline
#define __location__(a)
#define __annotate__(a)
#define __specialization_static static
#define __dv(v) = v
