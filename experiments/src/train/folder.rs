//! The folder of a training run: the resolved recipe, and checkpoints that are model folders. A
//! checkpoint appears whole or not at all. Knows no tensor.

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail};

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    /// Where it is.
    pub path: PathBuf,
}

const PREFIX: &str = "step-";

/// Beginnings of names of checkpoints that are being made or deleted.
const MAKING: &str = ".making-";
const ASIDE: &str = ".deleting-";

impl RunFolder {
    /// An error where a run is there already.
    pub fn check_free(path: &Path) -> Result<()> {
        let run = Self { path: path.to_path_buf() };
        if run.recipe().exists() {
            bail!(
                "{} holds a run already; go on with it by --resume {0}, or name another folder",
                path.display()
            );
        }
        Ok(())
    }

    /// A new one. It is an error if a run is there already.
    pub fn create(path: &Path) -> Result<Self> {
        Self::check_free(path)?;
        let run = Self { path: path.to_path_buf() };
        std::fs::create_dir_all(run.checkpoints())
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(run)
    }

    /// One that is there.
    pub fn open(path: &Path) -> Result<Self> {
        let run = Self { path: path.to_path_buf() };
        if !run.recipe().exists() {
            bail!("{} is no folder of a run: it lacks recipe.toml", path.display());
        }
        Ok(run)
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> PathBuf {
        self.path.join("recipe.toml")
    }

    /// The file of metrics.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The folder of the checkpoint behind so many steps.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints().join(format!("{PREFIX}{step:07}"))
    }

    /// Steps of the checkpoints that are there, ascending.
    pub fn steps(&self) -> Vec<u64> {
        let entries = std::fs::read_dir(self.checkpoints()).into_iter().flatten().flatten();
        let mut steps: Vec<u64> = entries
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix(PREFIX)?.parse().ok())
            .collect();
        steps.sort_unstable();
        steps
    }

    /// The step of the best checkpoint, where one is marked and there.
    pub fn best(&self) -> Option<u64> {
        let name = std::fs::read_to_string(self.path.join("best")).ok()?;
        let step = name.trim().strip_prefix(PREFIX)?.parse().ok()?;
        self.checkpoint(step).is_dir().then_some(step)
    }

    /// Makes the checkpoint behind so many steps by `write`, which is given a folder of another
    /// name; does nothing where it is there, for the same steps make the same. A failure leaves all
    /// checkpoints as they were.
    pub fn add(&self, step: u64, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let final_path = self.checkpoint(step);
        if final_path.exists() {
            return Ok(());
        }
        let saved = || -> Result<()> {
            let folder = tempfile::Builder::new().prefix(MAKING).tempdir_in(self.checkpoints())?;
            write(folder.path())?;
            std::fs::rename(folder.path(), &final_path)?;
            std::fs::File::open(self.checkpoints())?.sync_all()?;
            Ok(())
        };
        saved().with_context(|| format!("cannot save the checkpoint {}", final_path.display()))
    }

    /// Why the run stops where something could not be written, what is left of it, and what to do.
    pub fn stopped(&self, error: &Error) -> Error {
        let last = self.steps().last().map(|&last| self.checkpoint(last).display().to_string());
        anyhow!(
            "{error:#}; {}; make room, and go on with --resume {}",
            last.map_or("there is no checkpoint yet".to_owned(), |last| {
                format!("the last good checkpoint is {last}")
            }),
            self.path.display()
        )
    }

    /// Deletes all checkpoints but the latest `keep` and that of `best`, and what runs that were killed
    /// left of others.
    pub fn prune(&self, keep: usize, best: Option<u64>) {
        let steps = self.steps();
        for &step in &steps[..steps.len().saturating_sub(keep)] {
            if Some(step) != best {
                // Under another name first, so that a kill leaves no half of it under this one.
                let aside = self.checkpoints().join(format!("{ASIDE}{step}"));
                let _ = std::fs::rename(self.checkpoint(step), aside);
            }
        }
        for entry in std::fs::read_dir(self.checkpoints()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if [MAKING, ASIDE].iter().any(|start| name.to_string_lossy().starts_with(start)) {
                // One that cannot be deleted is only in the way.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Writes a file under another name and renames it.
    pub fn write(&self, path: &Path, text: &str) -> Result<()> {
        let cannot = || format!("cannot write {}", path.display());
        let draft = path.with_extension("new");
        let written = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, path));
        if written.is_err() {
            // Half a file is of no use.
            let _ = std::fs::remove_file(&draft);
        }
        written.with_context(cannot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&folder.path().join("run")).unwrap();
        run.write(&run.recipe(), "x").unwrap();
        assert!(RunFolder::create(&run.path).is_err());
        for step in [10, 20, 30, 40] {
            run.add(step, |path| Ok(std::fs::write(path.join("a"), "a")?)).unwrap();
        }
        let failing = run.add(50, |path| {
            std::fs::write(path.join("a"), "half")?;
            bail!("No space left on device")
        });
        let message = run.stopped(&failing.unwrap_err()).to_string();
        assert!(message.contains("step-0000050: No space left on device; the last"), "{message}");
        assert!(message.contains("step-0000040; make room"), "{message}");
        assert_eq!(run.steps(), [10, 20, 30, 40]);
        run.add(40, |_| bail!("it is there already")).unwrap();
        std::fs::create_dir(run.checkpoints().join(".making-left-over")).unwrap();
        run.prune(2, Some(10));
        assert_eq!(RunFolder::open(&run.path).unwrap().steps(), [10, 30, 40]);
        let left = std::fs::read_dir(run.path.join("checkpoints")).unwrap().count();
        assert_eq!(left, 3, "nothing half-written stays");
    }
}
