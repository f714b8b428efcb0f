//! A CUDA driver that runs the kernels of `draft` on the CPU: their source and the small header
//! `on_cpu/on_cpu.h`, compiled by g++ for one model's sizes. Says that a test is skipped where there is
//! no g++.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;

use draft::config::ModelConfig;
use draft::cuda::{Builder, Engine, Gpu, Program, Sizes, Tuning};
use tempfile::TempDir;

/// A driver for one model.
pub struct OnCpu {
    folder: Arc<TempDir>,
    model: PathBuf,
    tuning: Tuning,
}

/// Multiprocessors of the GPU that is played, and bytes of shared memory of each.
#[derive(Clone, Copy, Debug)]
pub struct Played {
    pub blocks: u32,
    pub shared_bytes: u32,
}

impl OnCpu {
    /// Compiles the kernels for the model in a folder; `None` where there is no compiler.
    pub fn build(model: &Path, tuning: Tuning, played: Played) -> Option<Self> {
        if Command::new("g++").arg("--version").output().is_err() {
            eprintln!("skipped: no g++ to compile the kernels for the CPU");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/on_cpu");
        std::fs::write(folder.path().join("kernels.cu"), Program::sources()).unwrap();
        let sizes = Sizes::new(&ModelConfig::read(model).unwrap().shape).unwrap();
        let mut command = Command::new("g++");
        command
            .args(["-std=c++17", "-O2", "-fPIC", "-shared", "-ffp-contract=off"])
            // Several copies are loaded at once, each with variables of its own.
            .args(["-fno-gnu-unique", "-Wl,-Bsymbolic"])
            .args(["-Wall", "-Werror", "-Wno-unknown-pragmas"])
            // A GPU faults where an address is not aligned; so does this.
            .args(["-fsanitize=alignment,shift,bounds", "-fsanitize-undefined-trap-on-error"])
            .args(sizes.definitions(tuning))
            .arg(format!("-DBLOCKS={}", played.blocks))
            .arg(format!("-DSHARED_BYTES={}", played.shared_bytes))
            .arg("-I")
            .arg(folder.path())
            .arg("-I")
            .arg(&source)
            .arg(source.join("driver.cpp"))
            .arg("-o")
            .arg(folder.path().join("driver.so"));
        if let Some(header) = header() {
            command.arg(format!("-DCUDA_H=\"{}\"", header.display()));
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(Self { folder: Arc::new(folder), model: model.to_owned(), tuning })
    }

    /// The same for another model of the same sizes.
    #[must_use]
    pub fn of_model(&self, model: &Path) -> Self {
        Self { folder: Arc::clone(&self.folder), model: model.to_owned(), tuning: self.tuning }
    }

    /// A device of its own: the library is a copy, so that tests beside this one have other ones.
    pub fn gpu(&self) -> Rc<Gpu> {
        let copy = tempfile::Builder::new().suffix(".so").tempfile_in(self.folder.path()).unwrap();
        let (_, path) = copy.keep().unwrap();
        std::fs::copy(self.folder.path().join("driver.so"), &path).unwrap();
        Gpu::open(&path, 0).unwrap()
    }

    /// The model on a device.
    pub fn engine_on(&self, gpu: &Rc<Gpu>, prefixes: usize) -> Engine {
        Engine::load(gpu, &self.model, Builder::BuiltIn, self.tuning, prefixes).unwrap()
    }

    /// The model on a device of its own.
    pub fn engine(&self, prefixes: usize) -> Engine {
        self.engine_on(&self.gpu(), prefixes)
    }
}

/// The vendor's `cuda.h`, where libtorch's wheels brought it.
fn header() -> Option<PathBuf> {
    let path = folder_of_wheels()?.join("include/cuda.h");
    path.exists().then_some(path)
}

/// The folder of the CUDA wheels beside libtorch.
pub fn folder_of_wheels() -> Option<PathBuf> {
    let libraries = draft::device::libtorch_folder()?.canonicalize().ok()?;
    Some(libraries.parent()?.parent()?.join("nvidia/cu13"))
}
