//! Rotary position embedding (Su et al., 2104.09864) with Llama 3.1's scaling. Tables are computed
//! once, in 32-bit floats and by the operations of the reference, in its order: at position 131,071
//! the last bit of a frequency is a hundredth of a radian.

use tch::{Device, Kind, Tensor};

use crate::config::{Llama3Scaling, RopeConfig};

/// Cosines and signed sines of all positions so far needed.
#[derive(Debug)]
pub struct Rope {
    config: RopeConfig,
    dimensions: usize,
    cosines: Tensor,
    sines: Tensor,
    positions: usize,
}

impl Rope {
    /// Tables that turn `dimensions` of a head, for `positions` positions.
    pub fn new(
        config: RopeConfig,
        dimensions: usize,
        positions: usize,
        kind: Kind,
        device: Device,
    ) -> Self {
        let empty = || Tensor::empty([0], (kind, device));
        let mut rope = Self { config, dimensions, cosines: empty(), sines: empty(), positions: 0 };
        rope.reserve(positions);
        rope
    }

    /// Makes the tables long enough for `positions` positions.
    pub fn reserve(&mut self, positions: usize) {
        if positions <= self.positions {
            return;
        }
        let (kind, device) = (self.cosines.kind(), self.cosines.device());
        let finish = |table: Tensor| table.unsqueeze(1).to_device(device).to_kind(kind);
        let (cosines, sines) = tables(&self.config, self.dimensions, positions);
        let half = sines.size()[1] / 2;
        let signed = Tensor::cat(&[sines.narrow(1, 0, half).neg(), sines.narrow(1, half, half)], 1);
        (self.cosines, self.sines) = (finish(cosines), finish(signed));
        self.positions = positions;
    }

    /// Rows of the tables, `[n, 1, dimensions]` each, for positions `first .. first + n`.
    pub fn rows(&self, first: usize, count: usize) -> Rotation {
        let row = |table: &Tensor| table.narrow(0, first as i64, count as i64);
        Rotation { cosines: row(&self.cosines), sines: row(&self.sines) }
    }

    /// Rows of the tables for the given positions.
    pub fn rows_at(&self, positions: &Tensor) -> Rotation {
        let row = |table: &Tensor| table.index_select(0, positions);
        Rotation { cosines: row(&self.cosines), sines: row(&self.sines) }
    }
}

/// The rotation of some positions.
#[derive(Debug)]
pub struct Rotation {
    cosines: Tensor,
    sines: Tensor,
}

impl Rotation {
    /// Rotates the leading dimensions of heads `[n, heads, head_dim]` or `[batch, n, heads,
    /// head_dim]`.
    pub fn apply(&self, heads: &Tensor) -> Tensor {
        let (turned, all) = (last(&self.cosines), last(heads));
        if turned == all {
            return self.turn(heads);
        }
        let rest = heads.narrow(-1, turned, all - turned);
        Tensor::cat(&[self.turn(&heads.narrow(-1, 0, turned)), rest], -1)
    }

    /// The second half is the imaginary part of the first; rolling by half swaps them, and the sign
    /// is in the sines. Tables may be of a wider type than heads.
    fn turn(&self, heads: &Tensor) -> Tensor {
        let turned = heads * &self.cosines + heads.roll([last(heads) / 2], [-1]) * &self.sines;
        turned.to_kind(heads.kind())
    }
}

/// The last size of a tensor.
fn last(tensor: &Tensor) -> i64 {
    tensor.size().last().copied().unwrap_or(0)
}

/// Cosines and sines `[positions, dimensions]` in 32-bit floats on the CPU; the second half of the
/// dimensions repeats the first. An odd number of dimensions is rounded up.
pub fn tables(config: &RopeConfig, dimensions: usize, positions: usize) -> (Tensor, Tensor) {
    let frequencies = series(config, dimensions).unsqueeze(0);
    let places = Tensor::arange(positions as i64, (Kind::Float, Device::Cpu)).unsqueeze(1);
    let angles = places * frequencies;
    let (cosine, sine) = (angles.cos(), angles.sin());
    (Tensor::cat(&[&cosine, &cosine], 1), Tensor::cat(&[&sine, &sine], 1))
}

/// Angular frequencies, one for two dimensions.
pub fn frequencies(config: &RopeConfig, dimensions: usize) -> Vec<f32> {
    let series = series(config, dimensions);
    let mut values = vec![0f32; series.numel()];
    let count = values.len();
    series.copy_data(&mut values, count);
    values
}

fn series(config: &RopeConfig, dimensions: usize) -> Tensor {
    let steps = Tensor::arange_start_step(0, dimensions as i64, 2, (Kind::Float, Device::Cpu));
    let exponents = steps / dimensions as f64;
    let frequencies = Tensor::pow_scalar(config.theta, &exponents).reciprocal();
    let scaled = match &config.llama3 {
        Some(scaling) => stretch(&frequencies, scaling),
        None => frequencies,
    };
    scaled / config.linear_factor
}

/// Llama 3.1's rule: long wavelengths are divided by the factor, short ones left alone, those
/// between interpolated.
fn stretch(frequencies: &Tensor, scaling: &Llama3Scaling) -> Tensor {
    let (low, high) = (scaling.low_freq_factor, scaling.high_freq_factor);
    let original = scaling.original_max_position_embeddings;
    let wavelengths = frequencies.reciprocal() * (2.0 * std::f64::consts::PI);
    let is_long = wavelengths.gt(original / low);
    let is_short = wavelengths.lt(original / high);
    let divided = (frequencies / scaling.factor).where_self(&is_long, frequencies);
    let smooth = (wavelengths.reciprocal() * original - low) / (high - low);
    let between = (1.0 - &smooth) * &divided / scaling.factor + &smooth * &divided;
    divided.where_self(&is_long.logical_or(&is_short), &between)
}
