//! What `config.json` says of the rotary embedding, in the spellings that transformers 4 and 5 write.
//! Computes nothing.

use serde::Deserialize;
use serde_json::Value;

/// The rotary embedding's base and scaling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeConfig {
    /// The base of the geometric series of wavelengths.
    pub theta: f64,
    /// Llama 3.1's change of the low frequencies.
    pub llama3: Option<Llama3Scaling>,
    /// Position interpolation: divides all frequencies (Chen et al., 2306.15595).
    pub linear_factor: f64,
}

/// `rope_type` `llama3`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Llama3Scaling {
    /// Divides the frequencies of long wavelengths.
    pub factor: f64,
    /// Wavelengths longer than the original context divided by this are divided.
    pub low_freq_factor: f64,
    /// Wavelengths shorter than the original context divided by this are left alone.
    pub high_freq_factor: f64,
    /// The context before scaling.
    pub original_max_position_embeddings: f64,
}

/// The fields of `config.json` that concern the rotary embedding.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct RopeFields {
    rope_theta: Option<f64>,
    rope_parameters: Option<Value>,
    rope_scaling: Option<Value>,
    partial_rotary_factor: Option<f64>,
}

impl RopeFields {
    /// Where both spellings are there, the older one counts, as in transformers.
    fn object(&self) -> Option<&Value> {
        self.rope_scaling.as_ref().or(self.rope_parameters.as_ref())
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.object()?.get(name)
    }

    /// The share of a head that is turned, where it is given.
    pub(super) fn partial_factor(&self) -> Option<f64> {
        let own = self.field("partial_rotary_factor").and_then(Value::as_f64);
        own.or(self.partial_rotary_factor)
    }

    /// Reads base and scaling, of a model with so many positions.
    pub(super) fn read(&self, context: usize) -> Result<RopeConfig, String> {
        let theta = self.field("rope_theta").and_then(Value::as_f64).or(self.rope_theta);
        let mut rope =
            RopeConfig { theta: theta.unwrap_or(10_000.0), llama3: None, linear_factor: 1.0 };
        let kind = self.field("rope_type").or_else(|| self.field("type")).and_then(Value::as_str);
        match kind.unwrap_or("default") {
            "default" => {}
            "linear" => {
                rope.linear_factor = self
                    .field("factor")
                    .and_then(Value::as_f64)
                    .ok_or("linear rope scaling without a `factor`")?;
            }
            "llama3" => {
                let mut scaling = self.object().cloned().unwrap_or_default();
                let original = "original_max_position_embeddings";
                if scaling.get(original).is_none_or(Value::is_null) {
                    scaling[original] = context.into();
                }
                let parsed = serde_json::from_value(scaling)
                    .map_err(|error| format!("llama3 rope scaling is incomplete ({error})"))?;
                rope.llama3 = Some(parsed);
            }
            other => {
                return Err(format!(
                    "rope type `{other}` is not supported; `default`, `linear`, `llama3` are"
                ));
            }
        }
        Ok(rope)
    }
}
