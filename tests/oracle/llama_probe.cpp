// What llama.cpp makes of a GGUF file, through its C interface: ids of texts, texts of ids, logits behind
// every id, and greedy decoding. Keys and values are kept in 32 bits, so that what is left of a difference
// is the weights' and the activations' types. A line of words on standard input is a job, a line on standard
// output its answer; bytes are in hexadecimal.
//
//     llama_probe MODEL.gguf < JOBS
//
//     tokenize TEXT SPECIALS      ids, names of specials read as specials; with what the file puts in front
//                                 where SPECIALS is 1
//     detokenize ID...            bytes
//     logits FILE ID...           32-bit floats, rows behind rows, into FILE
//     greedy COUNT ID...          COUNT ids
//     ends ID...                  1 for each id that ends a text, else 0

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "llama.h"

namespace {

[[noreturn]] void fail(const std::string & reason) {
    std::fprintf(stderr, "llama_probe: %s\n", reason.c_str());
    std::exit(2);
}

void quiet(ggml_log_level level, const char * text, void *) {
    if (level >= GGML_LOG_LEVEL_ERROR) {
        std::fputs(text, stderr);
    }
}

std::string of_hex(const std::string & hex) {
    std::string bytes;
    for (size_t i = 1; i < hex.size(); i += 2) {
        bytes.push_back(static_cast<char>(std::stoi(hex.substr(i - 1, 2), nullptr, 16)));
    }
    return bytes;
}

std::vector<llama_token> rest(std::istream & words) {
    std::vector<llama_token> ids;
    for (llama_token id; words >> id;) {
        ids.push_back(id);
    }
    return ids;
}

void print(const std::vector<llama_token> & ids) {
    for (size_t i = 0; i < ids.size(); i++) {
        std::printf("%s%d", i == 0 ? "" : " ", ids[i]);
    }
    std::printf("\n");
}

class Probe {
  public:
    explicit Probe(const char * path) {
        llama_model_params params = llama_model_default_params();
        model_ = llama_model_load_from_file(path, params);
        if (model_ == nullptr) {
            fail(std::string("llama.cpp does not load ") + path);
        }
        vocab_ = llama_model_get_vocab(model_);
        rows_ = llama_vocab_n_tokens(vocab_);
    }

    ~Probe() { llama_model_free(model_); }

    void tokenize(std::istream & words) const {
        std::string hex;
        int specials = 0;
        words >> hex >> specials;
        // Behind a letter, so that an empty text is a word too.
        const std::string text = of_hex(hex.substr(1));
        std::vector<llama_token> ids(text.size() + 8);
        const int count = llama_tokenize(vocab_, text.data(), text.size(), ids.data(), ids.size(),
                                         specials != 0, true);
        if (count < 0) {
            fail("too many ids");
        }
        ids.resize(count);
        print(ids);
    }

    void detokenize(std::istream & words) const {
        for (const llama_token id : rest(words)) {
            std::vector<char> piece(1024);
            const int size = llama_token_to_piece(vocab_, id, piece.data(), piece.size(), 0, false);
            for (int i = 0; i < size; i++) {
                std::printf("%02x", static_cast<unsigned char>(piece[i]));
            }
        }
        std::printf("\n");
    }

    void logits(std::istream & words) const {
        std::string path;
        words >> path;
        const std::vector<llama_token> ids = rest(words);
        llama_context * context = begin(ids.size());
        run(context, ids, 0, true);
        std::FILE * file = std::fopen(path.c_str(), "wb");
        for (size_t i = 0; i < ids.size(); i++) {
            std::fwrite(llama_get_logits_ith(context, i), sizeof(float), rows_, file);
        }
        std::fclose(file);
        llama_free(context);
        std::printf("%zu %d\n", ids.size(), rows_);
    }

    void greedy(std::istream & words) const {
        int count = 0;
        words >> count;
        std::vector<llama_token> read = rest(words), emitted;
        llama_context * context = begin(read.size() + count);
        int position = 0;
        for (int i = 0; i < count; i++) {
            run(context, read, position, false);
            position += read.size();
            const float * logits = llama_get_logits_ith(context, -1);
            read = {static_cast<llama_token>(std::max_element(logits, logits + rows_) - logits)};
            emitted.push_back(read[0]);
        }
        llama_free(context);
        print(emitted);
    }

    void ends(std::istream & words) const {
        std::vector<llama_token> found;
        for (const llama_token id : rest(words)) {
            found.push_back(llama_vocab_is_eog(vocab_, id) ? 1 : 0);
        }
        print(found);
    }

  private:
    llama_context * begin(size_t positions) const {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = params.n_batch = params.n_ubatch = std::max<size_t>(positions, 32);
        params.n_threads = params.n_threads_batch = 1;
        params.type_k = params.type_v = GGML_TYPE_F32;
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
        llama_context * context = llama_init_from_model(model_, params);
        if (context == nullptr) {
            fail("llama.cpp makes no context");
        }
        return context;
    }

    static void run(llama_context * context, const std::vector<llama_token> & ids, int position, bool all) {
        llama_batch batch = llama_batch_init(ids.size(), 0, 1);
        for (size_t i = 0; i < ids.size(); i++) {
            batch.token[i] = ids[i];
            batch.pos[i] = position + static_cast<int>(i);
            batch.n_seq_id[i] = 1;
            batch.seq_id[i][0] = 0;
            batch.logits[i] = all || i + 1 == ids.size();
        }
        batch.n_tokens = ids.size();
        const int status = llama_decode(context, batch);
        llama_batch_free(batch);
        if (status != 0) {
            fail("llama.cpp does not decode");
        }
    }

    llama_model * model_;
    const llama_vocab * vocab_;
    int rows_;
};

}  // namespace

int main(int argc, char ** argv) {
    if (argc != 2) {
        fail("MODEL.gguf < JOBS");
    }
    llama_log_set(quiet, nullptr);
    llama_backend_init();
    const Probe probe(argv[1]);
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string job;
        words >> job;
        if (job == "tokenize") {
            probe.tokenize(words);
        } else if (job == "detokenize") {
            probe.detokenize(words);
        } else if (job == "logits") {
            probe.logits(words);
        } else if (job == "greedy") {
            probe.greedy(words);
        } else if (job == "ends") {
            probe.ends(words);
        } else {
            fail("no job is called " + job);
        }
        std::fflush(stdout);
    }
    return 0;
}
