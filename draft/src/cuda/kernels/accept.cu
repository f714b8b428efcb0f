// Verification on the device: laws of all rows at once, then the walk along the accepted candidates,
// by the rules of the host: what was not drawn is followed where the target's own draw is it; what
// was drawn is accepted with probability min(1, p / q), and else corrected from the residual
// (Leviathan et al., 2211.17192). In 64 bits, with the host's keys, so that both decide alike. Speed:
// a row is a block's; the residual is only computed where it is needed, and the target's logits never
// leave the device. Not measured on a GPU yet.

/// The log-weight of an id that a law gives no mass.
constexpr double NO_MASS = LEAST_WIDE;

/// A law: the target's, from logits and a scale, or a draft's, from log-weights.
struct LawView {
    const float* logits;
    const double* logs;
    double scale;
    Row row;
};

__device__ inline bool has(const LawView& law, u32 id, double* weight) {
    if (law.logs != nullptr) {
        *weight = law.logs[id];
        return *weight > NO_MASS;
    }
    *weight = double(law.logits[id]) * (law.scale == 0 ? 1.0 : law.scale);
    return true;
}

__device__ inline double probability(const LawView& law, u32 id) {
    if (law.scale == 0) return law.row.drawn == id ? 1.0 : 0.0;
    double weight;
    return has(law, id, &weight) ? exp(weight - law.row.log_total) : 0.0;
}

__device__ inline LawView target_law(const Arguments& a, u32 row) {
    return {a.logits + long(row) * ROWS, nullptr, a.scale, a.rows[row]};
}

__device__ inline LawView draft_law(const Arguments& a, u32 depth) {
    return {nullptr, a.laws + long(depth) * ROWS, 1.0, a.rows[a.count + 1 + depth]};
}

__device__ inline double sum_of_lanes(double value) {
    for (int offset = 16; offset >= 1; offset /= 2) {
        value += __shfl_xor_sync(ALL_LANES, value, offset);
    }
    return value;
}

/// The sum and the best of a block's threads, in every thread. All of them call it.
__device__ inline double of_block(double sum, Best* best) {
    double* sums = reinterpret_cast<double*>(shared_bytes());
    Best* bests = reinterpret_cast<Best*>(sums + WARPS);
    sum = sum_of_lanes(sum);
    Best found = best_of_lanes(*best);
    if (threadIdx.x % 32 == 0) {
        sums[threadIdx.x / 32] = sum;
        bests[threadIdx.x / 32] = found;
    }
    __syncthreads();
    sum = 0;
    found = worst();
    for (int warp = 0; warp < WARPS; warp++) {
        sum += sums[warp];
        found = better(found, bests[warp]);
    }
    __syncthreads();
    *best = found;
    return sum;
}

/// Writes the laws of drawn candidates with a weight for every id. A block for each.
KERNEL(verify_spread) {
    double* law = a.laws + long(blockIdx.x) * ROWS;
    for (u32 id = threadIdx.x; id < ROWS; id += THREADS) law[id] = NO_MASS;
    __syncthreads();
    u32 entry = (blockIdx.x == 0 ? 0 : a.law_ends[blockIdx.x - 1]) + threadIdx.x;
    for (; entry < a.law_ends[blockIdx.x]; entry += THREADS) law[a.law_ids[entry]] = a.law_logs[entry];
}

/// The normaliser of each row, and what its key draws: the target's rows first, then the draft's.
KERNEL(verify_laws) {
    u32 row = blockIdx.x, targets = a.count + 1;
    bool of_target = row < targets;
    u32 depth = of_target ? (row == 0 ? 0 : a.nodes[row - 1].depth + 1) : row - targets;
    LawView law = of_target ? target_law(a, row) : draft_law(a, depth);
    Best top = worst(), best = worst();
    double weight;
    for (u32 id = threadIdx.x; id < ROWS; id += THREADS) {
        if (has(law, id, &weight)) top = better(top, {weight, id, id});
    }
    of_block(0, &top);
    double sum = 0;
    u64 key = a.place_keys[3 * depth];
    for (u32 id = threadIdx.x; law.scale != 0 && id < ROWS; id += THREADS) {
        if (!has(law, id, &weight)) continue;
        sum += exp(weight - top.value);
        if (of_target) best = better(best, {weight + noise(key, id), id, id});
    }
    sum = of_block(sum, &best);
    if (threadIdx.x != 0) return;
    a.rows[row] = law.scale == 0 ? Row{0, top.id, 0} : Row{top.value + log(sum), best.id, 0};
}

/// Draws from the residual of a law; NONE where nothing is left of it.
__device__ inline u32 corrected(const LawView& p, const LawView& q, u64 key) {
    double gone = 0;
    Best best = worst();
    for (u32 id = threadIdx.x; id < ROWS; id += THREADS) {
        double mass = probability(p, id), taken = probability(q, id);
        double left = mass > taken ? mass - taken : 0;
        gone += mass - left;
        if (left > 0) best = better(best, {log(left) + noise(key, id), id, id});
    }
    gone = of_block(gone, &best);
    return 1.0 - gone > 1e-12 ? best.name : NONE;
}

/// The verdict: how many are accepted, the token behind them, their indices. One block. At each place
/// all candidates are undrawn, or one is and that one was drawn. The first number is NONE where a
/// candidate's law excludes it.
KERNEL(verify_walk) {
    u32 at = NONE, length = 0, next;
    for (;;) {
        LawView p = target_law(a, at == NONE ? 0 : at + 1);
        u32 accepted = NONE, sampled = NONE;
        for (u32 node = at == NONE ? 0 : at + 1; node < a.count; node++) {
            Node child = a.nodes[node];
            if (child.parent != at) continue;
            if (child.sampled && sampled == NONE) sampled = node;
            if (!child.sampled && child.token == p.row.drawn && accepted == NONE) accepted = node;
        }
        next = p.row.drawn;
        if (sampled != NONE) {
            u32 token = a.nodes[sampled].token;
            LawView q = draft_law(a, length);
            double proposed = probability(q, token);
            if (proposed <= 0) {
                length = NONE;
                break;
            }
            bool accepts = uniform(a.place_keys[3 * length + 1]) * proposed < probability(p, token);
            if (!accepts) next = corrected(p, q, a.place_keys[3 * length + 2]);
            // Without any rest p equals q up to rounding, and then the candidate is a draw from p.
            accepted = accepts || next == NONE ? sampled : NONE;
        }
        if (accepted == NONE) break;
        if (threadIdx.x == 0) a.verdict[2 + length] = accepted;
        at = accepted;
        length++;
    }
    if (threadIdx.x == 0) {
        a.verdict[0] = length;
        a.verdict[1] = next;
    }
}
