// Drafting: each step reads one id of each prefix and draws the next. Four phases a layer and one for
// the head. Speed: a block that attends makes the projections of its head itself, which spares a
// barrier; the draw of a step is finished by whoever reads the drawn id. Not measured on a GPU yet.

/// Where the draft loop stands with its shared memory: weights first, then this.
struct Scratch {
    float* input;
    float* queries;
    float* mix;
    u32* id;
};

static_assert(4 * (HIDDEN + GROUP * HEAD_DIM + MIX_FLOATS + 4) == DRAFT_SCRATCH, "the host's room");

__device__ inline Scratch scratch_behind(u32 resident) {
    float* at = reinterpret_cast<float*>(shared_bytes() + resident);
    float* queries = at + HIDDEN;
    float* mix = queries + GROUP * HEAD_DIM;
    return {at, queries, mix, reinterpret_cast<u32*>(mix + MIX_FLOATS)};
}

/// Parts that each block makes of a token's draw: as many as keep its warps busy.
__device__ inline int parts(int tokens, int size) {
    int rows = (ROWS + size - 1) / size;
    int most = (rows + 31) / 32, fair = WARPS / (tokens > 0 ? tokens : 1);
    int found = most < fair ? most : fair;
    return found > 0 ? found : 1;
}

/// Draws the best of this block's ids for each token. The block's logits must be there.
__device__ inline void draw_parts(const Arguments& a, const Team& team, Those those, int step) {
    int tokens = number_of(those);
    int each = parts(tokens, team.size);
    int lane = threadIdx.x % 32;
    for (int item = threadIdx.x / 32; item < tokens * each; item += WARPS) {
        int token = those.begin + item / each * those.step, part = item % each;
        long row = long(step) * a.count + token;
        u64 key = a.keys[row];
        const float* logits = a.logits + row * ROWS;
        Best best = worst();
        for (int at = part * 32 + lane;; at += 32 * each) {
            // Of every pair of rows that is the block's, both.
            long pair = team.rank + long(at / 2) * team.size;
            u32 id = u32(pair * 2 + at % 2);
            if (pair >= PADDED_ROWS / 2) break;
            u32 name = id < ROWS ? a.names[id] : NONE;
            if (name == NONE) continue;
            double value = logits[id];
            if (a.scale != 0) value = value * a.scale + noise(key, name);
            best = better(best, {value, name, id});
        }
        best = best_of_lanes(best);
        if (lane == 0) a.best[(long(team.rank) * each + part) * a.count + token] = best;
    }
}

/// What was drawn for a token, from the parts of all blocks; by a whole warp.
__device__ inline u32 drawn(const Arguments& a, const Team& team, int tokens, int token) {
    int all = parts(tokens, team.size) * team.size;
    Best best = worst();
    for (int part = threadIdx.x % 32; part < all; part += 32) {
        best = better(best, a.best[long(part) * a.count + token]);
    }
    return best_of_lanes(best).id;
}

/// Pairs of projections that a warp makes at once, so that their loads wait together.
constexpr int PAIRS_OF_WARP = (PROJECT_PAIRS + WARPS - 1) / WARPS;
constexpr int PAIRS_AT_ONCE = PAIRS_OF_WARP > 1 ? 2 : 1;

/// Norm, projections, rotation and cache of one token for one key head. The input is in shared memory.
__device__ inline void project_one(const Arguments& a, const Team& team, Scratch scratch,
                                   const Token& token, int layer, int group) {
    const u16* weights = layer_weights(a, layer);
    bool at_home = home(layer, group, team.size) == team.rank;
    float* queries = scratch.queries - group * GROUP * HEAD_DIM;
    for (int first = threadIdx.x / 32; first < PROJECT_PAIRS; first += PAIRS_AT_ONCE * WARPS) {
        Partial<1> part[PAIRS_AT_ONCE];
        Angle angle[PAIRS_AT_ONCE];
#pragma unroll
        for (int at = 0; at < PAIRS_AT_ONCE; at++) {
            int pair = min(first + at * WARPS, PROJECT_PAIRS - 1);
            const u16* rows = weights + PROJECT_AT + project_row(group, pair);
            if (at_home) {
                int place = project_place(layer, group, pair, team.size);
                rows = resident(a, rows, pair_offset(PROJECT, layer, place, team.size),
                                pair_bytes(PROJECT));
            }
            angle[at] = angle_of(a, token.position, pair % HALF);
            part[at] = partial<HIDDEN, 1, true>(rows, weights, scratch.input, 0, 1);
        }
#pragma unroll
        for (int at = 0; at < PAIRS_AT_ONCE; at++) {
            int pair = first + at * WARPS;
            Product found = summed<1, true>(part[at], 1);
            if (pair >= PROJECT_PAIRS) continue;
            int head = pair / HALF;
            int own =
                head < GROUP ? group * GROUP + head : HEADS + (head - GROUP) * KV_HEADS + group;
            place(a, token, layer, own, pair % HALF, found, angle[at], queries);
        }
    }
}

