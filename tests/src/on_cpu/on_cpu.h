// CUDA C++ on a CPU: what the kernels use of the language, with a fiber for each thread of a launch.
// Fibers run until they wait for each other, in an order that differs from launch to launch, so that a
// missing barrier shows as results that differ; threads that wait for what never comes are an
// error. Shared and device memory begin as NaN and end with a guard. Knows no kernel. One launch at a
// time.
#pragma once
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <vector>

#define ON_CPU 1
#define __device__
#define __host__

struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };
struct Dim { unsigned x; };

static Dim threadIdx, blockIdx, blockDim, gridDim;

inline float __uint_as_float(unsigned bits) { float value; std::memcpy(&value, &bits, 4); return value; }
inline unsigned __float_as_uint(float value) { unsigned bits; std::memcpy(&bits, &value, 4); return bits; }
inline int min(int one, int other) { return one < other ? one : other; }
inline float rsqrtf(float value) { return 1.0f / std::sqrt(value); }

namespace fibers {

constexpr size_t STACK = 64 << 10, GUARD = 64;
constexpr unsigned char GUARD_BYTE = 0xA5;

/// Memory that begins as NaN, with a guard behind it.
inline char* make_memory(size_t bytes) {
    char* memory = static_cast<char*>(std::aligned_alloc(256, (bytes + GUARD + 255) / 256 * 256));
    std::memset(memory, 0xFF, bytes);
    std::memset(memory + bytes, GUARD_BYTE, GUARD);
    return memory;
}

inline void check_guard(const char* memory, size_t bytes, const char* what) {
    for (size_t at = 0; at < GUARD; at++) {
        if (static_cast<unsigned char>(memory[bytes + at]) == GUARD_BYTE) continue;
        std::fprintf(stderr, "on_cpu: %s was written behind its end\n", what);
        std::abort();
    }
}

struct Fiber {
    ucontext_t start;
    jmp_buf resume;
    char* stack = nullptr;
    bool begun = false, done = false;
    unsigned block = 0, thread = 0;
};

/// A place where `size` fibers meet.
struct Meeting {
    unsigned size = 0, times = 0;
    std::vector<Fiber*> waiting;
};

struct Launch {
    void (*kernel)(const void*);
    const void* arguments;
    std::vector<Fiber> all;
    /// Fibers that can go on, and those that said that they look again later.
    std::vector<Fiber*> ready, paused;
    /// Meetings and ends so far.
    size_t events = 0;
    std::vector<Meeting> blocks, warps, clusters;
    std::vector<char*> shared;
    /// What lanes give each other: of even and of odd times, so that a lane that is ahead overwrites
    /// nothing.
    std::vector<unsigned long long> exchanged[2];
    jmp_buf scheduler;
    Fiber* running = nullptr;
};

inline Launch* launch = nullptr;
inline unsigned long long seed = 1;

inline unsigned next_random() {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return unsigned(seed >> 33);
}

inline void enter(Fiber& fiber) {
    launch->running = &fiber;
    threadIdx.x = fiber.thread;
    blockIdx.x = fiber.block;
}

inline void leave() {
    if (_setjmp(launch->running->resume) == 0) _longjmp(launch->scheduler, 1);
}

inline void body() {
    launch->kernel(launch->arguments);
    launch->running->done = true;
    _longjmp(launch->scheduler, 1);
}

inline void meet(Meeting& place) {
    launch->events++;
    if (place.waiting.size() + 1 == place.size) {
        launch->ready.insert(launch->ready.end(), place.waiting.begin(), place.waiting.end());
        place.waiting.clear();
        place.times++;
        return;
    }
    place.waiting.push_back(launch->running);
    leave();
}

inline void run(Fiber& fiber) {
    if (_setjmp(launch->scheduler) != 0) return;
    enter(fiber);
    if (fiber.begun) _longjmp(fiber.resume, 1);
    fiber.begun = true;
    setcontext(&fiber.start);
}

[[noreturn]] inline void give_up() {
    std::fprintf(stderr, "on_cpu: threads wait for what never comes, in block and thread");
    for (const Fiber& fiber : launch->all) {
        if (!fiber.done) std::fprintf(stderr, " %u:%u", fiber.block, fiber.thread);
    }
    std::fprintf(stderr, "\n");
    std::abort();
}

inline void run_all() {
    auto &ready = launch->ready, &paused = launch->paused;
    for (Fiber& fiber : launch->all) ready.push_back(&fiber);
    size_t left = ready.size(), events = 0;
    for (unsigned idle = 0; left > 0;) {
        if (ready.empty()) {
            idle = launch->events == events ? idle + 1 : 0;
            events = launch->events;
            if (paused.empty() || idle > 2) give_up();
            ready.swap(paused);
        }
        std::swap(ready[next_random() % ready.size()], ready.back());
        Fiber* fiber = ready.back();
        ready.pop_back();
        run(*fiber);
        launch->events += fiber->done;
        left -= fiber->done;
    }
}

/// Runs a kernel to its end. A cluster is `cluster` blocks.
inline void run(void (*kernel)(const void*), const void* arguments, unsigned grid, unsigned threads,
                size_t shared, unsigned cluster) {
    Launch own;
    own.kernel = kernel;
    own.arguments = arguments;
    own.all = std::vector<Fiber>(size_t(grid) * threads);
    own.blocks.resize(grid);
    own.warps.resize(size_t(grid) * threads / 32);
    own.clusters.resize((grid + cluster - 1) / cluster);
    for (auto& values : own.exchanged) values.resize(own.all.size());
    for (Meeting& place : own.blocks) place.size = threads;
    for (Meeting& place : own.warps) place.size = 32;
    for (Meeting& place : own.clusters) place.size = threads * cluster;
    for (unsigned block = 0; block < grid; block++) own.shared.push_back(make_memory(shared));
    static std::vector<char*> stacks;
    while (stacks.size() < own.all.size()) stacks.push_back(static_cast<char*>(std::malloc(STACK)));
    launch = &own;
    blockDim.x = threads;
    gridDim.x = grid;
    for (size_t at = 0; at < own.all.size(); at++) {
        Fiber& fiber = own.all[at];
        fiber.block = unsigned(at / threads);
        fiber.thread = unsigned(at % threads);
        fiber.stack = stacks[at];
        getcontext(&fiber.start);
        fiber.start.uc_stack.ss_sp = fiber.stack;
        fiber.start.uc_stack.ss_size = STACK;
        makecontext(&fiber.start, body, 0);
    }
    run_all();
    for (char* memory : own.shared) {
        check_guard(memory, shared, "shared memory");
        std::free(memory);
    }
    launch = nullptr;
}

inline unsigned own_index() { return blockIdx.x * blockDim.x + threadIdx.x; }

/// Gives each lane the value of lane `from`.
template <typename Value>
Value exchange(Value value, unsigned from) {
    unsigned index = own_index(), warp = index / 32;
    auto& values = launch->exchanged[launch->warps[warp].times % 2];
    std::memcpy(&values[index], &value, sizeof(Value));
    meet(launch->warps[warp]);
    Value found;
    std::memcpy(&found, &values[warp * 32 + from], sizeof(Value));
    return found;
}

}  // namespace fibers

