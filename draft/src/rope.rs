//! Rotary position embedding (Su et al., 2104.09864) with Llama 3.1's scaling. Tables are computed
//! once, in 32-bit floats as the reference does, and then cast.

use tch::{Device, Kind, Tensor};

use crate::config::RopeConfig;

/// Cosines and signed sines of all positions so far needed.
#[derive(Debug)]
pub struct Rope {
    frequencies: Vec<f32>,
    cosines: Tensor,
    sines: Tensor,
    positions: usize,
}

impl Rope {
    /// Tables for heads of `head_dim`, for `positions` positions.
    pub fn new(
        config: &RopeConfig,
        head_dim: usize,
        positions: usize,
        kind: Kind,
        device: Device,
    ) -> Self {
        let frequencies = frequencies(config, head_dim);
        let (cosines, sines) = tables(&frequencies, positions, kind, device);
        Self { frequencies, cosines, sines, positions }
    }

    /// Makes the tables long enough for `positions` positions.
    pub fn reserve(&mut self, positions: usize) {
        if positions > self.positions {
            let (kind, device) = (self.cosines.kind(), self.cosines.device());
            (self.cosines, self.sines) = tables(&self.frequencies, positions, kind, device);
            self.positions = positions;
        }
    }

    /// Rows of the tables, `[n, 1, head_dim]` each, for positions `first .. first + n`.
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
    /// Rotates heads `[n, heads, head_dim]`. The second half of a head is the imaginary part of the
    /// first; rolling a head by half swaps them, and the sign is in the sines.
    pub fn apply(&self, heads: &Tensor) -> Tensor {
        let half = heads.size()[2] / 2;
        heads * &self.cosines + heads.roll([half], [2]) * &self.sines
    }
}

/// Angular frequencies, `head_dim / 2` of them.
fn frequencies(config: &RopeConfig, head_dim: usize) -> Vec<f32> {
    (0..head_dim / 2)
        .map(|pair| {
            let exponent = (2 * pair) as f32 / head_dim as f32;
            let frequency = 1.0 / (config.theta as f32).powf(exponent);
            scale(config, frequency) / config.linear_factor as f32
        })
        .collect()
}

/// Llama 3.1's rule: long wavelengths are divided by the factor, short ones left alone, those
/// between interpolated.
fn scale(config: &RopeConfig, frequency: f32) -> f32 {
    let Some(llama3) = &config.llama3 else { return frequency };
    let original = llama3.original_max_position_embeddings as f32;
    let (low, high) = (llama3.low_freq_factor as f32, llama3.high_freq_factor as f32);
    let factor = llama3.factor as f32;
    let wavelength = 2.0 * std::f32::consts::PI / frequency;
    if wavelength > original / low {
        frequency / factor
    } else if wavelength < original / high {
        frequency
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

fn tables(frequencies: &[f32], positions: usize, kind: Kind, device: Device) -> (Tensor, Tensor) {
    let half = Tensor::from_slice(frequencies).unsqueeze(0);
    let angles = Tensor::arange(positions as i64, (Kind::Float, Device::Cpu)).unsqueeze(1) * half;
    let finish = |table: Tensor| table.unsqueeze(1).to_device(device).to_kind(kind);
    let (cosine, sine) = (angles.cos(), angles.sin());
    let cosines = Tensor::cat(&[&cosine, &cosine], 1);
    let sines = Tensor::cat(&[&sine.neg(), &sine], 1);
    (finish(cosines), finish(sines))
}
