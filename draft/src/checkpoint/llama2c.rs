//! The `.bin` files of llama2.c: the legacy format, which has no magic number, version 1 with a header of
//! 256 bytes, and version 2, whose matrices are in 8 bits with a scale for each group of numbers, the
//! numbers of a matrix before its scales as `runq.c` reads them. All are Llama models with `RoPE` base
//! 10,000 and 1e-5 in their norms, which the files do not say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde_json::{Value as Json, json};

use super::gguf::Element;
use super::map;
use super::rows::{Pairs, Rows, turned, write_safetensors};
use crate::config::{LlamaConfig, Shape};
use crate::error::ModelError;

/// What versions with a magic number begin with.
const MAGIC: u32 = 0x616B_3432;

/// Bytes of their header.
const HEADER: usize = 256;

/// Larger sizes are damage, or another format.
const LARGEST: i32 = 1 << 20;
const MOST_LAYERS: usize = 1 << 12;

/// Tensors of a layer: matrices in the order of both formats, and norms.
const MATRICES: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.down_proj",
    "mlp.up_proj",
];
const NORMS: [&str; 2] = ["input_layernorm", "post_attention_layernorm"];

const EMBEDDING: &str = "model.embed_tokens.weight";
const NORM: &str = "model.norm.weight";
const HEAD: &str = "lm_head.weight";

/// What a file says of itself.
#[derive(Clone, Copy, Debug)]
struct Header {
    version: u32,
    /// Width, inner width, layers, heads, key and value heads, rows, positions.
    sizes: [usize; 7],
    tied: bool,
    /// Numbers with one scale, of version 2.
    group: usize,
}

/// Where a tensor lies.
#[derive(Debug)]
struct Place {
    start: usize,
    /// Where its scales begin, of one in 8 bits.
    scales: Option<usize>,
}

/// An opened file.
#[derive(Debug)]
pub struct Llama2c {
    path: PathBuf,
    map: Mmap,
    header: Header,
    config: Json,
    shape: LlamaConfig,
    places: BTreeMap<String, Place>,
}

impl Llama2c {
    /// Opens a file, and checks that it is as long as its header says.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let map = map(path)?;
        let bad = |reason: String| ModelError::Format { path: path.into(), reason };
        let header = Header::read(&map).map_err(bad)?;
        let config = header.config();
        let Ok(Shape::Llama(shape)) = Shape::from_json(&config) else {
            return Err(bad("its sizes are those of no Llama model".to_owned()));
        };
        let (places, end) = header.places(&shape);
        if map.len() < end {
            return Err(bad(format!(
                "it ends after {} bytes of {end} that its header asks for; fetch it again",
                map.len()
            )));
        }
        if map.len() > end {
            return Err(bad(format!(
                "it goes on behind the {end} bytes that its header asks for: it is no llama2.c file, \
                 or damaged"
            )));
        }
        let file = Self { path: path.into(), map, header, config, shape, places };
        file.check_scales()?;
        Ok(file)
    }

    /// The model's `config.json`.
    pub fn config(&self) -> &Json {
        &self.config
    }

    /// Rows of the embedding.
    pub fn rows(&self) -> usize {
        self.shape.decoder.vocab_size
    }

    /// Writes the weights as safetensors in 32-bit floats, and gives the size of what was written.
    pub fn write(&self, path: &Path) -> Result<u64, ModelError> {
        let tensors = self.shape.tensors().into_iter();
        let tensors: Vec<_> = tensors.map(|(name, shape)| (name, shape, Element::F32)).collect();
        write_safetensors(path, &tensors, self)
    }

    fn floats(&self, start: usize, count: usize) -> impl Iterator<Item = f32> {
        let bytes = &self.map[start..start + 4 * count];
        bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }

    /// Scales that are none mean numbers in another order: older files have all scales at their end.
    fn check_scales(&self) -> Result<(), ModelError> {
        for (name, shape) in self.shape.tensors() {
            let Some(start) = self.places[&name].scales else { continue };
            let count = shape.iter().product::<usize>() / self.header.group;
            if self.floats(start, count).any(|scale| !scale.is_finite() || scale < 0.0) {
                return Err(ModelError::Format {
                    path: self.path.clone(),
                    reason: format!(
                        "where the scales of `{name}` should be are none; export it anew with the \
                         export.py of a later llama2.c"
                    ),
                });
            }
        }
        Ok(())
    }

    /// Hands over the rows of a tensor as they lie in the file.
    fn stored(&self, name: &str, columns: usize, count: usize, each: &mut dyn FnMut(&[f32])) {
        let place = &self.places[name];
        let mut row = Vec::with_capacity(columns);
        for first in (0..count).step_by(columns) {
            row.clear();
            match place.scales {
                None => row.extend(self.floats(place.start + 4 * first, columns)),
                Some(scales) => {
                    let group = self.header.group;
                    let (from, to) = (first / group, (first + columns).div_ceil(group));
                    let own: Vec<f32> = self.floats(scales + 4 * from, to - from).collect();
                    let bytes = &self.map[place.start + first..place.start + first + columns];
                    let numbers = bytes.iter().zip(first..);
                    row.extend(
                        numbers.map(|(byte, at)| {
                            f32::from(byte.cast_signed()) * own[at / group - from]
                        }),
                    );
                }
            }
            each(&row);
        }
    }
}

