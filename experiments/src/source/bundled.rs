//! The models that come with this program: a draft of Stentor2's shape and a target, both trained by
//! the recipes of this project. Knows where their folders are; nothing of what is in them.

use std::path::{Path, PathBuf};

use anyhow::{Error, anyhow};

use crate::registry::{self, Entry};

/// The variable that names another folder of bundled models.
const FOLDER: &str = "SPEC_BUNDLED";

/// The target that comes with this program.
pub const TARGET: &str = "spec-24m";

/// What every output says of a bundled model that stands for a published one.
pub const REPRODUCTION: &str = "bundled reproduction, not the published weights";

/// The folder of a bundled model of that registry name.
pub fn folder(name: &str) -> Option<PathBuf> {
    home().map(|home| home.join(name)).filter(|folder| folder.join("config.json").is_file())
}

/// The registry's entry of a folder that is a bundled model's.
pub fn entry_of(path: &Path) -> Option<&'static Entry> {
    let (home, path) = (home()?, path.canonicalize().ok()?);
    let is_own = |name: &str| home.join(name).canonicalize().is_ok_and(|own| own == path);
    let holds_model = path.join("config.json").is_file();
    registry::models().iter().find(|entry| holds_model && is_own(&entry.name))
}

/// Why there is none.
pub fn absent(name: &str) -> Error {
    let names = home().and_then(|home| std::fs::read_dir(home).ok()).map(|entries| {
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| folder(name).is_some()).collect();
        names.sort();
        names
    });
    match names.filter(|names| !names.is_empty()) {
        Some(names) => anyhow!("{name} is not bundled with this program; {} are", names.join(", ")),
        None => anyhow!(
            "the bundled models are not beside this program; clone the whole project, or name the \
             folder that holds them in {FOLDER}"
        ),
    }
}

/// The folder of all of them: the one that the variable names, that of the checkout that this program
/// was built from, or that of the checkout that it lies in now.
fn home() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER).filter(|folder| !folder.is_empty()) {
        return Some(folder.into());
    }
    let program = std::env::current_exe().ok()?;
    let around = program.ancestors().skip(1).map(|folder| folder.join("experiments/bundled"));
    around.chain([Path::new(env!("CARGO_MANIFEST_DIR")).join("bundled")]).find(|home| home.is_dir())
}
