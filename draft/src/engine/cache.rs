//! Keys and values of what a decoder has read, as attention reads them: both are matrices in panels of 32,
//! of positions for keys and of dimensions for values. In 32-bit floats.

use super::lanes::PANEL;
use super::team::Shared;

/// Room for this many positions is made at first; it doubles when it is full.
const FIRST_CAPACITY: usize = 256;

/// Keys and values of all layers.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) layers: Vec<Layer>,
    pub(super) sizes: Sizes,
    length: usize,
}

/// Of one layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// `[head][block of 32 positions][dimension][32]`
    pub(super) keys: Shared<f32>,
    /// `[head][panel of 32 dimensions][position][32]`
    pub(super) values: Shared<f32>,
}

/// Where a number of a layer lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) heads: usize,
    pub(super) dim: usize,
    capacity: usize,
}

impl Sizes {
    /// The keys of the block of 32 positions that a position is in.
    pub(super) fn block(&self, head: usize, position: usize) -> usize {
        (head * (self.capacity / PANEL) + position / PANEL) * self.dim * PANEL
    }

    /// The values of a panel of dimensions from a position on.
    pub(super) fn values(&self, head: usize, panel: usize, position: usize) -> usize {
        ((head * self.panels() + panel) * self.capacity + position) * PANEL
    }

    pub(super) fn panels(&self) -> usize {
        self.dim.div_ceil(PANEL)
    }

    fn numbers(&self) -> (usize, usize) {
        let keys = self.heads * self.dim * self.capacity;
        (keys, self.heads * self.panels() * PANEL * self.capacity)
    }
}

impl Layer {
    fn new(sizes: &Sizes) -> Self {
        let mut layer = Self { keys: Shared::new(), values: Shared::new() };
        let (keys, values) = sizes.numbers();
        layer.keys.reserve(keys);
        layer.values.reserve(values);
        layer
    }

    /// Writes key and value of one position.
    ///
    /// # Safety
    /// Nobody else uses this head meanwhile.
    #[expect(unsafe_code, reason = "members write to heads of their own")]
    pub(super) unsafe fn write(
        &self,
        sizes: &Sizes,
        (head, position): (usize, usize),
        (key, value): (&[f32], &[f32]),
    ) {
        let lane = position % PANEL;
        // SAFETY: the caller's.
        let keys = unsafe { self.keys.part_mut(sizes.block(head, position), sizes.dim * PANEL) };
        for (column, key) in keys.chunks_exact_mut(PANEL).zip(key) {
            column[lane] = *key;
        }
        for (panel, part) in value.chunks(PANEL).enumerate() {
            let at = sizes.values(head, panel, position);
            // SAFETY: the caller's.
            unsafe { self.values.part_mut(at, part.len()) }.copy_from_slice(part);
        }
    }

    /// Copies a position of another layer, which may be this one as it was.
    fn copy(&mut self, sizes: &Sizes, to: usize, from: &Self, (old, at): (&Sizes, usize)) {
        for head in 0..sizes.heads {
            let (key, value) = from.read(old, head, at);
            // SAFETY: the layer is not shared here.
            #[expect(unsafe_code, reason = "the only holder writes")]
            unsafe {
                self.write(sizes, (head, to), (&key, &value));
            }
        }
    }

    fn read(&self, sizes: &Sizes, head: usize, position: usize) -> (Vec<f32>, Vec<f32>) {
        // SAFETY: nobody writes between passes.
        #[expect(unsafe_code, reason = "no pass is running")]
        let (keys, values) = unsafe {
            let value = |panel: usize| {
                let width = PANEL.min(sizes.dim - panel * PANEL);
                self.values.part(sizes.values(head, panel, position), width)
            };
            let keys = self.keys.part(sizes.block(head, position), sizes.dim * PANEL);
            (keys, (0..sizes.panels()).map(value).collect::<Vec<_>>())
        };
        let lane = position % PANEL;
        (keys.iter().skip(lane).step_by(PANEL).copied().collect(), values.concat())
    }
}

impl Cache {
    /// An empty cache.
    pub(super) fn new(layers: usize, heads: usize, dim: usize) -> Self {
        let sizes = Sizes { heads, dim, capacity: FIRST_CAPACITY };
        Self { layers: (0..layers).map(|_| Layer::new(&sizes)).collect(), sizes, length: 0 }
    }

    /// Positions that are filled.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Forgets all but the first `length` positions.
    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Counts `count` written positions as filled.
    pub(super) fn advance(&mut self, count: usize) {
        self.length += count;
    }

    /// Makes room for `count` more positions.
    pub(super) fn reserve(&mut self, count: usize) {
        let wanted = self.length + count;
        if wanted <= self.sizes.capacity {
            return;
        }
        let old = self.sizes;
        self.sizes.capacity = wanted.next_power_of_two();
        for layer in &mut self.layers {
            let mut wider = Layer::new(&self.sizes);
            for position in 0..self.length {
                wider.copy(&self.sizes, position, layer, (&old, position));
            }
            *layer = wider;
        }
    }

    /// Keeps the first `base` positions and, behind them, those at `base + path[i]`, in this order.
    pub(super) fn keep(&mut self, base: usize, path: &[usize]) {
        let sizes = self.sizes;
        // A node never stands before its place in a path from the root down, so that none is
        // overwritten before it was moved.
        for (index, &node) in path.iter().enumerate() {
            if index == node {
                continue;
            }
            for layer in &mut self.layers {
                for head in 0..sizes.heads {
                    let (key, value) = layer.read(&sizes, head, base + node);
                    // SAFETY: the layer is not shared here.
                    #[expect(unsafe_code, reason = "the only holder writes")]
                    unsafe {
                        layer.write(&sizes, (head, base + index), (&key, &value));
                    }
                }
            }
        }
        self.length = base + path.len();
    }
}
