// A warp's matrix product: two rows of weights times a tile of activation vectors, with the norm of
// the vectors where one stands before the map. Speed: weights are read once for a whole tile, the
// norm costs no pass and no barrier of its own. A sum is taken in the same order whatever the tile,
// so that logits do not hang on how many ids are read at once. Not measured on a GPU yet.

/// Which tokens: `begin, begin + step, …` below `end`.
struct Those {
    int begin, step, end;
};

__device__ inline int number_of(Those those) {
    return those.end > those.begin ? (those.end - those.begin + those.step - 1) / those.step : 0;
}

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

/// What a lane has of a product before the lanes are summed up: of both rows, and of the vectors'
/// squares.
template <int TOKENS>
struct Partial {
    float sums[2 * TOKENS];
    float squares[TOKENS];
};

/// Two rows of K weights times `count` vectors that lie `stride` apart, at most TOKENS. NORMED: the
/// vectors are normed first, with the weights `norm`.
template <int K, int TOKENS, bool NORMED>
__device__ inline Partial<TOKENS> partial(const u16* rows, const u16* norm, const float* vectors,
                                          int stride, int count) {
    int lane = threadIdx.x % 32;
    Partial<TOKENS> found;
#pragma unroll
    for (int token = 0; token < TOKENS; token++) {
        found.sums[token] = found.sums[TOKENS + token] = found.squares[token] = 0;
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
            float &first = found.sums[token], &second = found.sums[TOKENS + token];
#pragma unroll
            for (int part = 0; part < 4; part++) {
                float value = input.at[part];
                first = fmaf(one.at[part], value, first);
                second = fmaf(two.at[part], value, second);
                if constexpr (NORMED) found.squares[token] = fmaf(value, value, found.squares[token]);
            }
        }
    }
    return found;
}

/// The row and the token whose sum a lane gets.
template <int TOKENS>
__device__ inline int row_of_lane() {
    return threadIdx.x % 32 / 16;
}

template <int TOKENS>
__device__ inline int token_of_lane() {
    return threadIdx.x % 32 / (16 / TOKENS) % TOKENS;
}

/// Sums up what the lanes have.
template <int TOKENS, bool NORMED>
__device__ inline Product summed(Partial<TOKENS> partial, int count) {
    int lane = threadIdx.x % 32;
    Product found;
    found.value = sum_lanes<2 * TOKENS>(partial.sums, lane);
    found.row = row_of_lane<TOKENS>();
    found.token = token_of_lane<TOKENS>();
    found.writes = lane % (16 / TOKENS) == 0 && found.token < count;
    if constexpr (NORMED) {
        float mean = sum_lanes<TOKENS>(partial.squares, lane) / HIDDEN;
        mean = __shfl_sync(ALL_LANES, mean, found.token * (32 / TOKENS));
        found.value *= rsqrtf(mean + float(EPSILON));
    }
    found.other = __shfl_xor_sync(ALL_LANES, found.value, 16);
    return found;
}

/// Calls `use(pair, token, product, held)` for the pairs of a matrix that are this block's, and for
/// all tokens, a tile at a time. `vectors` has those of all tokens. `hold(pair, token, row)` is asked
/// before the product is made, for what the lane will need then.
template <int K, int TOKENS, bool NORMED, typename Hold, typename Use>
__device__ inline void one_product(const u16* rows, const u16* norm, const float* vectors,
                                   Those those, int pair, int count, Hold hold, Use use) {
    int own = token_of_lane<TOKENS>();
    int token = those.begin + own * those.step;
    float held = hold(pair, own < count ? token : those.begin, row_of_lane<TOKENS>());
    auto part = partial<K, TOKENS, NORMED>(rows, norm, vectors, those.step * K, count);
    use(pair, token, summed<TOKENS, NORMED>(part, count), held);
}

template <int K, bool NORMED, typename Rows, typename Hold, typename Use>
__device__ inline void products(const Team& team, int pairs, const u16* norm, const float* vectors,
                                Those those, Rows rows, Hold hold, Use use) {
    int tokens = number_of(those), tiles = (tokens + TILE - 1) / TILE;
    int own = pairs > team.rank ? (pairs - team.rank + team.size - 1) / team.size : 0;
    for (int item = threadIdx.x / 32; item < own * tiles; item += WARPS) {
        int pair = team.rank + item / tiles * team.size;
        int first = item % tiles * TILE;
        int count = tokens - first < TILE ? tokens - first : TILE;
        Those some = {those.begin + first * those.step, those.step, those.end};
        const float* from = vectors + long(some.begin) * K;
        if (count == 1) {
            one_product<K, 1, NORMED>(rows(pair), norm, from, some, pair, 1, hold, use);
        } else {
            one_product<K, TILE, NORMED>(rows(pair), norm, from, some, pair, count, hold, use);
        }
    }
}

/// For products that need nothing beforehand.
__device__ inline float nothing(int, int, int) { return 0; }
