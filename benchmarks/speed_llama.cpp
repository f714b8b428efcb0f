// What `spec speed` measures, through llama.cpp's C interface: plain greedy decoding, a prompt read at
// once, and passes over siblings of a tree (a sequence each, behind a shared prefix) and over ids in a row,
// with logits behind every id. One round; an object in seconds on standard output.
//
//     speed_llama MODEL.gguf THREADS TOKENS PREFIX PREFILL NODES[,NODES...]

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "llama.h"

namespace {

constexpr int PROMPT = 16;
constexpr size_t FEWEST = 3;
constexpr double SPAN = 0.05;
constexpr double LONG = 1.0;

double now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(time).count();
}

[[noreturn]] void fail(const char * reason) {
    std::fprintf(stderr, "speed_llama: %s\n", reason);
    std::exit(2);
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

/// A model with a cache, as llama.cpp's own tools set it up.
class Probe {
  public:
    Probe(llama_model * model, int threads, int positions, int sequences)
        : rows_(llama_vocab_n_tokens(llama_model_get_vocab(model))) {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = positions;
        params.n_seq_max = sequences;
        params.kv_unified = true;
        params.n_threads = threads;
        params.n_threads_batch = threads;
        context_ = llama_init_from_model(model, params);
        if (context_ == nullptr) {
            fail("llama.cpp makes no context");
        }
        batch_ = llama_batch_init(positions, 0, 1);
        // As `spec speed` makes them of seed 0.
        uint64_t state = 1;
        for (int i = 0; i < positions; i++) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            ids_.push_back(static_cast<llama_token>((state >> 33) % rows_));
        }
    }

    ~Probe() {
        llama_batch_free(batch_);
        llama_free(context_);
    }

    Probe(const Probe &) = delete;
    Probe & operator=(const Probe &) = delete;

    double decode(int tokens) {
        stand_behind(PROMPT, 1);
        emitted.clear();
        const double begin = now();
        for (int i = 0; i < tokens; i++) {
            const float * logits = llama_get_logits_ith(context_, -1);
            const auto next = std::max_element(logits, logits + rows_) - logits;
            emitted.push_back(static_cast<llama_token>(next));
            clear();
            add(emitted.back(), PROMPT + i, 0, true);
            run();
        }
        return now() - begin;
    }

    double prefill(int count) {
        return repeat(0, [&] {
            for (int i = 0; i < count; i++) {
                add(ids_[i], i, 0, i + 1 == count);
            }
        });
    }

    double row(int prefix, int count) {
        stand_behind(prefix, 1);
        return repeat(prefix, [&] {
            for (int i = 0; i < count; i++) {
                add(ids_[prefix + i], prefix + i, 0, true);
            }
        });
    }

    double tree(int prefix, int nodes) {
        stand_behind(prefix, nodes);
        return repeat(prefix, [&] {
            for (int i = 0; i < nodes; i++) {
                add(ids_[prefix + i], prefix, i, true);
            }
        });
    }

    /// What was decoded last.
    std::vector<llama_token> emitted;

  private:
    void clear() { batch_.n_tokens = 0; }

    void add(llama_token id, int position, int sequence, bool output) {
        const int at = batch_.n_tokens++;
        batch_.token[at] = id;
        batch_.pos[at] = position;
        batch_.n_seq_id[at] = 1;
        batch_.seq_id[at][0] = sequence;
        batch_.logits[at] = output ? 1 : 0;
    }

    void run() {
        if (llama_decode(context_, batch_) != 0) {
            fail("llama.cpp does not decode");
        }
        llama_synchronize(context_);
    }

    void stand_behind(int prefix, int sequences) {
        llama_memory_t memory = llama_get_memory(context_);
        llama_memory_clear(memory, false);
        clear();
        for (int i = 0; i < prefix; i++) {
            add(ids_[i], i, 0, i + 1 == prefix);
        }
        run();
        for (int i = 1; i < sequences; i++) {
            llama_memory_seq_cp(memory, 0, i, -1, -1);
        }
    }

    template <typename Fill> double repeat(int length, Fill fill) {
        std::vector<double> times;
        const double begin = now();
        while (times.empty() || now() - begin < (times.size() < FEWEST ? LONG : SPAN)) {
            llama_memory_seq_rm(llama_get_memory(context_), -1, length, -1);
            clear();
            const double since = now();
            fill();
            run();
            times.push_back(now() - since);
        }
        return median(times);
    }

    int rows_;
    llama_context * context_;
    llama_batch batch_;
    std::vector<llama_token> ids_;
};

void print(const char * name, Probe & probe, double (Probe::*pass)(int, int), int prefix,
           const std::vector<int> & nodes) {
    std::printf(", \"%s\": {", name);
    for (size_t i = 0; i < nodes.size(); i++) {
        std::printf("%s\"%d\": %.9g", i == 0 ? "" : ", ", nodes[i], (probe.*pass)(prefix, nodes[i]));
    }
    std::printf("}");
}

void quiet(ggml_log_level level, const char * text, void *) {
    if (level >= GGML_LOG_LEVEL_ERROR) {
        std::fputs(text, stderr);
    }
}

}  // namespace

int main(int argc, char ** argv) {
    if (argc != 7) {
        fail("MODEL.gguf THREADS TOKENS PREFIX PREFILL NODES[,NODES...]");
    }
    const int threads = std::atoi(argv[2]), tokens = std::atoi(argv[3]);
    const int prefix = std::atoi(argv[4]), prefill = std::atoi(argv[5]);
    std::vector<int> nodes;
    std::stringstream list(argv[6]);
    for (std::string item; std::getline(list, item, ',');) {
        nodes.push_back(std::atoi(item.c_str()));
    }
    const int most = *std::max_element(nodes.begin(), nodes.end());

    llama_log_set(quiet, nullptr);
    llama_backend_init();
    llama_model * model = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (model == nullptr) {
        fail("llama.cpp does not load the model");
    }
    {
        const int positions = std::max({PROMPT + tokens, prefill, prefix + most});
        Probe probe(model, threads, positions, 1);
        Probe trees(model, threads, positions, most);
        probe.decode(std::min(tokens, 8));
        std::printf("{\"token\": %.9g", probe.decode(tokens) / tokens);
        std::printf(", \"prefill\": %.9g", probe.prefill(prefill) / prefill);
        print("trees", trees, &Probe::tree, prefix, nodes);
        print("rows", probe, &Probe::row, prefix, nodes);
        std::printf(", \"ids\": [");
        for (size_t i = 0; i < probe.emitted.size(); i++) {
            std::printf("%s%d", i == 0 ? "" : ", ", probe.emitted[i]);
        }
        std::printf("]}\n");
    }
    llama_model_free(model);
    llama_backend_free();
}
