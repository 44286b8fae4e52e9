// Stands in for NVIDIA's header, which is not among the packages of libtorch: what the runtime's headers need of it.
#pragma once
