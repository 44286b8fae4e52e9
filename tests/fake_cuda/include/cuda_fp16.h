// Stands in for NVIDIA's header, which is not among the packages of libtorch: what the runtime's headers need of it.
#pragma once
struct __half{unsigned short x;}; struct __half2{__half x,y;};