impl Rows for Llama2c {
    fn rows(&self, name: &str, each: &mut dyn FnMut(&[f32])) -> Result<(), ModelError> {
        let tensors = self.shape.tensors();
        let found = tensors.iter().find(|(own, _)| own == name);
        let Some((_, shape)) = found else { return Ok(()) };
        let (columns, count) = (shape.last().copied().unwrap_or(1), shape.iter().product());
        if !(name.contains(".q_proj.") || name.contains(".k_proj.")) {
            self.stored(name, columns, count, each);
            return Ok(());
        }
        let mut values = Vec::with_capacity(count);
        self.stored(name, columns, count, &mut |row| values.extend(row));
        let values = turned(&values, columns, self.shape.decoder.head_dim, Pairs::Halves);
        values.chunks(columns).for_each(each);
        Ok(())
    }
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let word = |at: usize| {
            let own = bytes.get(4 * at..4 * at + 4).and_then(|own| own.try_into().ok());
            own.map(i32::from_le_bytes).ok_or("it is too short to be a llama2.c file")
        };
        let (version, first) =
            if word(0)?.cast_unsigned() == MAGIC { (word(1)?.cast_unsigned(), 2) } else { (0, 0) };
        if version > 2 {
            return Err(format!(
                "version {version} of llama2.c's format is not read; 0, 1 and 2 are"
            ));
        }
        let mut sizes = [0; 7];
        let mut tied = true;
        for (place, size) in sizes.iter_mut().enumerate() {
            let mut own = word(first + place)?;
            // A head of its own is said by rows below 0 in the legacy format, by a byte in others.
            if version == 0 && place == 5 && own < 0 {
                (own, tied) = (-own, false);
            }
            if !(1..=LARGEST).contains(&own) {
                return Err(format!(
                    "it is no llama2.c file: number {} of its header is {own}",
                    place + 1
                ));
            }
            *size = own as usize;
        }
        let [width, _, _, heads, kv_heads, ..] = sizes;
        let layers = sizes[2];
        if layers > MOST_LAYERS {
            return Err(format!("it is no llama2.c file: it would have {layers} layers"));
        }
        if width % (2 * heads) != 0 || heads % kv_heads != 0 {
            return Err(format!(
                "it is no llama2.c file: {heads} heads ({kv_heads} of keys) do not share {width} \
                 dimensions"
            ));
        }
        let mut group = 1;
        if version > 0 {
            tied = bytes.get(36) == Some(&1);
        }
        if version == 2 {
            let own = bytes.get(37..41).and_then(|own| own.try_into().ok()).map(i32::from_le_bytes);
            group = own
                .filter(|&own| own > 0 && width.is_multiple_of(own as usize))
                .ok_or("the size of its groups does not divide its width")?
                as usize;
        }
        Ok(Self { version, sizes, tied, group })
    }

    fn config(&self) -> Json {
        let [width, inner, layers, heads, kv_heads, rows, positions] = self.sizes;
        json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
            "vocab_size": rows, "hidden_size": width, "intermediate_size": inner,
            "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": kv_heads, "head_dim": width / heads,
            "max_position_embeddings": positions, "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_theta": 10_000.0, "rope_type": "default"},
            "tie_word_embeddings": self.tied, "attention_bias": false, "mlp_bias": false,
            "bos_token_id": 1, "eos_token_id": 2, "dtype": "float32",
        })
    }

    /// The names of all tensors in the order of the file.
    fn order(&self) -> Vec<String> {
        let layers = self.sizes[2];
        let of = |part: &str| -> Vec<String> {
            (0..layers).map(|layer| format!("model.layers.{layer}.{part}.weight")).collect()
        };
        let mut names = Vec::new();
        if self.version == 0 {
            names.push(EMBEDDING.to_owned());
            names.extend(of(NORMS[0]));
            names.extend(MATRICES[..4].iter().flat_map(|part| of(part)));
            names.extend(of(NORMS[1]));
            names.extend(MATRICES[4..].iter().flat_map(|part| of(part)));
            names.push(NORM.to_owned());
        } else {
            names.extend(NORMS.iter().flat_map(|part| of(part)));
            names.extend([NORM, EMBEDDING].map(str::to_owned));
            names.extend(MATRICES.iter().flat_map(|part| of(part)));
        }
        names.extend((!self.tied).then(|| HEAD.to_owned()));
        names
    }

    /// Where tensors lie, and the file's size.
    fn places(&self, shape: &LlamaConfig) -> (BTreeMap<String, Place>, usize) {
        let sizes: BTreeMap<String, Vec<usize>> = shape.tensors().into_iter().collect();
        let mut at = if self.version == 0 { 4 * self.sizes.len() } else { HEADER };
        let mut places = BTreeMap::new();
        for name in self.order() {
            let (count, start) = (sizes[&name].iter().product::<usize>(), at);
            // Cosines and sines stand before a head of its own, and behind everything where there is none.
            if self.version == 0 && name == HEAD {
                at += self.rotary();
            }
            let start = if name == HEAD { at } else { start };
            let scaled = self.version == 2 && sizes[&name].len() > 1;
            let scales = scaled.then_some(start + count);
            at = start + if scaled { count + 4 * (count / self.group) } else { 4 * count };
            places.insert(name, Place { start, scales });
        }
        if self.version == 0 && self.tied {
            at += self.rotary();
        }
        (places, at)
    }

    /// Bytes of the cosines and sines of a legacy file.
    fn rotary(&self) -> usize {
        let [width, _, _, heads, _, _, positions] = self.sizes;
        4 * positions * (width / heads)
    }
}
