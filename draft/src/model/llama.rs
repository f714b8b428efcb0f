//! The Llama architecture (Touvron et al., 2302.13971): `RMSNorm` before each block, rotary grouped-
//! query attention, a SiLU-gated feed-forward layer. Batch size 1; a tree of ids is read in one
//! pass through a mask. Knows ids and tensors only.

use tch::{Kind, Tensor};

use crate::cache::KvCache;
use crate::checkpoint::Checkpoint;
use crate::config::LlamaConfig;
use crate::device::Compute;
use crate::error::ModelError;
use crate::language_model::{LanguageModel, Logits, Wanted, depths};
use crate::rope::{Rope, Rotation};

/// A linear map; weights are `[out, in]`.
#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Loads one map, or several with the same input as one.
    fn load(
        checkpoint: &Checkpoint,
        names: &[String],
        bias: bool,
        compute: Compute,
    ) -> Result<Self, ModelError> {
        let named =
            |part: &str| names.iter().map(|name| format!("{name}.{part}")).collect::<Vec<_>>();
        let weight = checkpoint.stack(&named("weight"), compute)?;
        let bias = bias.then(|| checkpoint.stack(&named("bias"), compute)).transpose()?;
        Ok(Self { weight, bias })
    }

    fn apply(&self, input: &Tensor) -> Tensor {
        input.linear(&self.weight, self.bias.as_ref())
    }
}

/// Root-mean-square normalisation (Zhang & Sennrich, 1910.07467), computed in 32-bit floats.
#[derive(Debug)]
struct RmsNorm {
    weight: Tensor,
    epsilon: f64,
}

impl RmsNorm {
    fn apply(&self, input: &Tensor) -> Tensor {
        let kind = input.kind();
        let wide = input.to_kind(Kind::Float);
        let mean_square = wide.square().mean_dim(-1i64, true, Kind::Float);
        let scale = (mean_square + self.epsilon).rsqrt();
        &self.weight * (wide * scale).to_kind(kind)
    }
}

#[derive(Debug)]
struct Layer {
    before_attention: RmsNorm,
    queries_keys_values: Linear,
    output: Linear,
    before_feed_forward: RmsNorm,
    gate_up: Linear,
    down: Linear,
}

/// A Llama model with its cache.
#[derive(Debug)]
pub struct Llama {
    config: LlamaConfig,
    compute: Compute,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Tensor,
    rope: Rope,
    cache: KvCache,
}

/// Where the ids of one pass stand.
struct Placement {
    rotation: Rotation,
    /// What is added to attention scores, `[group × n, cached + n]`; `None` where every id sees all.
    mask: Option<Tensor>,
}

impl Llama {
    /// Copies the weights out of an opened checkpoint.
    pub fn load(
        config: &LlamaConfig,
        checkpoint: &Checkpoint,
        compute: Compute,
    ) -> Result<Self, ModelError> {
        let _guard = tch::no_grad_guard();
        let norm = |name: &str| -> Result<RmsNorm, ModelError> {
            let weight = checkpoint.tensor(&format!("{name}.weight"), compute)?;
            Ok(RmsNorm { weight, epsilon: config.norm_epsilon })
        };
        let layers = (0..config.layers)
            .map(|index| Layer::load(config, checkpoint, index, compute, &norm))
            .collect::<Result<Vec<_>, _>>()?;
        let embedding = checkpoint.tensor("model.embed_tokens.weight", compute)?;
        let head = if config.tied {
            embedding.shallow_clone()
        } else {
            checkpoint.tensor("lm_head.weight", compute)?
        };
        let (kind, device) = (compute.kind, compute.device);
        Ok(Self {
            embedding,
            head,
            layers,
            norm: norm("model.norm")?,
            rope: Rope::new(&config.rope, config.head_dim, config.context.min(512), kind, device),
            cache: KvCache::new(config.layers, config.kv_heads, config.head_dim, kind, device),
            config: config.clone(),
            compute,
        })
    }