inline void __syncthreads() { fibers::meet(fibers::launch->blocks[blockIdx.x]); }

template <typename Value>
Value __shfl_xor_sync(unsigned, Value value, int mask) {
    return fibers::exchange(value, (threadIdx.x % 32) ^ unsigned(mask));
}

template <typename Value>
Value __shfl_sync(unsigned, Value value, int lane) {
    return fibers::exchange(value, unsigned(lane) % 32);
}

inline char* shared_bytes() { return fibers::launch->shared[blockIdx.x]; }
inline void arrive(unsigned* counter) { ++*counter; }
inline unsigned seen(const unsigned* counter) { return *counter; }

/// Lets others run. The compiler must not keep what it knows of memory across this.
inline void pause() {
    fibers::launch->paused.push_back(fibers::launch->running);
    fibers::leave();
    asm volatile("" ::: "memory");
}

inline void meet_in_cluster() {
    fibers::meet(fibers::launch->clusters[blockIdx.x / CLUSTER]);
}

/// The kernels by name.
struct Named {
    const char* name;
    void (*kernel)(const void*);
    size_t bytes;
};

inline std::vector<Named>& kernels() {
    static std::vector<Named> all;
    return all;
}

struct Entry {
    Entry(const char* name, void (*kernel)(const void*), size_t bytes) {
        kernels().push_back({name, kernel, bytes});
    }
};

#define KERNEL(name)                                                                        \
    static void name(const Arguments& a);                                                   \
    static Entry name##_entry(                                                              \
        #name, [](const void* from) { name(*static_cast<const Arguments*>(from)); },        \
        sizeof(Arguments));                                                                 \
    static void name(const Arguments& a)
