//! The optional folder of real tokenizers, weights and texts beside the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use draft::Compute;
use draft::device::load_cuda_library;

/// A path in the folder, or `None` with a line that says that the test skips.
pub fn path(relative: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(relative);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: ../shared/{relative} is not here");
    None
}

/// Whether a test may mount a small file system of its own; where it may not, says that it is skipped.
pub fn can_mount() -> bool {
    let may = Command::new("unshare").args(["-rm", "true"]).output();
    let may = may.is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("skipped: no file system of a size of its own can be mounted here");
    }
    may
}

/// A committed fixture.
pub fn fixture(name: &str) -> serde_json::Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap()
}

/// Where models of tests compute, in 32-bit floats: `SPEC_TEST_DEVICE`, or the CPU.
pub fn compute() -> Compute {
    let device = std::env::var("SPEC_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    load_cuda_library();
    Compute::parse(&device, Some("fp32")).unwrap_or_else(|error| panic!("{error}"))
}

/// Whether the long versions of tests are asked for.
pub fn is_oracle() -> bool {
    std::env::var_os("SPEC_ORACLE").is_some()
}
