// The parts of a layer, each for the pairs of rows that are this block's and for tokens `begin, begin
// + step, …`. One kernel each in a graph; behind one another, with barriers between, in the
// persistent kernel: the arithmetic is the same to the last bit. Not measured on a GPU yet.

__device__ inline Those all_tokens(const Arguments& a) { return {0, 1, int(a.count)}; }

__device__ inline float* stream_of(const Arguments& a, int token) {
    return a.stream + long(token) * HIDDEN;
}

/// An id's row of the embedding.
__device__ inline void embed(const Arguments& a, u32 id, float* into) {
    const u16* row = a.weights + long(id) * HIDDEN;
    for (int at = threadIdx.x; at < HIDDEN; at += THREADS) into[at] = from_bf16(row[at]);
}

/// Stores a pair of projections: queries where they are asked for, keys and values in the cache.
__device__ inline void place(const Arguments& a, const Token& token, int layer, int head, int within,
                             const Product& found, Angle angle, float* queries) {
    int element = found.row * HALF + within;
    float value = found.value;
    if (head < HEADS + KV_HEADS) value = turned(angle, found);
    if (!found.writes) return;
    if (head < HEADS) {
        queries[head * HEAD_DIM + element] = value;
        return;
    }
    int which = head >= HEADS + KV_HEADS, own = (head - HEADS) % KV_HEADS;
    Cached* into = cached(a, token.prefix, layer, which, own);
    store_cached(into + long(token.slot) * HEAD_DIM + element, value);
}

/// Norm, projections, rotation, cache: for many tokens at once.
__device__ inline void project(const Arguments& a, const Team& team, int layer, Those those) {
    const u16* weights = layer_weights(a, layer);
    products<HIDDEN, true>(
        team, PROJECTED / 2, weights, a.stream, those,
        [&](int pair) { return weights + PROJECT_AT + 2l * pair * HIDDEN; },
        nothing,
        [&](int pair, int token, const Product& found, float) {
            int known = token < those.end ? token : those.begin;
            const Token& own = a.tokens[known];
            place(a, own, layer, pair / HALF, pair % HALF, found,
                  angle_of(a, own.position, pair % HALF), a.queries + long(known) * QUERY);
        });
}

/// Adds what attention found to the stream.
__device__ inline void output(const Arguments& a, const Team& team, int layer, Those those) {
    const u16* rows = layer_weights(a, layer) + OUTPUT_AT;
    products<QUERY, false>(
        team, HIDDEN / 2, nullptr, a.mixed, those,
        [&](int pair) {
            return resident(a, rows + 2l * pair * QUERY,
                            pair_offset(OUTPUT, layer, pair, team.size), pair_bytes(OUTPUT));
        },
        [&](int pair, int token, int row) { return stream_of(a, token)[2 * pair + row]; },
        [&](int pair, int token, const Product& found, float before) {
            if (found.writes) stream_of(a, token)[2 * pair + found.row] = before + found.value;
        });
}

/// Norm, gate and up, and their product.
__device__ inline void gate_up(const Arguments& a, const Team& team, int layer, Those those) {
    const u16* weights = layer_weights(a, layer);
    const u16* rows = weights + GATE_UP_AT;
    products<HIDDEN, true>(
        team, FEED, weights + SECOND_NORM_AT, a.stream, those,
        [&](int pair) {
            return resident(a, rows + 2l * pair * HIDDEN,
                            pair_offset(GATE_UP, layer, pair, team.size), pair_bytes(GATE_UP));
        },
        nothing,
        [&](int pair, int token, const Product& found, float) {
            if (!found.writes || found.row != 0) return;
            float gate = found.value;
            a.gated[long(token) * FEED + pair] = gate / (1.0f + expf(-gate)) * found.other;
        });
}

/// Adds what the feed-forward layer found to the stream.
__device__ inline void down(const Arguments& a, const Team& team, int layer, Those those) {
    const u16* rows = layer_weights(a, layer) + DOWN_AT;
    products<FEED, false>(
        team, HIDDEN / 2, nullptr, a.gated, those,
        [&](int pair) {
            return resident(a, rows + 2l * pair * FEED, pair_offset(DOWN, layer, pair, team.size),
                            pair_bytes(DOWN));
        },
        [&](int pair, int token, int row) { return stream_of(a, token)[2 * pair + row]; },
        [&](int pair, int token, const Product& found, float before) {
            if (found.writes) stream_of(a, token)[2 * pair + found.row] = before + found.value;
        });
}

/// Norm and head. The row of a token's logits is `token + first_row`.
__device__ inline void head(const Arguments& a, const Team& team, Those those, long first_row) {
    const u16* rows = a.weights + HEAD_AT;
    products<HIDDEN, true>(
        team, PADDED_ROWS / 2, a.weights + LAST_NORM_AT, a.stream, those,
        [&](int pair) {
            return resident(a, rows + 2l * pair * HIDDEN, pair_offset(HEAD, 0, pair, team.size),
                            pair_bytes(HEAD));
        },
        nothing,
        [&](int pair, int token, const Product& found, float) {
            int id = 2 * pair + found.row;
            if (found.writes && id < ROWS) a.logits[(first_row + token) * ROWS + id] = found.value;
        });
}
