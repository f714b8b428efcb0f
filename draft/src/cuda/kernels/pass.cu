// One pass over the tokens of a plan, kernel by kernel; the host captures them as a graph for each
// number of tokens. Speed: five kernels a layer, their launches paid once at capture. Not measured
// on a GPU yet.

KERNEL(pass_embed) {
    for (int token = blockIdx.x; token < int(a.count); token += gridDim.x) {
        embed(a, a.tokens[token].id, stream_of(a, token));
    }
}

KERNEL(pass_project) { project(a, whole_launch(), a.layer, all_tokens(a)); }

KERNEL(pass_attend) {
    float* scratch = reinterpret_cast<float*>(shared_bytes());
    for (int item = blockIdx.x; item < int(a.count) * KV_HEADS; item += gridDim.x) {
        int token = item / KV_HEADS, group = item % KV_HEADS;
        long at = long(token) * QUERY + group * GROUP * HEAD_DIM;
        attend(a, a.tokens[token], a.masks + token * MASK_WORDS, a.layer, group, a.queries + at,
               a.mixed + at, scratch);
    }
}

KERNEL(pass_output) { output(a, whole_launch(), a.layer, all_tokens(a)); }

KERNEL(pass_gate_up) { gate_up(a, whole_launch(), a.layer, all_tokens(a)); }

KERNEL(pass_down) { down(a, whole_launch(), a.layer, all_tokens(a)); }

KERNEL(pass_head) {
    head(a, whole_launch(), {int(a.first), 1, int(a.count)}, -long(a.first));
}

/// Moves the slots `base + path[i]` of the first prefix to `base + i`, in this order. One block has
/// a head's keys or values, and a thread an element of all of them, so that none is overwritten
/// before it was read: path[i] >= i.
KERNEL(keep_path) {
    int heads = LAYERS * 2 * KV_HEADS;
    for (int head = blockIdx.x; head < heads; head += gridDim.x) {
        Cached* rows = a.cache + long(head) * a.capacity * HEAD_DIM;
        for (int element = threadIdx.x; element < HEAD_DIM; element += THREADS) {
            for (u32 node = 0; node < a.count; node++) {
                long from = a.base + a.path[node], into = a.base + node;
                rows[into * HEAD_DIM + element] = rows[from * HEAD_DIM + element];
            }
        }
    }
}
