//! Keys and values of what a model has read. Preallocated, written in place, and rolled back by
//! forgetting the tail. Knows no attention and no ids.

use tch::{Device, Kind, Tensor};

/// Room for this many positions is made at first; it doubles when it is full.
const FIRST_CAPACITY: usize = 256;

/// Keys and values of all layers, each `[kv_heads, capacity, head_dim]`.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<(Tensor, Tensor)>,
    heads: i64,
    head_dim: i64,
    kind: Kind,
    device: Device,
    length: usize,
    capacity: usize,
}

impl KvCache {
    /// An empty cache.
    pub fn new(layers: usize, heads: usize, head_dim: usize, kind: Kind, device: Device) -> Self {
        let mut cache = Self {
            layers: Vec::with_capacity(layers),
            heads: heads as i64,
            head_dim: head_dim as i64,
            kind,
            device,
            length: 0,
            capacity: FIRST_CAPACITY,
        };
        cache.layers = (0..layers).map(|_| (cache.room(), cache.room())).collect();
        cache
    }

    fn room(&self) -> Tensor {
        Tensor::zeros([self.heads, self.capacity as i64, self.head_dim], (self.kind, self.device))
    }

    /// Positions that are filled.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Forgets all but the first `length` positions.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Makes room for `count` more positions.
    pub fn reserve(&mut self, count: usize) {
        let wanted = self.length + count;
        if wanted <= self.capacity {
            return;
        }
        self.capacity = wanted.next_power_of_two();
        let length = self.length as i64;
        for index in 0..self.layers.len() {
            let (mut keys, mut values) = (self.room(), self.room());
            let (old_keys, old_values) = &self.layers[index];
            keys.narrow(1, 0, length).copy_(&old_keys.narrow(1, 0, length));
            values.narrow(1, 0, length).copy_(&old_values.narrow(1, 0, length));
            std::mem::swap(&mut self.layers[index].0, &mut keys);
            std::mem::swap(&mut self.layers[index].1, &mut values);
        }
    }

    /// Writes keys and values `[kv_heads, n, head_dim]` of one layer behind the filled positions,
    /// and gives those of all positions up to there. Room must have been reserved;
    /// [`Self::advance`] makes the new positions count once every layer has written.
    pub fn write(&mut self, layer: usize, keys: &Tensor, values: &Tensor) -> (Tensor, Tensor) {
        let (first, count) = (self.length as i64, keys.size()[1]);
        let (all_keys, all_values) = &self.layers[layer];
        all_keys.narrow(1, first, count).copy_(keys);
        all_values.narrow(1, first, count).copy_(values);
        (all_keys.narrow(1, 0, first + count), all_values.narrow(1, 0, first + count))
    }

    /// Counts `count` written positions as filled.
    pub fn advance(&mut self, count: usize) {
        self.length += count;
    }

    /// Keeps the first `base` positions and, behind them, those at `base + path[i]`, in this order.
    pub fn keep(&mut self, base: usize, path: &[usize]) {
        let in_place = path.iter().enumerate().all(|(index, &node)| index == node);
        if !in_place {
            let rows: Vec<i64> = path.iter().map(|&node| (base + node) as i64).collect();
            let rows = Tensor::from_slice(&rows).to_device(self.device);
            for (keys, values) in &self.layers {
                for tensor in [keys, values] {
                    let kept = tensor.index_select(1, &rows);
                    tensor.narrow(1, base as i64, path.len() as i64).copy_(&kept);
                }
            }
        }
        self.length = base + path.len();
    }
}
