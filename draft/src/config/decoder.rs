//! What all decoders have in common: the sizes of their parts. Knows no architecture's peculiarities.

use serde::Deserialize;

use super::rope::{RopeConfig, RopeFields};

/// Sizes that every decoder-only transformer has.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoder {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// How many leading dimensions of a head are turned by the rotary embedding; of an odd number,
    /// one more is, as in transformers.
    pub rotary_dim: usize,
    /// Positions the model was made for.
    pub context: usize,
    /// Added to the mean square in `RMSNorm`.
    pub norm_epsilon: f64,
    /// Rotary embedding.
    pub rope: RopeConfig,
    /// Whether the head is the embedding.
    pub tied: bool,
    /// Whether the attention's linear maps have biases.
    pub attention_bias: bool,
}

/// The fields of `config.json` that every decoder has.
#[derive(Deserialize)]
pub(super) struct DecoderFields {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    #[serde(default = "norm_epsilon")]
    rms_norm_eps: f64,
    hidden_act: Option<String>,
    tie_word_embeddings: Option<bool>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(flatten)]
    rope: RopeFields,
}

/// What transformers takes where a file is silent.
const fn norm_epsilon() -> f64 {
    1e-6
}

/// What an architecture's files may be silent on.
pub(super) struct Defaults {
    /// Key and value heads, where they are not as many as query heads.
    pub(super) kv_heads: Option<usize>,
    /// Width of a head, where it is not the heads' share of the residual stream.
    pub(super) head_dim: Option<usize>,
    /// The share of a head that is turned; `None` where that is always all of it.
    pub(super) rotary_share: Option<f64>,
}

impl DecoderFields {
    /// Reads and checks them.
    pub(super) fn read(&self, defaults: &Defaults) -> Result<Decoder, String> {
        let activation = self.hidden_act.as_deref().unwrap_or("silu");
        if activation != "silu" {
            return Err(format!("activation `{activation}` is not supported; `silu` is"));
        }
        let heads = self.num_attention_heads;
        let head_dim =
            self.head_dim.or(defaults.head_dim).unwrap_or(self.hidden_size / heads.max(1));
        let share = defaults.rotary_share;
        let share = share.map_or(1.0, |share| self.rope.partial_factor().unwrap_or(share));
        let decoder = Decoder {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads,
            kv_heads: self.num_key_value_heads.or(defaults.kv_heads).unwrap_or(heads),
            head_dim,
            rotary_dim: (head_dim as f64 * share) as usize,
            context: self.max_position_embeddings,
            norm_epsilon: self.rms_norm_eps,
            rope: self.rope.read(self.max_position_embeddings)?,
            tied: self.tie_word_embeddings.unwrap_or(false),
            attention_bias: self.attention_bias,
        };
        decoder.check()?;
        Ok(decoder)
    }
}

impl Decoder {
    fn check(&self) -> Result<(), String> {
        positive(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.context),
        ])?;
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!(
                "{} query heads are no multiple of {} key-value heads",
                self.heads, self.kv_heads
            ));
        }
        if self.rotary_dim.next_multiple_of(2) > self.head_dim {
            return Err(format!(
                "{} dimensions of a head of {} cannot be turned: rotary needs pairs",
                self.rotary_dim, self.head_dim
            ));
        }
        Ok(())
    }

    /// Name and shape of the tensors outside the layers.
    pub(super) fn outer_tensors(&self) -> Vec<(String, Vec<usize>)> {
        let matrix = vec![self.vocab_size, self.hidden_size];
        let mut list = vec![
            ("model.embed_tokens.weight".to_owned(), matrix.clone()),
            ("model.norm.weight".to_owned(), vec![self.hidden_size]),
        ];
        if !self.tied {
            list.push(("lm_head.weight".to_owned(), matrix));
        }
        list
    }
}

/// An error that names the first of the sizes that is 0.
pub(super) fn positive(sizes: &[(&str, usize)]) -> Result<(), String> {
    match sizes.iter().find(|(_, value)| *value == 0) {
        Some((name, _)) => Err(format!("`{name}` is 0")),
        None => Ok(()),
    }
}

/// Collects the tensors of one layer.
pub(super) struct LayerTensors<'a> {
    /// Where they go.
    pub(super) list: &'a mut Vec<(String, Vec<usize>)>,
    /// Index of the layer.
    pub(super) layer: usize,
}

impl LayerTensors<'_> {
    /// A tensor by its full name within the layer.
    pub(super) fn tensor(&mut self, name: &str, shape: &[usize]) {
        self.list.push((format!("model.layers.{}.{name}", self.layer), shape.to_vec()));
    }

    /// The weight of a map or norm, and its bias where it has one.
    pub(super) fn weight(&mut self, name: &str, shape: &[usize], bias: bool) {
        self.tensor(&format!("{name}.weight"), shape);
        if bias {
            self.tensor(&format!("{name}.bias"), &shape[..1]);
        }
    }
}