    fn check(&self, ids: &[u32]) -> Result<(), ModelError> {
        let rows = self.config.vocab_size;
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= rows) {
            return Err(ModelError::Id { id, rows });
        }
        let wanted = self.cache.length() + ids.len();
        if wanted > self.config.context {
            return Err(ModelError::Context { wanted, context: self.config.context });
        }
        Ok(())
    }

    /// Runs the layers on `ids` and gives the logits `[rows, vocabulary]` of the wanted rows.
    fn forward(
        &mut self,
        ids: &[u32],
        parents: Option<&[Option<usize>]>,
        wanted: Wanted,
    ) -> Result<Logits, ModelError> {
        self.check(ids)?;
        let _guard = tch::no_grad_guard();
        self.cache.reserve(ids.len());
        self.rope.reserve((self.cache.length() + ids.len()).next_power_of_two());
        let indices: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let indices = Tensor::f_from_slice(&indices)?.f_to_device(self.compute.device)?;
        let mut stream = Tensor::f_embedding(&self.embedding, &indices, -1, false, false)?;
        let placement = self.placement(ids.len(), parents)?;
        for index in 0..self.layers.len() {
            stream = self.attention(index, &stream, &placement)?;
            stream = self.feed_forward(index, &stream);
        }
        self.cache.advance(ids.len());
        let last = match wanted {
            Wanted::Last => stream.narrow(0, ids.len() as i64 - 1, 1),
            Wanted::All => stream,
        };
        self.host_logits(&self.norm.apply(&last).linear(&self.head, None::<&Tensor>))
    }

    fn host_logits(&self, logits: &Tensor) -> Result<Logits, ModelError> {
        let logits = logits.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?.contiguous();
        let mut values = vec![0f32; logits.numel()];
        let count = values.len();
        logits.f_copy_data(&mut values, count)?;
        Ok(Logits::new(values, self.config.vocab_size))
    }

    fn placement(
        &self,
        count: usize,
        parents: Option<&[Option<usize>]>,
    ) -> Result<Placement, ModelError> {
        let past = self.cache.length();
        let Some(parents) = parents else {
            let mask =
                if count == 1 { None } else { Some(self.mask(&chain_visibility(past, count))?) };
            return Ok(Placement { rotation: self.rope.rows(past, count), mask });
        };
        let positions: Vec<i64> =
            depths(parents).iter().map(|depth| (past + depth) as i64).collect();
        let positions = Tensor::f_from_slice(&positions)?.f_to_device(self.compute.device)?;
        let mask = self.mask(&tree_visibility(past, parents))?;
        Ok(Placement { rotation: self.rope.rows_at(&positions), mask: Some(mask) })
    }

    /// Repeats rows of visibility for the query heads that share a key head, as an additive mask.
    fn mask(&self, visible: &[Vec<bool>]) -> Result<Tensor, ModelError> {
        let (count, width) = (visible.len() as i64, visible[0].len() as i64);
        let values: Vec<f32> = visible
            .iter()
            .flatten()
            .map(|&visible| if visible { 0.0 } else { f32::NEG_INFINITY })
            .collect();
        let group = (self.config.heads / self.config.kv_heads) as i64;
        let mask = Tensor::f_from_slice(&values)?
            .view([1, count, width])
            .expand([group, count, width], false)
            .reshape([group * count, width]);
        Ok(mask.f_to_device(self.compute.device)?.f_to_kind(self.compute.kind)?)
    }

    fn attention(
        &mut self,
        index: usize,
        stream: &Tensor,
        placement: &Placement,
    ) -> Result<Tensor, ModelError> {
        let (layer, config) = (&self.layers[index], &self.config);
        let count = stream.size()[0];
        let (heads, kv_heads) = (config.heads as i64, config.kv_heads as i64);
        let head_dim = config.head_dim as i64;
        let all = layer.queries_keys_values.apply(&layer.before_attention.apply(stream)).view([
            count,
            heads + 2 * kv_heads,
            head_dim,
        ]);
        let turned = placement.rotation.apply(&all.narrow(1, 0, heads + kv_heads)).transpose(0, 1);
        let keys = turned.narrow(0, heads, kv_heads);
        let values = all.narrow(1, heads + kv_heads, kv_heads).transpose(0, 1);
        let (keys, values) = self.cache.write(index, &keys, &values);
        // Query heads that share a key head become further queries of that head.
        let group = heads / kv_heads;
        let queries = turned.narrow(0, 0, heads).reshape([1, kv_heads, group * count, head_dim]);
        let mixed = Tensor::f_scaled_dot_product_attention(
            &queries,
            &keys.unsqueeze(0),
            &values.unsqueeze(0),
            placement.mask.as_ref(),
            0.0,
            false,
            None::<f64>,
            false,
        )?;
        let mixed =
            mixed.view([heads, count, head_dim]).transpose(0, 1).reshape([count, heads * head_dim]);
        Ok(stream + layer.output.apply(&mixed))
    }

    fn feed_forward(&self, index: usize, stream: &Tensor) -> Tensor {
        let layer = &self.layers[index];
        let width = self.config.intermediate_size as i64;
        let both = layer.gate_up.apply(&layer.before_feed_forward.apply(stream));
        let gated = both.narrow(1, 0, width).silu() * both.narrow(1, width, width);
        stream + layer.down.apply(&gated)
    }
}

