//! What kernels are given: the structures of `kernels/shape.cu`, field by field. Knows no kernel.

use super::api::Address;

/// Words of a token's mask.
pub(super) const MASK_WORDS: usize = 8;

/// What stands for no id.
pub(super) const NONE: u32 = u32::MAX;

/// One id of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Token {
    pub(super) id: u32,
    /// Whose cache it reads and writes.
    pub(super) prefix: u32,
    /// Where in that cache its keys and values go.
    pub(super) slot: u32,
    /// Its position in the text.
    pub(super) position: u32,
    /// It sees all slots before this one, and of those up to `end` the ones of its mask.
    pub(super) limit: u32,
    pub(super) end: u32,
    /// In drafting: how many ids are given before the first is drawn.
    pub(super) given: u32,
    pub(super) unused: u32,
}

impl Token {
    /// Its words, as they lie in memory.
    pub(super) fn words(self) -> [u32; 8] {
        let Self { id, prefix, slot, position, limit, end, given, unused } = self;
        [id, prefix, slot, position, limit, end, given, unused]
    }
}

/// Everything a kernel may need; what it does not need is 0.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Arguments {
    pub(super) weights: Address,
    pub(super) cosines: Address,
    pub(super) sines: Address,
    pub(super) cache: Address,
    pub(super) tokens: Address,
    pub(super) masks: Address,
    pub(super) stream: Address,
    pub(super) queries: Address,
    pub(super) mixed: Address,
    pub(super) gated: Address,
    pub(super) logits: Address,
    pub(super) best: Address,
    pub(super) keys: Address,
    pub(super) chosen: Address,
    pub(super) given: Address,
    pub(super) names: Address,
    pub(super) counters: Address,
    pub(super) law_ids: Address,
    pub(super) law_logs: Address,
    pub(super) law_ends: Address,
    pub(super) laws: Address,
    pub(super) nodes: Address,
    pub(super) place_keys: Address,
    pub(super) rows: Address,
    pub(super) verdict: Address,
    pub(super) path: Address,
    /// 1 / temperature, 0 for the most probable id always.
    pub(super) scale: f64,
    pub(super) count: u32,
    pub(super) capacity: u32,
    pub(super) layer: u32,
    pub(super) first: u32,
    pub(super) steps: u32,
    pub(super) first_draw: u32,
    pub(super) resident: u32,
    pub(super) base: u32,
}
