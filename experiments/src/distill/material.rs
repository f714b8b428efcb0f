//! Lessons as what a training run learns from. Knows no file.

use anyhow::Result;
use draft::train::{Goal, Laws, Lesson, Trainer};
use tch::Tensor;

use super::lessons::{Batch, Lessons};
use super::prepare::Prepared;
use super::settings::Distillation;
use crate::train::material::{Material, Measured};
use crate::train::recipe::Evaluation;

/// Lessons of a target.
pub struct Teaching<'a> {
    prepared: &'a Prepared,
    settings: &'a Distillation,
}

impl<'a> Teaching<'a> {
    /// Of these lessons.
    pub fn new(prepared: &'a Prepared, settings: &'a Distillation) -> Self {
        Self { prepared, settings }
    }

    fn lesson(&self, batch: Batch) -> Lesson<'_> {
        let goal = match self.settings.objective.divergence() {
            None => Goal::Ids(batch.next),
            Some(divergence) => Goal::Laws(Laws {
                shared: &self.prepared.shared,
                top: batch.top,
                logs: batch.logs,
                mass: batch.mass,
                divergence,
                temperature: self.settings.temperature,
            }),
        };
        Lesson { ids: batch.ids, places: batch.places, goal }
    }

    fn bits(&self, lessons: &Lessons, loss: f64) -> Option<f64> {
        let counts = lessons.counts;
        let is_text = self.settings.objective.divergence().is_none() && counts.bytes > 0;
        is_text.then(|| loss / std::f64::consts::LN_2 * counts.places as f64 / counts.bytes as f64)
    }
}

impl Material for Teaching<'_> {
    fn sequences(&self) -> usize {
        self.prepared.train.len()
    }

    fn tokens(&self, sequences: &[usize]) -> u64 {
        sequences.iter().map(|&example| self.prepared.train.ids_of(example) as u64).sum()
    }

    fn learn(&self, trainer: &mut Trainer, sequences: &[usize], share: f64) -> Result<Tensor> {
        let lesson = self.lesson(self.prepared.train.batch(sequences)?);
        Ok(trainer.study(&lesson, share)?.loss)
    }

    fn evaluate(&self, trainer: &Trainer, settings: Evaluation) -> Result<Option<Measured>> {
        let lessons = &self.prepared.evaluation;
        let all: Vec<usize> = (0..lessons.len().min(settings.max_blocks)).collect();
        let (mut loss, mut accepted, mut places, mut has_laws) = (0.0, 0.0, 0, false);
        for examples in all.chunks(settings.sequences) {
            let batch = lessons.batch(examples)?;
            let count = batch.places.numel();
            let learnt = trainer.examine(&self.lesson(batch))?;
            loss += learnt.loss.f_double_value(&[])? * count as f64;
            if let Some(acceptance) = learnt.acceptance {
                accepted += acceptance.f_double_value(&[])? * count as f64;
                has_laws = true;
            }
            places += count;
        }
        let mean = |sum: f64| sum / places as f64;
        Ok((places > 0).then(|| Measured {
            loss: mean(loss),
            tokens: places as u64,
            bits_per_byte: self.bits(lessons, mean(loss)),
            acceptance: has_laws.then(|| mean(accepted)),
        }))
    }

    fn bits_per_byte(&self, loss: f64) -> Option<f64> {
        self.bits(&self.prepared.train, loss)
    }
}
