//! Lessons on disk: examples with the target's laws at their places, made once and memory-mapped. A
//! folder of lessons is whole: it was made under another name and renamed. Knows no model.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use draft::train::{Tokens, Width};
use half::f16;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::examples::Example;

/// What is known of lessons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Examples.
    pub examples: u64,
    /// Places at which something is learnt.
    pub places: u64,
    /// Ids.
    pub ids: u64,
    /// Bytes of text that is learnt; of laws none are counted.
    pub bytes: u64,
    /// Tokens kept for each place; 0 where there are no laws.
    pub top_k: usize,
}

/// The laws of one example's places.
#[derive(Clone, Copy, Debug)]
pub struct LawRows<'a> {
    /// Indices among the shared tokens, `k` for each place.
    pub top: &'a [u32],
    /// Logarithms of probabilities, likewise.
    pub logs: &'a [f32],
    /// Logarithms of the mass of all shared tokens, one for each place.
    pub mass: &'a [f32],
}

/// Lessons on their way to the disk.
pub struct Writer {
    folder: PathBuf,
    files: Vec<BufWriter<File>>,
    counts: Counts,
}

const FILES: [&str; 6] =
    ["examples.bin", "ids.bin", "places.bin", "top.bin", "logs.bin", "mass.bin"];

impl Writer {
    /// Makes the files in a folder that is there.
    pub fn create(folder: &Path, top_k: usize) -> Result<Self> {
        let create = |name: &str| {
            let path = folder.join(name);
            let file = File::create(&path);
            file.map(BufWriter::new).with_context(|| format!("cannot write {}", path.display()))
        };
        let files = FILES.into_iter().map(create).collect::<Result<Vec<_>>>()?;
        Ok(Self { folder: folder.into(), files, counts: Counts { top_k, ..Counts::default() } })
    }