impl Layer {
    fn load(
        config: &LlamaConfig,
        checkpoint: &Checkpoint,
        index: usize,
        compute: Compute,
        norm: &impl Fn(&str) -> Result<RmsNorm, ModelError>,
    ) -> Result<Self, ModelError> {
        let prefix = format!("model.layers.{index}");
        let linear = |parts: &[&str], bias: bool| {
            let names: Vec<String> = parts.iter().map(|part| format!("{prefix}.{part}")).collect();
            Linear::load(checkpoint, &names, bias, compute)
        };
        let (attention, feed) = (config.attention_bias, config.mlp_bias);
        Ok(Self {
            before_attention: norm(&format!("{prefix}.input_layernorm"))?,
            queries_keys_values: linear(
                &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
                attention,
            )?,
            output: linear(&["self_attn.o_proj"], attention)?,
            before_feed_forward: norm(&format!("{prefix}.post_attention_layernorm"))?,
            gate_up: linear(&["mlp.gate_proj", "mlp.up_proj"], feed)?,
            down: linear(&["mlp.down_proj"], feed)?,
        })
    }
}

impl LanguageModel for Llama {
    fn rows(&self) -> usize {
        self.config.vocab_size
    }

    fn context(&self) -> usize {
        self.config.context
    }

    fn length(&self) -> usize {
        self.cache.length()
    }

    fn extend(&mut self, ids: &[u32], wanted: Wanted) -> Result<Logits, ModelError> {
        if ids.is_empty() {
            return Ok(Logits::default());
        }
        self.forward(ids, None, wanted)
    }

    fn extend_tree(
        &mut self,
        ids: &[u32],
        parents: &[Option<usize>],
    ) -> Result<Logits, ModelError> {
        if ids.is_empty() {
            return Ok(Logits::default());
        }
        self.forward(ids, Some(parents), Wanted::All)
    }

    fn keep_path(&mut self, base: usize, path: &[usize]) {
        self.cache.keep(base, path);
    }

    fn truncate(&mut self, length: usize) {
        self.cache.truncate(length);
    }
}

/// Which cached and new positions each of `count` ids in a row sees: all before it, and itself.
fn chain_visibility(past: usize, count: usize) -> Vec<Vec<bool>> {
    (0..count).map(|row| (0..past + count).map(|column| column <= past + row).collect()).collect()
}

/// Which cached and new positions each node of a tree sees: the cache, its ancestors, itself.
fn tree_visibility(past: usize, parents: &[Option<usize>]) -> Vec<Vec<bool>> {
    let count = parents.len();
    let mut rows: Vec<Vec<bool>> = Vec::with_capacity(count);
    for (node, parent) in parents.iter().enumerate() {
        let mut row = if let Some(parent) = parent {
            rows[*parent].clone()
        } else {
            let mut row = vec![false; past + count];
            row[..past].fill(true);
            row
        };
        row[past + node] = true;
        rows.push(row);
    }
    rows
}
