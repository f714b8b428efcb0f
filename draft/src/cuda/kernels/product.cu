// A warp's matrix product: two rows of weights times a tile of activation vectors, with the norm of
// the vectors where one stands before the map. Speed: weights are read once for a whole tile, the
// norm costs no pass and no barrier of its own. A sum is taken in the same order whatever the tile,
// so that logits do not hang on how many ids are read at once. Not measured on a GPU yet.

/// Activation vectors that are multiplied at once.
constexpr int TILE = 8;

/// What a lane gets: one element of [row][token], the other row's element of the same token, and
/// whether it is the lane that writes them.
struct Product {
    float value;
    float other;
    int row;
    int token;
    bool writes;
};

/// Two rows of K weights times `count` vectors that lie `stride` apart, at most TOKENS. NORMED: the
/// vectors are normed first, with the weights `norm`.
template <int K, int TOKENS, bool NORMED>
__device__ inline Product product(const u16* rows, const u16* norm, const float* vectors, int stride,
                                  int count) {
    int lane = threadIdx.x % 32;
    float sums[2 * TOKENS], squares[TOKENS];
#pragma unroll
    for (int token = 0; token < TOKENS; token++) {
        sums[token] = sums[TOKENS + token] = squares[token] = 0;
    }
#pragma unroll(TOKENS > 1 ? 1 : K <= 1024 ? (K + 127) / 128 : 4)
    for (int at = lane * 4; at < K; at += 128) {
        Four one = four_weights(rows + at), two = four_weights(rows + K + at);
        if constexpr (NORMED) {
            Four scale = four_weights(norm + at);
#pragma unroll
            for (int part = 0; part < 4; part++) {
                one.at[part] *= scale.at[part];
                two.at[part] *= scale.at[part];
            }
        }
#pragma unroll
        for (int token = 0; token < TOKENS; token++) {
            Four input = four_floats(vectors + (token < count ? token : 0) * stride + at);
#pragma unroll
            for (int part = 0; part < 4; part++) {
                float value = input.at[part];
                sums[token] = fmaf(one.at[part], value, sums[token]);
                sums[TOKENS + token] = fmaf(two.at[part], value, sums[TOKENS + token]);
                if constexpr (NORMED) squares[token] = fmaf(value, value, squares[token]);
            }
        }
    }
    constexpr int LANES = 16 / TOKENS;
    Product found;
    found.value = sum_lanes<2 * TOKENS>(sums, lane);
    found.row = lane / 16;
    found.token = lane / LANES % TOKENS;
    found.writes = lane % LANES == 0 && found.token < count;
    if constexpr (NORMED) {
        float mean = sum_lanes<TOKENS>(squares, lane) / HIDDEN;
        mean = __shfl_sync(ALL_LANES, mean, found.token * (32 / TOKENS));
        found.value *= rsqrtf(mean + float(EPSILON));
    }
    found.other = __shfl_xor_sync(ALL_LANES, found.value, 16);
    return found;
}

/// Calls `use(pair, token, product)` for the pairs of a matrix that are this block's, and for all
/// tokens `begin, begin + step, …` below `end`, a tile at a time. `vectors` has those of all tokens.
template <int K, bool NORMED, typename Rows, typename Use>
__device__ inline void products(const Team& team, int pairs, const u16* norm, const float* vectors,
                                int begin, int step, int end, Rows rows, Use use) {
    int warp = threadIdx.x / 32;
    int tokens = end > begin ? (end - begin + step - 1) / step : 0;
    int tiles = (tokens + TILE - 1) / TILE;
    int own = pairs > team.rank ? (pairs - team.rank + team.size - 1) / team.size : 0;
    for (int item = warp; item < own * tiles; item += WARPS) {
        int pair = team.rank + item / tiles * team.size;
        int token = item % tiles * TILE;
        int count = tokens - token < TILE ? tokens - token : TILE;
        const float* from = vectors + long(begin + token * step) * K;
        Product found = count == 1
            ? product<K, 1, NORMED>(rows(pair), norm, from, step * K, 1)
            : product<K, TILE, NORMED>(rows(pair), norm, from, step * K, count);
        use(pair, begin + (token + found.token) * step, found);
    }
}
