//! Distillation: a draft that exists is trained on towards one target. What it learns from is made
//! here, from text and the target; the training run is [`crate::train`]'s, the losses are `draft`'s.

pub mod examples;
pub mod lessons;
pub mod material;
pub mod pieces;
pub mod prepare;
pub mod settings;
pub mod writing;
