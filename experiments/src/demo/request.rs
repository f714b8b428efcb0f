//! What the page may ask for, mode by mode, as JSON. Fields that are not known are refused.

use draft::Sampling;
use serde::Deserialize;
use target::{Method, Verification};

use super::limits::Refusal;
use crate::settings::Wishes;

/// How tokens are drawn, and how many.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Decoding {
    pub(super) temperature: Option<f64>,
    pub(super) top_k: Option<usize>,
    pub(super) top_p: Option<f64>,
    pub(super) repetition_penalty: Option<f64>,
    pub(super) max_new: Option<usize>,
    pub(super) seed: Option<u64>,
    pub(super) ignore_eos: bool,
}

impl Decoding {
    /// Refuses values that mean nothing.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let wrong = |message: &str| Err(Refusal::unprocessable(message));
        if self.temperature.is_some_and(|own| !own.is_finite() || own < 0.0) {
            return wrong("a temperature is 0 or above");
        }
        if self.top_p.is_some_and(|own| !(own > 0.0 && own <= 1.0)) {
            return wrong("top-p is above 0 and at most 1");
        }
        if self.top_k == Some(0) {
            return wrong("top-k is at least 1");
        }
        if self.repetition_penalty.is_some_and(|own| !(own > 0.0 && own.is_finite())) {
            return wrong("the repetition penalty is above 0");
        }
        Ok(())
    }

    /// As one source of settings among others.
    pub(super) fn wishes(&self) -> Wishes {
        let Self { temperature, top_k, top_p, repetition_penalty, max_new, .. } = *self;
        Wishes { temperature, top_k, top_p, repetition_penalty, max_new }
    }

    /// The values, and `defaults` for those not given.
    pub(super) fn over(&self, defaults: Sampling) -> Sampling {
        Sampling {
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_k: self.top_k.or(defaults.top_k),
            top_p: self.top_p.or(defaults.top_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(defaults.repetition_penalty),
        }
    }
}

/// Plain generation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Generate {
    pub(super) model: String,
    pub(super) prompt: String,
    #[serde(default)]
    pub(super) decoding: Decoding,
}

/// The token-probability explorer; `decoding.max_new` tokens are appended.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Explore {
    pub(super) model: String,
    pub(super) prompt: String,
    pub(super) top: Option<usize>,
    #[serde(default)]
    pub(super) decoding: Decoding,
}

/// The temperature sweep.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sweep {
    pub(super) model: String,
    pub(super) prompt: String,
    pub(super) temperatures: Vec<f64>,
    pub(super) samples: Option<usize>,
    #[serde(default)]
    pub(super) decoding: Decoding,
}

/// Two models head to head.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compare {
    pub(super) models: [String; 2],
    pub(super) prompt: String,
    pub(super) reference: Option<String>,
    pub(super) rounds: Option<usize>,
    #[serde(default)]
    pub(super) decoding: Decoding,
}

/// Speculative decoding with the server's draft and target.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Speculate {
    pub(super) prompt: String,
    /// `None` for the pair's own.
    pub(super) method: Option<Method>,
    #[serde(default)]
    pub(super) verification: Verification,
    pub(super) gamma: Option<usize>,
    pub(super) nodes: Option<usize>,
    /// Whether plain decoding runs beside, for the sake of comparison.
    #[serde(default)]
    pub(super) plain: bool,
    #[serde(default)]
    pub(super) decoding: Decoding,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Generate(Generate),
    Explore(Explore),
    Sweep(Sweep),
    Compare(Compare),
    Speculate(Speculate),
}

impl Request {
    /// Reads the body of a request for a mode; `None` where there is no such mode.
    pub(super) fn read(mode: &str, body: &[u8]) -> Option<Result<Self, Refusal>> {
        Some(match mode {
            "generate" => json(body).map(Self::Generate),
            "explore" => json(body).map(Self::Explore),
            "sweep" => json(body).map(Self::Sweep),
            "compare" => json(body).map(Self::Compare),
            "speculate" => json(body).map(Self::Speculate),
            _ => return None,
        })
    }

    /// How it draws.
    pub(super) fn decoding(&self) -> &Decoding {
        match self {
            Self::Generate(own) => &own.decoding,
            Self::Explore(own) => &own.decoding,
            Self::Sweep(own) => &own.decoding,
            Self::Compare(own) => &own.decoding,
            Self::Speculate(own) => &own.decoding,
        }
    }
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("the request cannot be read: {error}")))
}