/// Norm, projections, rotation, cache and attention of one token's id for one key head.
__device__ inline void project_and_attend(const Arguments& a, const Team& team, Scratch scratch,
                                          const Token& token, int index, int layer, int group) {
    if (layer == 0) {
        embed(a, token.id, scratch.input);
    } else {
        const float* stream = stream_of(a, index);
        for (int at = threadIdx.x; at < HIDDEN; at += THREADS) scratch.input[at] = stream[at];
    }
    __syncthreads();
    if (layer == 0 && group == 0) {
        float* stream = stream_of(a, index);
        for (int at = threadIdx.x; at < HIDDEN; at += THREADS) stream[at] = scratch.input[at];
    }
    project_one(a, team, scratch, token, layer, group);
    __syncthreads();
    long at = long(index) * QUERY + group * GROUP * HEAD_DIM;
    attend(a, token, nullptr, layer, group, scratch.queries, a.mixed + at, scratch.mix);
}

/// The token of a prefix at a step of the loop, its id still open.
__device__ inline Token at_step(Token token, int step) {
    token.slot += step;
    token.position += step;
    token.limit += step;
    token.end = token.limit;
    return token;
}

__device__ inline u32 given_id(const Arguments& a, int index, int step) {
    return a.given[long(index) * a.steps + step];
}

/// Attention of all tokens of a team at a step. Finishes the draws of the step before.
__device__ inline void attend_step(const Arguments& a, const Team& team, Those those, Scratch scratch,
                                   int layer, int step) {
    int tokens = number_of(those);
    int shift = layer * KV_HEADS % team.size;
    for (int item = (team.rank + team.size - shift) % team.size; item < tokens * KV_HEADS;
         item += team.size) {
        int index = those.begin + item / KV_HEADS * those.step, group = item % KV_HEADS;
        Token token = at_step(a.tokens[index], step);
        if (layer == 0) {
            bool is_given = step < int(token.given);
            if (is_given) {
                token.id = given_id(a, index, step);
            } else {
                if (threadIdx.x < 32) {
                    u32 id = drawn(a, team, tokens, index);
                    if (threadIdx.x == 0) *scratch.id = id;
                }
                __syncthreads();
                token.id = *scratch.id;
                if (group == 0 && threadIdx.x == 0) {
                    a.chosen[long(step - 1) * a.count + index] = token.id;
                }
            }
        }
        project_and_attend(a, team, scratch, token, index, layer, group);
    }
}

/// The whole loop, the draws included.
template <bool IN_CLUSTER>
__device__ inline void draft_loop(const Arguments& a, Team team) {
    Those those = {team.index, team.teams, int(a.count)};
    if (those.begin >= those.end) return;
    int tokens = number_of(those);
    Scratch scratch = scratch_behind(a.resident);
    take_residence(a, team);
#pragma unroll 1
    for (int step = 0; step < int(a.steps); step++) {
#pragma unroll 1
        for (int layer = 0; layer < LAYERS; layer++) {
            attend_step(a, team, those, scratch, layer, step);
            meet<IN_CLUSTER>(a, team);
            output(a, team, layer, those);
            meet<IN_CLUSTER>(a, team);
            gate_up(a, team, layer, those);
            meet<IN_CLUSTER>(a, team);
            down(a, team, layer, those);
            meet<IN_CLUSTER>(a, team);
        }
        if (step < int(a.first_draw)) continue;
        head(a, team, those, long(step) * a.count);
        __syncthreads();
        draw_parts(a, team, those, step);
        meet<IN_CLUSTER>(a, team);
    }
    // The last draws.
    for (int item = team.rank; item < tokens; item += team.size) {
        int index = those.begin + item * those.step;
        if (threadIdx.x < 32) {
            u32 id = drawn(a, team, tokens, index);
            if (threadIdx.x == 0) a.chosen[long(a.steps - 1) * a.count + index] = id;
        }
    }
}

KERNEL(draft_grid) { draft_loop<false>(a, whole_launch()); }

#if defined(ON_CPU) || __CUDA_ARCH__ >= 900
KERNEL(draft_cluster) { draft_loop<true>(a, own_cluster()); }
#endif

// The same loop as kernels of a graph, which is replayed unchanged: the step is counted on the
// device. `counters[1]` is the step.

KERNEL(draft_attend) {
    attend_step(a, whole_launch(), all_tokens(a), scratch_behind(0), a.layer, a.counters[1]);
}

KERNEL(draft_output) { output(a, whole_launch(), a.layer, all_tokens(a)); }

KERNEL(draft_gate_up) { gate_up(a, whole_launch(), a.layer, all_tokens(a)); }

KERNEL(draft_down) { down(a, whole_launch(), a.layer, all_tokens(a)); }

KERNEL(draft_head) {
    if (a.counters[1] < a.first_draw) return;
    head(a, whole_launch(), all_tokens(a), long(a.counters[1]) * a.count);
    __syncthreads();
    draw_parts(a, whole_launch(), all_tokens(a), a.counters[1]);
}

/// Ends a step. `first` is the number of blocks that drew.
KERNEL(draft_next) {
    u32 step = a.counters[1];
    __syncthreads();
    if (threadIdx.x == 0) a.counters[1] = step + 1;
    if (step < a.first_draw) return;
    Team team = {0, 1, 0, int(a.first), 0};
    for (int token = threadIdx.x / 32; token < int(a.count); token += WARPS) {
        u32 id = drawn(a, team, a.count, token);
        if (threadIdx.x % 32 == 0) a.chosen[long(step) * a.count + token] = id;
    }
}
