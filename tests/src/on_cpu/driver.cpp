// The part of the CUDA driver's interface that the kernels' host side calls, over on_cpu.h: device
// memory is the host's, streams are the order of calls, a captured graph is a list of what to do.
// Where CUDA_H names the vendor's header, the compiler checks every signature against it.
#include "on_cpu.h"

#include "kernels.cu"

#include <functional>
#include <map>
#include <string>

#ifdef CUDA_H
#include CUDA_H
#else
using CUresult = int;
using CUdevice = int;
using CUdevice_attribute = int;
using CUfunction_attribute = int;
using CUstreamCaptureMode = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct Context*;
using CUmodule = struct Module*;
using CUfunction = struct Function*;
using CUstream = struct Stream*;
using CUgraph = struct Graph*;
using CUgraphExec = struct Executable*;
struct CUlaunchAttribute {
    int id;
    char pad[4];
    union {
        char bytes[64];
        int cooperative;
        struct { unsigned x, y, z; } clusterDim;
    } value;
};
struct CUlaunchConfig {
    unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
    CUstream hStream;
    CUlaunchAttribute* attrs;
    unsigned numAttrs;
};
#define cuMemAlloc cuMemAlloc_v2
#define cuMemFree cuMemFree_v2
#define cuMemAllocHost cuMemAllocHost_v2
#define cuMemcpyHtoDAsync cuMemcpyHtoDAsync_v2
#define cuMemcpyDtoHAsync cuMemcpyDtoHAsync_v2
#define cuMemcpyDtoDAsync cuMemcpyDtoDAsync_v2
#define cuStreamBeginCapture cuStreamBeginCapture_v2
#define CUDAAPI
#endif

namespace {

using Work = std::function<void()>;

constexpr CUresult FINE = CUresult(0), INVALID = CUresult(1), CAPTURED = CUresult(900);
constexpr int MULTIPROCESSORS = 16, MAJOR = 75, MINOR = 76, SHARED = 97;

std::vector<Work>* captured = nullptr;
std::map<CUdeviceptr, size_t> memory;
std::map<const void*, int> most_shared;

CUresult enqueue(Work work) {
    if (captured) captured->push_back(std::move(work));
    else work();
    return FINE;
}

template <typename Pointer>
Pointer opaque(const void* from) {
    return reinterpret_cast<Pointer>(const_cast<void*>(from));
}

/// Whether a range lies inside one allocation; a real device would fault or worse.
bool inside(CUdeviceptr from, size_t bytes) {
    auto found = memory.upper_bound(from);
    if (found == memory.begin()) return false;
    --found;
    return from + bytes <= found->first + found->second;
}

}  // namespace

