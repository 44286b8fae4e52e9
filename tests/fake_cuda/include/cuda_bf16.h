// Stands in for NVIDIA's header, which is not among the packages of libtorch: what the runtime's headers need of it.
#pragma once
struct __nv_bfloat16{unsigned short x;}; struct __nv_bfloat162{__nv_bfloat16 x,y;};
