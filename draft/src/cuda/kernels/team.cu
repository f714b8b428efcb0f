// The blocks that work on the same tokens and wait for each other: a whole launch, or one cluster of
// it; and which weights each of them keeps in its shared memory. Speed: weights that a block reads
// at every step are copied once a launch, as far as they fit, and the rest is read through the L2;
// a cluster's barrier needs no memory. Not measured on a GPU yet.

struct Team {
    /// Among the teams of the launch.
    int index, teams;
    /// Of this block among the team's.
    int rank, size;
    u32 generation;
};

__device__ inline Team whole_launch() { return {0, 1, int(blockIdx.x), int(gridDim.x), 0}; }

__device__ inline Team own_cluster() {
    int block = blockIdx.x, blocks = gridDim.x;
    return {block / CLUSTER, blocks / CLUSTER, block % CLUSTER, CLUSTER, 0};
}

#ifndef ON_CPU
extern __shared__ float4 shared_memory[];
__device__ inline char* shared_bytes() { return reinterpret_cast<char*>(shared_memory); }

__device__ inline void arrive(u32* counter) {
    asm volatile("fence.acq_rel.gpu; red.relaxed.gpu.global.add.u32 [%0], 1;" ::"l"(counter)
                 : "memory");
}

__device__ inline u32 seen(const u32* counter) {
    u32 value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(counter) : "memory");
    return value;
}

__device__ inline void meet_in_cluster() {
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release.aligned;\n"
                 "barrier.cluster.wait.acquire.aligned;" ::
                     : "memory");
#endif
}

__device__ inline void pause() {}
#endif

/// Waits for all threads of the team; what they wrote before can then be read.
template <bool IN_CLUSTER>
__device__ inline void meet(const Arguments& a, Team& team) {
    if constexpr (IN_CLUSTER) {
        meet_in_cluster();
    } else {
        __syncthreads();
        team.generation += team.size;
        if (threadIdx.x == 0) {
            arrive(a.counters);
            while (seen(a.counters) < team.generation) pause();
        }
        __syncthreads();
    }
}

// Where two rows of a matrix lie in the shared memory of the block that has them. Pair `t` of every
// matrix but the projections belongs to rank `t % size`.
enum Matrix { OUTPUT, GATE_UP, DOWN, HEAD, PROJECT };

__host__ __device__ inline int shares(int pairs, int size) { return (pairs + size - 1) / size; }

/// Bytes of two rows.
__host__ __device__ constexpr int pair_bytes(Matrix matrix) {
    return 4 * (matrix == OUTPUT ? QUERY : matrix == DOWN ? FEED : HIDDEN);
}

__host__ __device__ inline int pair_offset(Matrix matrix, int layer, int pair, int size) {
    int outputs = shares(HIDDEN / 2, size) * pair_bytes(OUTPUT);
    int gates = shares(FEED, size) * pair_bytes(GATE_UP);
    int downs = shares(HIDDEN / 2, size) * pair_bytes(DOWN);
    int at = layer * (outputs + gates + downs);
    switch (matrix) {
        case OUTPUT: break;
        case GATE_UP: at += outputs; break;
        case DOWN: at += outputs + gates; break;
        case HEAD: at = LAYERS * (outputs + gates + downs); break;
        case PROJECT:
            // The pairs of one head of one layer are one block's, behind everything else.
            return LAYERS * (outputs + gates + downs) +
                   shares(PADDED_ROWS / 2, size) * pair_bytes(HEAD) + pair * pair_bytes(PROJECT);
    }
    return at + (pair / size) * pair_bytes(matrix);
}

/// The rows of a pair: in shared memory where they fit, else in the device's.
__device__ inline const u16* resident(const Arguments& a, const u16* rows, int offset, int bytes) {
    bool fits = offset + bytes <= int(a.resident);
    return fits ? reinterpret_cast<const u16*>(shared_bytes() + offset) : rows;
}

/// Copies two rows where they are to stay.
__device__ inline void keep(const Arguments& a, const u16* rows, int offset, int bytes) {
    if (offset + bytes > int(a.resident)) return;
    const uint4* from = reinterpret_cast<const uint4*>(rows);
    uint4* into = reinterpret_cast<uint4*>(shared_bytes() + offset);
    for (int at = threadIdx.x % 32; at < bytes / 16; at += 32) into[at] = from[at];
}

/// Pairs of the projections of one key head: its query heads, its keys, its values.
constexpr int PROJECT_PAIRS = (GROUP + 2) * HALF;

/// Where pair `pair` of key head `group` begins among the rows of the projections.
__device__ inline long project_row(int group, int pair) {
    int head = pair / HALF, within = pair % HALF;
    int own = head < GROUP ? group * GROUP + head
                           : HEADS + (head - GROUP) * KV_HEADS + group;
    return (long(own) * HALF + within) * 2 * HIDDEN;
}

/// The block that reads key head `group` of a layer for the first token; with more tokens, the
/// blocks behind it.
__device__ inline int home(int layer, int group, int size) {
    return (layer * KV_HEADS + group) % size;
}

/// The pair's place among those that a block may hold of the projections.
__device__ inline int project_place(int layer, int group, int pair, int size) {
    return (layer * KV_HEADS + group) / size * PROJECT_PAIRS + pair;
}

/// Fills the shared memory that is for weights.
__device__ inline void take_residence(const Arguments& a, const Team& team) {
    if (a.resident == 0) return;
    int warp = threadIdx.x / 32;
    auto take = [&](Matrix matrix, const u16* rows, int pairs, int layer) {
        int bytes = pair_bytes(matrix);
        for (int at = warp; team.rank + at * team.size < pairs; at += WARPS) {
            int pair = team.rank + at * team.size;
            keep(a, rows + long(pair) * (bytes / 2), pair_offset(matrix, layer, pair, team.size),
                 bytes);
        }
    };
    for (int layer = 0; layer < LAYERS; layer++) {
        const u16* weights = layer_weights(a, layer);
        take(OUTPUT, weights + OUTPUT_AT, HIDDEN / 2, layer);
        take(GATE_UP, weights + GATE_UP_AT, FEED, layer);
        take(DOWN, weights + DOWN_AT, HIDDEN / 2, layer);
        for (int group = 0; group < KV_HEADS; group++) {
            if (home(layer, group, team.size) != team.rank) continue;
            for (int pair = warp; pair < PROJECT_PAIRS; pair += WARPS) {
                int place = project_place(layer, group, pair, team.size);
                keep(a, weights + PROJECT_AT + project_row(group, pair),
                     pair_offset(PROJECT, layer, place, team.size), pair_bytes(PROJECT));
            }
        }
    }
    take(HEAD, a.weights + HEAD_AT, PADDED_ROWS / 2, 0);
    __syncthreads();
}
