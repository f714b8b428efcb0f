// Attention of one token over its prefix's cache, by one block: softmax and mix in one pass over the
// positions (Milakov & Gimelshein, 1805.02867), which warps share among them. Speed: keys and values are read once, in
// sixteen bytes a lane, and two positions are in flight for each group of lanes. Not measured on a
// GPU yet.

/// Lanes that share a position.
constexpr int SHARING = HEAD_DIM / HELD;
constexpr int POSITIONS = 32 / SHARING;
/// Query heads that are mixed at once.
constexpr int AT_ONCE = GROUP % 4 == 0 ? 4 : GROUP % 2 == 0 ? 2 : 1;
constexpr int IN_FLIGHT = 2;

/// What a warp knows of the positions that it has seen, for each head: the largest score, the sum of
/// weights, and the lane's share of the mix.
struct Mix {
    float largest[AT_ONCE];
    float total[AT_ONCE];
    float values[AT_ONCE][HELD];
};

/// How far a pair of a query's or key's elements is turned.
struct Angle {
    float cosine, sine;
};

__device__ inline Angle angle_of(const Arguments& a, u32 position, int within) {
    long at = long(position) * HALF + within;
    return {a.cosines[at], a.sines[at]};
}

__device__ inline float turned(Angle angle, const Product& found) {
    float sine = found.row == 0 ? -angle.sine : angle.sine;
    return fmaf(found.other, sine, found.value * angle.cosine);
}

/// Floats of shared memory that `mix` needs.
constexpr int MIX_FLOATS = WARPS * AT_ONCE * (HEAD_DIM + 2);
static_assert(4 * MIX_FLOATS == MIX_SCRATCH, "the host's room");

__device__ inline bool sees(const Token& token, const u32* mask, u32 slot) {
    if (slot < token.limit) return true;
    if (slot >= token.end) return false;
    u32 node = slot - token.limit;
    return mask[node / 32] >> (node % 32) & 1u;
}

__device__ inline void add_positions(const Token& token, const u32* mask, const Cached* keys,
                                     const Cached* values, const float (*queries)[HELD],
                                     u32 first, int part, Mix& mix) {
    float key[IN_FLIGHT][HELD], value[IN_FLIGHT][HELD];
    bool seen[IN_FLIGHT];
#pragma unroll
    for (int at = 0; at < IN_FLIGHT; at++) {
        u32 slot = first + at * WARPS * POSITIONS;
        bool there = slot < token.end;
        long from = long(there ? slot : 0) * HEAD_DIM + part * HELD;
        load_cached(keys + from, key[at]);
        load_cached(values + from, value[at]);
        seen[at] = there && sees(token, mask, slot);
    }
#pragma unroll
    for (int head = 0; head < AT_ONCE; head++) {
        float score[IN_FLIGHT], largest = mix.largest[head];
#pragma unroll
        for (int at = 0; at < IN_FLIGHT; at++) {
            float sum = 0;
#pragma unroll
            for (int element = 0; element < HELD; element++) {
                sum = fmaf(queries[head][element], key[at][element], sum);
            }
            for (int offset = SHARING / 2; offset >= 1; offset /= 2) {
                sum += __shfl_xor_sync(ALL_LANES, sum, offset);
            }
            score[at] = seen[at] ? sum : LEAST;
            largest = fmaxf(largest, score[at]);
        }
        float shrunk = expf(mix.largest[head] - largest);
        mix.total[head] *= shrunk;
#pragma unroll
        for (int element = 0; element < HELD; element++) mix.values[head][element] *= shrunk;
#pragma unroll
        for (int at = 0; at < IN_FLIGHT; at++) {
            float weight = seen[at] ? expf(score[at] - largest) : 0;
            mix.total[head] += weight;
#pragma unroll
            for (int element = 0; element < HELD; element++) {
                mix.values[head][element] = fmaf(weight, value[at][element],
                                                 mix.values[head][element]);
            }
        }
        mix.largest[head] = largest;
    }
}

