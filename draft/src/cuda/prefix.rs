//! What a launch of the draft loop is told of each prefix, checked before anything is done. Knows no
//! kernels.

use super::CudaError;
use super::arguments::Token;
use super::engine::{Engine, PLAN_BYTES};
use super::gpu::bytes_of;
use crate::random::Key;

/// Prefixes of one launch, at most.
pub const MOST_PREFIXES: usize = 32;

/// One prefix's part in a launch: cached ids, and those that are read before the first is drawn.
#[derive(Clone, Debug)]
pub struct Prefix {
    /// How many ids its cache holds.
    pub cached: usize,
    /// The ids behind them, at least one.
    pub given: Vec<u32>,
    /// The key of each draw.
    pub keys: Vec<Key>,
}

/// Whether a launch can be made of them.
pub(super) fn check(engine: &Engine, prefixes: &[Prefix], count: usize) -> Result<(), CudaError> {
    let unsupported = |reason: String| Err(CudaError::Unsupported(reason));
    if prefixes.is_empty() || prefixes.len() > engine.prefixes().min(MOST_PREFIXES) || count == 0 {
        let most = engine.prefixes().min(MOST_PREFIXES);
        return unsupported(format!("{count} draws of {} prefixes of {most}", prefixes.len()));
    }
    for prefix in prefixes {
        if prefix.given.is_empty() || prefix.keys.len() != count {
            return unsupported("a prefix has no ids, or not a key for each draw".to_owned());
        }
        let rows = engine.rows();
        if let Some(id) = prefix.given.iter().find(|&&id| id as usize >= rows) {
            return unsupported(format!("the id {id} is outside the model's {rows} rows"));
        }
        let wanted = prefix.cached + prefix.given.len() + count - 1;
        if wanted > engine.context() {
            let context = engine.context();
            return unsupported(format!("{wanted} positions are more than the context {context}"));
        }
    }
    Ok(())
}

/// What the device is told: tokens, keys by step and prefix, given ids by prefix and step.
pub(super) fn plan(prefixes: &[Prefix], steps: usize) -> Result<Vec<u8>, CudaError> {
    let mut tokens = Vec::new();
    let mut keys = vec![0u64; steps * prefixes.len()];
    let mut given = vec![0u32; steps * prefixes.len()];
    for (index, prefix) in prefixes.iter().enumerate() {
        let slot = prefix.cached as u32;
        let token = Token {
            prefix: index as u32,
            slot,
            position: slot,
            limit: slot + 1,
            end: slot + 1,
            given: prefix.given.len() as u32,
            ..Token::default()
        };
        tokens.extend(token.words());
        given[index * steps..][..prefix.given.len()].copy_from_slice(&prefix.given);
        for (draw, key) in prefix.keys.iter().enumerate() {
            keys[(prefix.given.len() - 1 + draw) * prefixes.len() + index] = key.0;
        }
    }
    let plan = [bytes_of(&tokens), bytes_of(&keys), bytes_of(&given)].concat();
    if plan.len() > PLAN_BYTES {
        let reason = format!("{steps} steps of {} prefixes are too many", prefixes.len());
        return Err(CudaError::Unsupported(reason));
    }
    Ok(plan)
}