extern "C" {

CUresult CUDAAPI cuInit(unsigned) { return FINE; }
CUresult CUDAAPI cuDeviceGet(CUdevice* device, int ordinal) {
    *device = ordinal;
    return FINE;
}
CUresult CUDAAPI cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice) {
    switch (int(which)) {
        case MULTIPROCESSORS: *value = BLOCKS; return FINE;
        case MAJOR: *value = 9; return FINE;
        case MINOR: *value = 0; return FINE;
        case SHARED: *value = SHARED_BYTES; return FINE;
    }
    return INVALID;
}
CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
    *context = opaque<CUcontext>("context");
    return FINE;
}
CUresult CUDAAPI cuCtxSetCurrent(CUcontext) { return FINE; }
CUresult CUDAAPI cuModuleLoadData(CUmodule* module, const void* image) {
    *module = opaque<CUmodule>(image);
    return FINE;
}
CUresult CUDAAPI cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
    for (const Named& named : kernels()) {
        if (std::string(named.name) != name) continue;
        *function = opaque<CUfunction>(&named);
        return FINE;
    }
    return INVALID;
}
CUresult CUDAAPI cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
    if (int(which) == 8) most_shared[function] = value;
    return FINE;
}
CUresult CUDAAPI cuOccupancyMaxActiveClusters(int* count, CUfunction, const CUlaunchConfig*) {
    *count = BLOCKS / CLUSTER;
    return FINE;
}
CUresult CUDAAPI cuMemAlloc(CUdeviceptr* at, size_t bytes) {
    *at = CUdeviceptr(fibers::make_memory(bytes));
    memory[*at] = bytes;
    return FINE;
}
CUresult CUDAAPI cuMemFree(CUdeviceptr at) {
    fibers::check_guard(reinterpret_cast<char*>(at), memory.at(at), "device memory");
    std::free(reinterpret_cast<void*>(at));
    memory.erase(at);
    return FINE;
}
CUresult CUDAAPI cuMemAllocHost(void** at, size_t bytes) {
    *at = fibers::make_memory(bytes);
    return FINE;
}
CUresult CUDAAPI cuMemFreeHost(void* at) {
    std::free(at);
    return FINE;
}
CUresult CUDAAPI cuMemcpyHtoDAsync(CUdeviceptr into, const void* from, size_t bytes, CUstream) {
    if (!inside(into, bytes)) return INVALID;
    return enqueue([=] { std::memcpy(reinterpret_cast<void*>(into), from, bytes); });
}
CUresult CUDAAPI cuMemcpyDtoHAsync(void* into, CUdeviceptr from, size_t bytes, CUstream) {
    if (!inside(from, bytes)) return INVALID;
    return enqueue([=] { std::memcpy(into, reinterpret_cast<void*>(from), bytes); });
}
CUresult CUDAAPI cuMemcpyDtoDAsync(CUdeviceptr into, CUdeviceptr from, size_t bytes, CUstream) {
    if (!inside(into, bytes) || !inside(from, bytes)) return INVALID;
    return enqueue([=] {
        std::memcpy(reinterpret_cast<void*>(into), reinterpret_cast<void*>(from), bytes);
    });
}
CUresult CUDAAPI cuMemsetD32Async(CUdeviceptr into, unsigned value, size_t count, CUstream) {
    if (!inside(into, 4 * count)) return INVALID;
    return enqueue([=] {
        for (size_t at = 0; at < count; at++) reinterpret_cast<unsigned*>(into)[at] = value;
    });
}
CUresult CUDAAPI cuStreamCreate(CUstream* stream, unsigned) {
    *stream = opaque<CUstream>("stream");
    return FINE;
}
CUresult CUDAAPI cuStreamSynchronize(CUstream) { return captured ? CAPTURED : FINE; }
CUresult CUDAAPI cuStreamBeginCapture(CUstream, CUstreamCaptureMode) {
    captured = new std::vector<Work>;
    return FINE;
}
CUresult CUDAAPI cuStreamEndCapture(CUstream, CUgraph* graph) {
    *graph = opaque<CUgraph>(captured);
    captured = nullptr;
    return FINE;
}
CUresult CUDAAPI cuGraphInstantiateWithFlags(CUgraphExec* made, CUgraph graph, unsigned long long) {
    *made = opaque<CUgraphExec>(new std::vector<Work>(*reinterpret_cast<std::vector<Work>*>(graph)));
    return FINE;
}
CUresult CUDAAPI cuGraphLaunch(CUgraphExec graph, CUstream) {
    for (const Work& work : *reinterpret_cast<std::vector<Work>*>(graph)) work();
    return FINE;
}
CUresult CUDAAPI cuGraphExecDestroy(CUgraphExec graph) {
    delete reinterpret_cast<std::vector<Work>*>(graph);
    return FINE;
}
CUresult CUDAAPI cuGraphDestroy(CUgraph graph) {
    delete reinterpret_cast<std::vector<Work>*>(graph);
    return FINE;
}
CUresult CUDAAPI cuGetErrorString(CUresult error, const char** text) {
    *text = error == INVALID ? "invalid argument" : "not allowed in a capture";
    return FINE;
}

CUresult CUDAAPI cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** given,
                                  void**) {
    const Named* named = reinterpret_cast<const Named*>(function);
    unsigned grid = config->gridDimX, threads = config->blockDimX, cluster = 1;
    size_t shared = config->sharedMemBytes;
    if (threads != THREADS || grid == 0 || shared > SHARED_BYTES) return INVALID;
    if (shared > (48 << 10) && most_shared[function] < int(shared)) return INVALID;
    for (unsigned at = 0; at < config->numAttrs; at++) {
        const CUlaunchAttribute& attribute = config->attrs[at];
        if (int(attribute.id) == 4) cluster = attribute.value.clusterDim.x;
        if (int(attribute.id) == 2 && grid > BLOCKS) return INVALID;
    }
    if (grid % cluster != 0 || (cluster != 1 && cluster != CLUSTER)) return INVALID;
    const char* from = static_cast<const char*>(given[0]);
    std::vector<char> arguments(from, from + named->bytes);
    return enqueue([=] {
        fibers::run(named->kernel, arguments.data(), grid, threads, shared, cluster);
        for (auto [at, bytes] : memory) {
            fibers::check_guard(reinterpret_cast<char*>(at), bytes, "device memory");
        }
    });
}
}