/// Joins what groups of lanes have seen.
__device__ inline void join_lanes(Mix& mix) {
#pragma unroll
    for (int head = 0; head < AT_ONCE; head++) {
        for (int offset = SHARING; offset < 32; offset *= 2) {
            float largest = __shfl_xor_sync(ALL_LANES, mix.largest[head], offset);
            float total = __shfl_xor_sync(ALL_LANES, mix.total[head], offset);
            float both = fmaxf(largest, mix.largest[head]);
            float own = expf(mix.largest[head] - both), others = expf(largest - both);
            mix.total[head] = fmaf(total, others, mix.total[head] * own);
#pragma unroll
            for (int element = 0; element < HELD; element++) {
                float value = __shfl_xor_sync(ALL_LANES, mix.values[head][element], offset);
                mix.values[head][element] = fmaf(value, others, mix.values[head][element] * own);
            }
            mix.largest[head] = both;
        }
    }
}

/// Mixes for query heads `first_head …` of one key head. `queries` and `into` begin at the first
/// of them, `scratch` is MIX_FLOATS of shared memory. All threads of the block take part.
__device__ inline void mix_heads(const Token& token, const u32* mask, const Cached* keys,
                                 const Cached* values, const float* queries, float* into,
                                 float* scratch) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int part = lane % SHARING, group = warp * POSITIONS + lane / SHARING;
    float own[AT_ONCE][HELD];
    Mix mix;
    float scale = 1.0f / sqrtf(float(HEAD_DIM));
#pragma unroll
    for (int head = 0; head < AT_ONCE; head++) {
        mix.largest[head] = LEAST;
        mix.total[head] = 0;
#pragma unroll
        for (int element = 0; element < HELD; element++) {
            own[head][element] = queries[head * HEAD_DIM + part * HELD + element] * scale;
            mix.values[head][element] = 0;
        }
    }
    // All lanes of a warp go round together: the first slot of the warp decides.
    for (u32 slot = warp * POSITIONS; slot < token.end; slot += IN_FLIGHT * WARPS * POSITIONS) {
        add_positions(token, mask, keys, values, own, slot + group - warp * POSITIONS, part, mix);
    }
    join_lanes(mix);
    float* totals = scratch + WARPS * AT_ONCE * HEAD_DIM;
    if (lane < SHARING) {
#pragma unroll
        for (int head = 0; head < AT_ONCE; head++) {
            float* row = scratch + (warp * AT_ONCE + head) * HEAD_DIM + part * HELD;
#pragma unroll
            for (int element = 0; element < HELD; element++) row[element] = mix.values[head][element];
            if (part == 0) {
                totals[(warp * AT_ONCE + head) * 2] = mix.largest[head];
                totals[(warp * AT_ONCE + head) * 2 + 1] = mix.total[head];
            }
        }
    }
    __syncthreads();
    for (int at = threadIdx.x; at < AT_ONCE * HEAD_DIM; at += THREADS) {
        int head = at / HEAD_DIM;
        float largest = LEAST, total = 0, sum = 0;
        for (int other = 0; other < WARPS; other++) {
            largest = fmaxf(largest, totals[(other * AT_ONCE + head) * 2]);
        }
        for (int other = 0; other < WARPS; other++) {
            const float* found = totals + (other * AT_ONCE + head) * 2;
            float weight = expf(found[0] - largest);
            total = fmaf(weight, found[1], total);
            sum = fmaf(weight, scratch[(other * AT_ONCE + head) * HEAD_DIM + at % HEAD_DIM], sum);
        }
        into[at] = sum / total;
    }
    __syncthreads();
}

/// Attention of one token for the query heads of one key head.
__device__ inline void attend(const Arguments& a, const Token& token, const u32* mask, int layer,
                              int group, const float* queries, float* into, float* scratch) {
    const Cached* keys = cached(a, token.prefix, layer, 0, group);
    const Cached* values = cached(a, token.prefix, layer, 1, group);
    for (int head = 0; head < GROUP; head += AT_ONCE) {
        mix_heads(token, mask, keys, values, queries + head * HEAD_DIM, into + head * HEAD_DIM,
                  scratch);
    }
}
