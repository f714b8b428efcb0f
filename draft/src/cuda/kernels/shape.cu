// What a pass is given: the model's sizes (compiled in, so that every loop over them has a known
// length), where its weights lie, and the buffers. The host builds the weights in this order; rows
// that a warp needs at once lie side by side. Not measured on a GPU yet.

constexpr int QUERY = HEADS * HEAD_DIM;
constexpr int GROUP = HEADS / KV_HEADS;
constexpr int HALF = HEAD_DIM / 2;
constexpr int PROJECTED = (HEADS + 2 * KV_HEADS) * HEAD_DIM;

// Of one layer, in elements: norm, projections, output, norm, gate and up, down.
constexpr long PROJECT_AT = HIDDEN;
constexpr long OUTPUT_AT = PROJECT_AT + long(PROJECTED) * HIDDEN;
constexpr long SECOND_NORM_AT = OUTPUT_AT + long(HIDDEN) * QUERY;
constexpr long GATE_UP_AT = SECOND_NORM_AT + HIDDEN;
constexpr long DOWN_AT = GATE_UP_AT + 2l * FEED * HIDDEN;
constexpr long LAYER_SIZE = DOWN_AT + long(HIDDEN) * FEED;
// Of the whole: embedding, layers, norm, head where it is not the embedding.
constexpr int PADDED_ROWS = (ROWS + 1) / 2 * 2;
constexpr long LAYERS_AT = long(PADDED_ROWS) * HIDDEN;
constexpr long LAST_NORM_AT = LAYERS_AT + LAYERS * LAYER_SIZE;
constexpr long HEAD_AT = TIED ? 0 : LAST_NORM_AT + HIDDEN;

/// One id of a pass.
struct Token {
    u32 id;
    /// Whose cache it reads and writes.
    u32 prefix;
    /// Where in that cache its keys and values go.
    u32 slot;
    /// Its position in the text.
    u32 position;
    /// It sees all slots before this one, and of those up to `end` the ones of its mask.
    u32 limit;
    u32 end;
    /// In drafting: how many ids are given before the first is drawn.
    u32 given;
    u32 unused;
};

/// The law behind one row of logits.
struct Row {
    double log_total;
    /// What the row's key draws from it.
    u32 drawn;
    u32 unused;
};

/// A candidate under verification.
struct Node {
    u32 token;
    /// NONE right behind the committed text.
    u32 parent;
    u32 depth;
    /// Whether it was drawn, from the draft's law of its depth.
    u32 sampled;
};

/// Everything a kernel may need. The host has the same structure.
struct Arguments {
    const u16* weights;
    const float* cosines;
    const float* sines;
    /// [prefix][layer][keys, values][kv_heads][capacity][head_dim]
    Cached* cache;
    Token* tokens;
    /// [token][MASK_WORDS]
    const u32* masks;
    /// [token][HIDDEN], [token][QUERY], [token][QUERY], [token][FEED]
    float* stream;
    float* queries;
    float* mixed;
    float* gated;
    /// [row][ROWS]
    float* logits;
    /// [part][token]
    Best* best;
    /// [step][token]: keys of draws, then what was drawn
    const u64* keys;
    u32* chosen;
    /// [token][steps]
    const u32* given;
    /// [ROWS]: the name under which an id is drawn, NONE where it may not be.
    const u32* names;
    u32* counters;
    /// Verification.
    /// Log-weights of the laws that candidates were drawn from, one law behind the other up to its end.
    const u32* law_ids;
    const double* law_logs;
    const u32* law_ends;
    /// [drawn candidate][ROWS]: the same, NO_MASS where there is none.
    double* laws;
    Node* nodes;
    const u64* place_keys;
    Row* rows;
    u32* verdict;
    const u32* path;
    /// 1 / temperature, 0 for the most probable id always.
    double scale;
    u32 count;
    u32 capacity;
    u32 layer;
    /// The first token whose logits are wanted.
    u32 first;
    u32 steps;
    /// The first step that draws.
    u32 first_draw;
    /// Bytes of shared memory that hold weights.
    u32 resident;
    /// The first slot of a path.
    u32 base;
};

static_assert(sizeof(Arguments) == ARGUMENT_BYTES, "the host's structure is another one");

/// Keys or values of a prefix's layer and head.
__device__ inline Cached* cached(const Arguments& a, u32 prefix, int layer, int which, int head) {
    long at = ((long(prefix) * LAYERS + layer) * 2 + which) * KV_HEADS + head;
    return a.cache + at * a.capacity * HEAD_DIM;
}

__device__ inline const u16* layer_weights(const Arguments& a, int layer) {
    return a.weights + LAYERS_AT + layer * LAYER_SIZE;
}
