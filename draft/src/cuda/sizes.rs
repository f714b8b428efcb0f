//! The sizes of a model as the kernels are compiled for them, and where its weights lie. Mirrors
//! `kernels/shape.cu`. Speed: all of it is known to the compiler, so that loops have known lengths;
//! the price is a compilation for each shape. Knows no device.

use super::CudaError;
use super::arguments::{Arguments, MASK_WORDS};
use crate::config::{LlamaConfig, Shape};

/// Elements of a head that a lane holds (`HELD` of the kernels): heads are a power of two of them.
const HELD: usize = 8;

/// The type of cached keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cached {
    /// Two bytes, as libtorch's cache in the same precision.
    Bf16,
    /// Four bytes: for comparisons that leave no rounding out.
    Fp32,
}

impl Cached {
    /// Bytes of an element.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::Fp32 => 4,
        }
    }
}

/// How the kernels are compiled, beside the model's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Threads of a block, a multiple of 32.
    pub threads: u32,
    /// Blocks of a cluster.
    pub cluster: u32,
    /// The cache's type.
    pub cached: Cached,
    /// Positions that a cache has at first; they double when they are full.
    pub capacity: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { threads: 512, cluster: 16, cached: Cached::Bf16, capacity: 1024 }
    }
}

/// What of a model's configuration the kernels are compiled for.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes {
    pub(super) layers: usize,
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) feed: usize,
    pub(super) rows: usize,
    pub(super) context: usize,
    pub(super) tied: bool,
    epsilon: f64,
}

impl Sizes {
    /// Those of a model; an error that says why where the kernels are not made for it.
    pub fn new(shape: &Shape) -> Result<Self, CudaError> {
        let unsupported = |what: &str| Err(CudaError::Unsupported(what.to_owned()));
        let Shape::Llama(LlamaConfig { decoder, mlp_bias, window }) = shape else {
            return unsupported("the model is no Llama");
        };
        if *mlp_bias || decoder.attention_bias {
            return unsupported("the model's linear maps have biases");
        }
        if window.is_some_and(|window| window < decoder.context) {
            return unsupported("the model's attention has a window");
        }
        let dim = decoder.head_dim;
        let fits = dim.is_multiple_of(HELD) && (dim / HELD).is_power_of_two() && dim / HELD <= 32;
        if !fits || decoder.rotary_dim != dim {
            return unsupported("the model's heads are not 8, 16, 32, 64, 128 or 256 wide");
        }
        if ![decoder.hidden_size, decoder.intermediate_size].iter().all(|n| n.is_multiple_of(8)) {
            return unsupported("the model's widths are no multiples of 8");
        }
        Ok(Self {
            layers: decoder.layers,
            hidden: decoder.hidden_size,
            heads: decoder.heads,
            kv_heads: decoder.kv_heads,
            head_dim: dim,
            feed: decoder.intermediate_size,
            rows: decoder.vocab_size,
            context: decoder.context,
            tied: decoder.tied,
            epsilon: decoder.norm_epsilon,
        })
    }

