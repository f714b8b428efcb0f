// Numbers and what a warp does with them. Speed: two bytes a weight and a cached element, sums in
// 32 bits; laws are drawn in 64 bits, so that a device draws what the host draws. Not measured on a
// GPU yet.

using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;

constexpr u32 NONE = 0xffffffffu;
constexpr u32 ALL_LANES = 0xffffffffu;
constexpr int WARPS = THREADS / 32;
/// Below every number that occurs.
constexpr float LEAST = -1e30f;
constexpr double LEAST_WIDE = -1.7976931348623157e308;

#if CACHE_FLOAT
using Cached = float;
#else
using Cached = u16;
#endif

__device__ inline float from_bf16(u16 bits) { return __uint_as_float(u32(bits) << 16); }

/// To the nearest, ties to even.
__device__ inline u16 to_bf16(float value) {
    u32 bits = __float_as_uint(value);
    return u16((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

struct Four {
    float at[4];
};

/// Four weights of two bytes.
__device__ inline Four four_weights(const u16* from) {
    uint2 bits = *reinterpret_cast<const uint2*>(from);
    return {{__uint_as_float(bits.x << 16), __uint_as_float(bits.x & 0xffff0000u),
             __uint_as_float(bits.y << 16), __uint_as_float(bits.y & 0xffff0000u)}};
}

__device__ inline Four four_floats(const float* from) {
    float4 found = *reinterpret_cast<const float4*>(from);
    return {{found.x, found.y, found.z, found.w}};
}

/// Elements of a cached head that a lane holds.
constexpr int HELD = 8;

__device__ inline void load_cached(const float* from, float* into) {
    for (int half = 0; half < HELD; half += 4) {
        Four part = four_floats(from + half);
        for (int at = 0; at < 4; at++) into[half + at] = part.at[at];
    }
}

__device__ inline void load_cached(const u16* from, float* into) {
    uint4 bits = *reinterpret_cast<const uint4*>(from);
    u32 words[4] = {bits.x, bits.y, bits.z, bits.w};
    for (int at = 0; at < 4; at++) {
        into[2 * at] = __uint_as_float(words[at] << 16);
        into[2 * at + 1] = __uint_as_float(words[at] & 0xffff0000u);
    }
}

__device__ inline void store_cached(float* into, float value) { *into = value; }
__device__ inline void store_cached(u16* into, float value) { *into = to_bf16(value); }

/// Halves COUNT values for each step over the lanes, then sums what is left.
template <int COUNT, int OFFSET>
__device__ inline void fold_lanes(float* values, int lane) {
    if constexpr (OFFSET >= 1) {
        if constexpr (COUNT > 1) {
            bool upper = lane & OFFSET;
#pragma unroll
            for (int at = 0; at < COUNT / 2; at++) {
                float sent = upper ? values[at] : values[at + COUNT / 2];
                float kept = upper ? values[at + COUNT / 2] : values[at];
                values[at] = kept + __shfl_xor_sync(ALL_LANES, sent, OFFSET);
            }
            fold_lanes<COUNT / 2, OFFSET / 2>(values, lane);
        } else {
            values[0] += __shfl_xor_sync(ALL_LANES, values[0], OFFSET);
            fold_lanes<1, OFFSET / 2>(values, lane);
        }
    }
}

/// Sums over the lanes of COUNT values each, COUNT a power of two up to 32. A lane gets the sum of
/// value `lane / (32 / COUNT)`. Each sum is taken in the same order, whatever COUNT is.
template <int COUNT>
__device__ inline float sum_lanes(float* values, int lane) {
    fold_lanes<COUNT, 16>(values, lane);
    return values[0];
}

/// Random bits that belong to a name: the output function of SplitMix64, as `Key::bits` of the host.
__device__ inline u64 random_bits(u64 key, u32 name) {
    u64 bits = key + (u64(name) + 1) * 0x9E3779B97F4A7C15ull;
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ull;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBull;
    return bits ^ (bits >> 31);
}

/// The upper 53 bits as a number in (0, 1).
__device__ inline double unit(u64 bits) {
    return (double(bits >> 11) + 0.5) * (1.0 / 9007199254740992.0);
}

/// A uniform number of a key alone, as `Key::uniform` of the host.
__device__ inline double uniform(u64 key) { return unit(random_bits(key, NONE)); }

/// Gumbel noise of a name.
__device__ inline double noise(u64 key, u32 name) {
    return -log(-log1p(-unit(random_bits(key, name))));
}

/// A candidate of a draw: the largest value wins, the smaller name among equals.
struct Best {
    double value;
    u32 name;
    u32 id;
};

/// What every candidate is better than. Where there is none (all logits are NaN), the first id stands.
__device__ inline Best worst() { return {LEAST_WIDE, NONE, 0}; }

__device__ inline Best better(Best one, Best other) {
    bool second = other.value > one.value || (other.value == one.value && other.name < one.name);
    return second ? other : one;
}

/// The best of a warp's lanes, in every lane.
__device__ inline Best best_of_lanes(Best best) {
    for (int offset = 16; offset >= 1; offset /= 2) {
        Best other;
        other.value = __shfl_xor_sync(ALL_LANES, best.value, offset);
        other.name = __shfl_xor_sync(ALL_LANES, best.name, offset);
        other.id = __shfl_xor_sync(ALL_LANES, best.id, offset);
        best = better(best, other);
    }
    return best;
}
