// How a kernel is declared: it takes everything by value, and one block of THREADS threads fills a
// multiprocessor's registers at most once.
#ifndef ON_CPU
#define KERNEL(name) \
    extern "C" __global__ void __launch_bounds__(THREADS, 1) name(const __grid_constant__ Arguments a)
#endif