    /// Width of all query heads.
    pub(super) fn query(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Rows of queries, keys and values together.
    pub(super) fn projected(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Rows of the embedding, to a whole number of pairs.
    pub(super) fn padded_rows(&self) -> usize {
        self.rows.next_multiple_of(2)
    }

    /// Weights, all told.
    pub(super) fn weights(&self) -> usize {
        let embedding = self.padded_rows() * self.hidden;
        let layer = 2 * self.hidden
            + self.projected() * self.hidden
            + self.hidden * self.query()
            + 3 * self.feed * self.hidden;
        embedding + self.layers * layer + self.hidden + if self.tied { 0 } else { embedding }
    }

    /// Rows `[head_dim]` of keys and values that a prefix has for each position.
    pub(super) fn cached_rows(&self) -> usize {
        self.layers * 2 * self.kv_heads
    }

    /// Bytes of shared memory that drafting needs beside weights (`Scratch`).
    pub(super) fn draft_scratch(&self, threads: u32) -> u32 {
        let group = self.heads / self.kv_heads;
        4 * (self.hidden + group * self.head_dim + self.mix_floats(threads) + 4) as u32
    }

    /// Bytes of shared memory that attention needs.
    pub(super) fn attention_scratch(&self, threads: u32) -> u32 {
        4 * self.mix_floats(threads) as u32
    }

    fn mix_floats(&self, threads: u32) -> usize {
        let at_once = match self.heads / self.kv_heads {
            group if group % 4 == 0 => 4,
            group if group % 2 == 0 => 2,
            _ => 1,
        };
        threads as usize / 32 * at_once * (self.head_dim + 2)
    }

    /// Bytes of the weights that a block of a team of `size` reads at every step: what it would keep
    /// in shared memory if it could.
    pub(super) fn residence(&self, size: u32) -> u32 {
        let size = size as usize;
        let output = (self.hidden / 2).div_ceil(size) * self.query();
        let gate_up = self.feed.div_ceil(size) * self.hidden;
        let down = (self.hidden / 2).div_ceil(size) * self.feed;
        let head = (self.padded_rows() / 2).div_ceil(size) * self.hidden;
        let group = self.heads / self.kv_heads;
        let pairs = (group + 2) * self.head_dim / 2;
        let projections = (self.layers * self.kv_heads).div_ceil(size) * pairs * self.hidden;
        let pairs = self.layers * (output + gate_up + down) + head + projections;
        u32::try_from(4 * pairs).unwrap_or(u32::MAX)
    }

    /// What the compiler is told.
    pub fn definitions(&self, tuning: Tuning) -> Vec<String> {
        let numbers = [
            ("LAYERS", self.layers),
            ("HIDDEN", self.hidden),
            ("HEADS", self.heads),
            ("KV_HEADS", self.kv_heads),
            ("HEAD_DIM", self.head_dim),
            ("FEED", self.feed),
            ("ROWS", self.rows),
            ("TIED", usize::from(self.tied)),
            ("THREADS", tuning.threads as usize),
            ("CLUSTER", tuning.cluster as usize),
            ("CACHE_FLOAT", usize::from(tuning.cached == Cached::Fp32)),
            ("MASK_WORDS", MASK_WORDS),
            ("ARGUMENT_BYTES", size_of::<Arguments>()),
            ("MIX_SCRATCH", self.attention_scratch(tuning.threads) as usize),
            ("DRAFT_SCRATCH", self.draft_scratch(tuning.threads) as usize),
        ];
        let mut list: Vec<String> =
            numbers.iter().map(|(name, value)| format!("-D{name}={value}")).collect();
        list.push(format!("-DEPSILON={:e}", self.epsilon));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn stentor2() -> Value {
        json!({
            "model_type": "llama", "vocab_size": 8064, "hidden_size": 256,
            "intermediate_size": 768, "num_hidden_layers": 12, "num_attention_heads": 4,
            "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "tie_word_embeddings": true
        })
    }

    fn sizes(json: &Value) -> Result<Sizes, String> {
        let shape = Shape::from_json(json).unwrap();
        Sizes::new(&shape).map_err(|error| error.to_string())
    }

    #[test]
    fn the_weights_are_the_parameters() {
        let json = stentor2();
        assert_eq!(sizes(&json).unwrap().weights(), 12_294_400);
        let mut untied = json.clone();
        untied["tie_word_embeddings"] = false.into();
        untied["vocab_size"] = 105.into();
        let parameters = Shape::from_json(&untied).unwrap().parameters() as usize;
        // One row of padding in the embedding and in the head.
        assert_eq!(sizes(&untied).unwrap().weights(), parameters + 2 * 256);
    }

    #[test]
    fn the_layers_and_the_head_of_the_draft_fit_in_the_shared_memory_of_a_large_gpu() {
        let sizes = sizes(&stentor2()).unwrap();
        let (most, scratch) = (227 << 10, sizes.draft_scratch(512));
        let projections = 3 * 64 * 256 * 2;
        assert!(sizes.residence(132) - projections + scratch <= most);
        assert!(sizes.residence(16) > most);
    }

    #[test]
    fn what_the_kernels_cannot_do_is_named() {
        for (field, value, part) in [
            ("attention_bias", json!(true), "biases"),
            ("mlp_bias", json!(true), "biases"),
            ("head_dim", json!(48), "heads"),
            ("intermediate_size", json!(700), "multiples"),
        ] {
            let mut json = stentor2();
            json[field] = value;
            assert!(sizes(&json).unwrap_err().contains(part), "{field}");
        }
        let mut mistral = stentor2();
        mistral["model_type"] = "mistral".into();
        mistral["sliding_window"] = 9.into();
        mistral["num_key_value_heads"] = 4.into();
        assert!(sizes(&mistral).unwrap_err().contains("window"));
    }
}