    /// Appends an example that learns `bytes` bytes of text, with the laws of its places where there
    /// are any.
    pub fn add(&mut self, example: &Example, bytes: u64, laws: Option<LawRows<'_>>) -> Result<()> {
        let words = |values: &[u32]| -> Vec<u8> {
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
        let halves = |values: &[f32]| -> Vec<u8> {
            values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect()
        };
        let places: Vec<u32> = example.places.iter().map(|&place| place as u32).collect();
        let sizes = [example.ids.len() as u32, places.len() as u32];
        let parts = [
            words(&sizes),
            words(&example.ids),
            words(&places),
            laws.map(|laws| words(laws.top)).unwrap_or_default(),
            laws.map(|laws| halves(laws.logs)).unwrap_or_default(),
            laws.map(|laws| halves(laws.mass)).unwrap_or_default(),
        ];
        for (file, part) in self.files.iter_mut().zip(parts) {
            let folder = &self.folder;
            file.write_all(&part)
                .with_context(|| format!("cannot write into {}", folder.display()))?;
        }
        self.counts.examples += 1;
        self.counts.places += places.len() as u64;
        self.counts.ids += example.ids.len() as u64;
        self.counts.bytes += bytes;
        Ok(())
    }

    /// Brings everything to the disk.
    pub fn finish(self) -> Result<Counts> {
        let cannot = || format!("cannot write into {}", self.folder.display());
        for mut file in self.files {
            file.flush().with_context(cannot)?;
            file.get_ref().sync_all().with_context(cannot)?;
        }
        let counts = serde_json::to_vec(&self.counts)?;
        std::fs::write(self.folder.join("counts.json"), counts).with_context(cannot)?;
        Ok(self.counts)
    }
}

/// Lessons on disk.
pub struct Lessons {
    /// What is known of them.
    pub counts: Counts,
    /// The first id and the first place of each example, and the ends of the last.
    starts: Vec<(usize, usize)>,
    ids: Tokens,
    places: Tokens,
    top: Tokens,
    logs: Tokens,
    mass: Tokens,
}

/// Several lessons as tensors on the CPU.
#[derive(Debug)]
pub struct Batch {
    /// Ids `[batch, length]`, filled up with 0.
    pub ids: Tensor,
    /// Places as indices into the flattened ids.
    pub places: Tensor,
    /// The ids that stand behind the places; behind the last id of an example stands 0.
    pub next: Tensor,
    /// Indices among the shared tokens `[places, k]`.
    pub top: Tensor,
    /// Logarithms of probabilities `[places, k]`.
    pub logs: Tensor,
    /// Logarithms of the mass of all shared tokens `[places]`.
    pub mass: Tensor,
}

impl Lessons {
    /// Maps a folder of lessons.
    pub fn open(folder: &Path) -> Result<Self> {
        let damaged = || format!("{} is damaged; delete it", folder.display());
        let counts: Counts = serde_json::from_slice(
            &std::fs::read(folder.join("counts.json")).with_context(damaged)?,
        )
        .with_context(damaged)?;
        let open = |name: &str, width| Tokens::open(&folder.join(name), width);
        let sizes = open(FILES[0], Width::Four)?;
        let (mut starts, mut at) = (vec![(0, 0)], (0, 0));
        let sizes: Vec<u32> = sizes.range(0, sizes.len()).collect();
        for pair in sizes.chunks_exact(2) {
            at = (at.0 + pair[0] as usize, at.1 + pair[1] as usize);
            starts.push(at);
        }
        let lessons = Self {
            counts,
            starts,
            ids: open(FILES[1], Width::Four)?,
            places: open(FILES[2], Width::Four)?,
            top: open(FILES[3], Width::Four)?,
            logs: open(FILES[4], Width::Two)?,
            mass: open(FILES[5], Width::Two)?,
        };
        let whole = lessons.ids.len() == at.0
            && lessons.places.len() == at.1
            && lessons.top.len() == at.1 * counts.top_k
            && lessons.logs.len() == at.1 * counts.top_k;
        whole.then_some(lessons).with_context(damaged)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ids of an example.
    pub fn ids_of(&self, example: usize) -> usize {
        self.starts[example + 1].0 - self.starts[example].0
    }

    /// Some examples as tensors.
    pub fn batch(&self, examples: &[usize]) -> Result<Batch> {
        let size = |example: usize| self.ids_of(example);
        let length = examples.iter().map(|&example| size(example)).max().unwrap_or(0);
        let k = self.counts.top_k;
        let mut ids = vec![0i64; examples.len() * length];
        let (mut places, mut next) = (Vec::new(), Vec::new());
        let (mut top, mut logs, mut mass) = (Vec::new(), Vec::new(), Vec::new());
        for (row, &example) in examples.iter().enumerate() {
            let ((first, place), (_, last)) = (self.starts[example], self.starts[example + 1]);
            let own = self.ids.range(first, size(example)).map(i64::from);
            ids[row * length..].iter_mut().zip(own).for_each(|(id, own)| *id = own);
            for at in self.places.range(place, last - place) {
                let flat = row * length + at as usize;
                places.push(flat as i64);
                next.push(if (at as usize) + 1 < size(example) { ids[flat + 1] } else { 0 });
            }
            top.extend(self.top.range(place * k, (last - place) * k).map(i64::from));
            logs.extend(self.logs.range(place * k, (last - place) * k).map(half));
            if k > 0 {
                mass.extend(self.mass.range(place, last - place).map(half));
            }
        }
        let shape = [places.len() as i64, k as i64];
        Ok(Batch {
            ids: Tensor::f_from_slice(&ids)?.f_view([examples.len() as i64, length as i64])?,
            places: Tensor::f_from_slice(&places)?,
            next: Tensor::f_from_slice(&next)?,
            top: Tensor::f_from_slice(&top)?.f_view(shape)?,
            logs: Tensor::f_from_slice(&logs)?.f_view(shape)?.f_to_kind(Kind::Float)?,
            mass: Tensor::f_from_slice(&mass)?,
        })
    }
}

/// The number whose 16 bits are an id of two bytes.
fn half(bits: u32) -> f32 {
    f16::from_bits(bits as u16).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let example = |ids: &[u32], places: &[usize]| Example {
            ids: ids.to_vec(),
            places: places.to_vec(),
            ..Example::default()
        };
        let mut writer = Writer::create(folder.path(), 2).unwrap();
        let laws =
            LawRows { top: &[5, 1, 0, 3], logs: &[-0.5, -1.5, -2.0, -3.0], mass: &[-0.25, 0.0] };
        writer.add(&example(&[7, 8, 9], &[0, 2]), 0, Some(laws)).unwrap();
        let laws = LawRows { top: &[4, 6], logs: &[-1.0, -4.0], mass: &[-0.125] };
        writer.add(&example(&[1, 70_000], &[0]), 0, Some(laws)).unwrap();
        writer.finish().unwrap();
        let lessons = Lessons::open(folder.path()).unwrap();
        assert_eq!((lessons.len(), lessons.counts.places), (2, 3));
        let batch = lessons.batch(&[1, 0]).unwrap();
        let list = |tensor: &Tensor| Vec::<i64>::try_from(tensor.flatten(0, -1)).unwrap();
        assert_eq!(list(&batch.ids), [1, 70_000, 0, 7, 8, 9]);
        assert_eq!(list(&batch.places), [0, 3, 5]);
        assert_eq!(list(&batch.next), [70_000, 8, 0]);
        assert_eq!(list(&batch.top), [4, 6, 5, 1, 0, 3]);
        assert_eq!(batch.mass.double_value(&[1]), -0.25);
        assert_eq!(batch.logs.double_value(&[2, 1]), -3.0);
        std::fs::write(folder.path().join("places.bin"), [0; 4]).unwrap();
        assert!(Lessons::open(folder.path()).is_err(), "a damaged folder is not trusted");
    }
}
