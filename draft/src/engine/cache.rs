//! Keys and values of what a decoder has read, as attention reads them: both are matrices in panels of 32,
//! of positions for keys and of dimensions for values. In 32-bit floats where weights are, else in 16-bit
//! ones: behind 144 ids, 32-bit keys and values of a draft with 8-bit weights are a fifth of all bytes read.

use super::lanes::PANEL;
use super::packed::Format;
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
    pub(super) keys: Shared<u8>,
    /// `[head][panel of 32 dimensions][position][32]`
    pub(super) values: Shared<u8>,
}

/// Where a number of a layer lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) heads: usize,
    pub(super) dim: usize,
    /// How numbers are stored.
    pub(super) format: Format,
    capacity: usize,
}

impl Sizes {
    /// The first byte of the keys of the block of 32 positions that a position is in.
    pub(super) fn block(&self, head: usize, position: usize) -> usize {
        let block = head * (self.capacity / PANEL) + position / PANEL;
        block * self.dim * PANEL * self.format.size()
    }

    /// The first byte of the values of a panel of dimensions from a position on.
    pub(super) fn values(&self, head: usize, panel: usize, position: usize) -> usize {
        let row = (head * self.panels() + panel) * self.capacity + position;
        row * PANEL * self.format.size()
    }

    pub(super) fn panels(&self) -> usize {
        self.dim.div_ceil(PANEL)
    }

    fn bytes(&self) -> (usize, usize) {
        let places = self.heads * self.capacity * self.format.size();
        (places * self.dim, places * self.panels() * PANEL)
    }
}

impl Layer {
    fn new(sizes: &Sizes) -> Self {
        let mut layer = Self { keys: Shared::new(), values: Shared::new() };
        let (keys, values) = sizes.bytes();
        layer.keys.reserve(keys);
        layer.values.reserve(values);
        layer
    }

    /// Writes key and value of one position, as bytes.
    ///
    /// # Safety
    /// Nobody else uses this head meanwhile.
    #[expect(unsafe_code, reason = "members write to heads of their own")]
    pub(super) unsafe fn write(
        &self,
        sizes: &Sizes,
        (head, position): (usize, usize),
        (key, value): (&[u8], &[u8]),
    ) {
        let (size, lane) = (sizes.format.size(), position % PANEL);
        let block = sizes.dim * PANEL * size;
        // SAFETY: the caller's.
        let keys = unsafe { self.keys.part_mut(sizes.block(head, position), block) };
        for (column, key) in keys.chunks_exact_mut(PANEL * size).zip(key.chunks_exact(size)) {
            column[lane * size..][..size].copy_from_slice(key);
        }
        for (panel, part) in value.chunks(PANEL * size).enumerate() {
            let at = sizes.values(head, panel, position);
            // SAFETY: the caller's.
            unsafe { self.values.part_mut(at, part.len()) }.copy_from_slice(part);
        }
    }

    /// Copies a position of another layer.
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

    fn read(&self, sizes: &Sizes, head: usize, position: usize) -> (Vec<u8>, Vec<u8>) {
        let (size, lane) = (sizes.format.size(), position % PANEL);
        // SAFETY: nobody writes between passes.
        #[expect(unsafe_code, reason = "no pass is running")]
        let (keys, values) = unsafe {
            let value = |panel: usize| {
                let width = PANEL.min(sizes.dim - panel * PANEL) * size;
                self.values.part(sizes.values(head, panel, position), width)
            };
            let keys = self.keys.part(sizes.block(head, position), sizes.dim * PANEL * size);
            (keys, (0..sizes.panels()).map(value).collect::<Vec<_>>())
        };
        let columns = keys.chunks_exact(PANEL * size);
        let key = columns.flat_map(|column| &column[lane * size..][..size]).copied().collect();
        (key, values.concat())
    }
}

impl Cache {
    /// An empty cache.
    pub(super) fn new(layers: usize, heads: usize, dim: usize, weights: Format) -> Self {
        let format = if weights == Format::Int8 { Format::Fp16 } else { weights };
        let sizes = Sizes { heads, dim, format, capacity: FIRST_CAPACITY };
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
