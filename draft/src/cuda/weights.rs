//! A checkpoint's weights in the order of the kernels: one array of two bytes an element, rows that a
//! warp needs at once side by side. Speed: the order is made once, at loading; a tensor at a time is
//! held on the host. Knows no kernel.

use tch::{Kind, Tensor};

use super::{CudaError, Sizes};
use crate::checkpoint::Checkpoint;
use crate::device::Compute;
use crate::error::ModelError;

const HOST: Compute = Compute { kind: Kind::BFloat16, ..Compute::CPU };

/// Gives the parts of a model's weights, in order, to `take`; each is the bytes of bfloat16.
pub(super) fn parts(
    checkpoint: &Checkpoint,
    sizes: &Sizes,
    mut take: impl FnMut(&[u8]) -> Result<(), CudaError>,
) -> Result<(), CudaError> {
    let _guard = tch::no_grad_guard();
    let mut one = |tensor: Result<Tensor, ModelError>| {
        take(&bytes(&tensor.map_err(|error| failed(&error))?)?)
    };
    let matrix = |names: &[String]| checkpoint.stack(names, HOST);
    let single = |name: &str| matrix(&[name.to_owned()]);
    let padded = |tensor: Tensor| {
        let missing = (sizes.padded_rows() - sizes.rows) as i64;
        Ok(tensor.f_constant_pad_nd([0, 0, 0, missing])?)
    };
    one(single("model.embed_tokens.weight").and_then(padded))?;
    for layer in 0..sizes.layers {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let names = |parts: &[&str]| parts.iter().map(|part| name(part)).collect::<Vec<_>>();
        one(single(&name("input_layernorm")))?;
        let inputs = names(&["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]);
        one(matrix(&inputs).and_then(|rows| in_pairs(&rows, sizes.head_dim)))?;
        one(single(&name("self_attn.o_proj")))?;
        one(single(&name("post_attention_layernorm")))?;
        let gate_up = names(&["mlp.gate_proj", "mlp.up_proj"]);
        one(matrix(&gate_up).and_then(|rows| in_pairs(&rows, 2 * sizes.feed)))?;
        one(single(&name("mlp.down_proj")))?;
    }
    one(single("model.norm.weight"))?;
    if !sizes.tied {
        one(single("lm_head.weight").and_then(padded))?;
    }
    Ok(())
}

/// Brings, of each `group` rows, row `i` of the second half beside row `i` of the first.
fn in_pairs(rows: &Tensor, group: usize) -> Result<Tensor, ModelError> {
    let columns = rows.size()[1];
    let apart = rows.f_view([-1, 2, group as i64 / 2, columns])?;
    Ok(apart.f_transpose(1, 2)?.f_contiguous()?.f_view([-1, columns])?)
}

/// The bytes of a tensor of bfloat16.
fn bytes(tensor: &Tensor) -> Result<Vec<u8>, CudaError> {
    let flat = tensor.f_contiguous().and_then(|whole| whole.f_view([-1]));
    let flat = flat.map_err(|error| failed(&error.into()))?;
    let mut bytes = vec![0u8; 2 * flat.numel()];
    flat.f_copy_data_u8(&mut bytes, flat.numel()).map_err(|error| failed(&error.into()))?;
    Ok(bytes)
}

fn failed(error: &ModelError) -> CudaError {
    CudaError::Weights(error.to_string())
}
