//! Training runs: recipes, the run and its folder, what it writes down. The maths is `draft`'s.

pub mod built_in;
pub mod curves;
pub mod folder;
pub mod interrupt;
pub mod material;
pub mod metrics;
pub mod recipe;
pub mod run;
