//! Where a model computes and in which precision. Loads libtorch's CUDA half at run time, so that
//! one binary serves machines with and without a GPU. Knows no model.

use std::path::{Path, PathBuf};

use tch::{Cuda, Device, Kind};

use crate::cuda::Loop;
use crate::error::ModelError;

/// What runs a model's passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// The fastest that can run the model.
    #[default]
    Auto,
    /// libtorch, operator by operator.
    Libtorch,
    /// This project's own engine for the CPU ([`crate::engine`]).
    Native,
    /// This project's own kernels for a GPU ([`crate::cuda`]), with this loop for drafts.
    Kernels(Loop),
}

/// The device and element type of a model's arithmetic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compute {
    /// Where tensors live.
    pub device: Device,
    /// Element type of weights, and in libtorch of activations; `Int8` is 8-bit weights with a scale for
    /// each row.
    pub kind: Kind,
    /// What runs passes.
    pub engine: Engine,
}

impl Compute {
    /// 32-bit floats on the CPU.
    pub const CPU: Self = Self { device: Device::Cpu, kind: Kind::Float, engine: Engine::Auto };

    /// Reads `cpu`, `cuda` or `cuda:N`, and `fp32`, `bf16`, `fp16` or `int8` (by default fp32 on the CPU
    /// and bf16 on CUDA). A device that is asked for and cannot be used is an error, never a fall-back.
    pub fn parse(device: &str, dtype: Option<&str>) -> Result<Self, ModelError> {
        let device = match device {
            "cpu" => Device::Cpu,
            "cuda" => cuda(0)?,
            other => match other.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(index)) => cuda(index)?,
                _ => {
                    return Err(ModelError::Device(format!(
                        "unknown device `{other}`; devices are cpu, cuda, cuda:N"
                    )));
                }
            },
        };
        let kind = match dtype {
            None if device.is_cuda() => Kind::BFloat16,
            None | Some("fp32") => Kind::Float,
            Some("bf16") => Kind::BFloat16,
            Some("fp16") => Kind::Half,
            Some("int8") if device == Device::Cpu => Kind::Int8,
            Some("int8") => {
                let reason = "int8 runs on the CPU alone; use --dtype bf16 on a GPU";
                return Err(ModelError::Device(reason.to_owned()));
            }
            Some(other) => {
                return Err(ModelError::Device(format!(
                    "unknown dtype `{other}`; dtypes are fp32, bf16, fp16, int8"
                )));
            }
        };
        Ok(Self { device, kind, engine: Engine::Auto })
    }

    /// The same with another engine.
    #[must_use]
    pub fn with_engine(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }

    /// What was asked to run passes: `auto`, `libtorch`, `native`, or the kernels' loop.
    pub fn engine_name(self) -> &'static str {
        match self.engine {
            Engine::Auto => "auto",
            Engine::Libtorch => "libtorch",
            Engine::Native => "native",
            Engine::Kernels(how) => how.name(),
        }
    }

    /// `cpu` or `cuda:N`.
    pub fn device_name(self) -> String {
        match self.device {
            Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".to_owned(),
        }
    }

    /// `fp32`, `bf16`, `fp16` or `int8`.
    pub fn dtype_name(self) -> &'static str {
        match self.kind {
            Kind::BFloat16 => "bf16",
            Kind::Half => "fp16",
            Kind::Int8 => "int8",
            _ => "fp32",
        }
    }
}

fn cuda(index: usize) -> Result<Device, ModelError> {
    let count = Cuda::device_count();
    if Cuda::is_available() && (index as i64) < count {
        return Ok(Device::Cuda(index));
    }
    let reason = if Cuda::is_available() {
        format!("there are {count} CUDA devices, cuda:{index} is not one of them")
    } else if !driver_present() {
        "CUDA was asked for, but this machine has no NVIDIA driver; use --device cpu".to_owned()
    } else {
        "CUDA was asked for and a driver is present, but libtorch cannot use it; `spec doctor` \
         says why"
            .to_owned()
    };
    Err(ModelError::Device(reason))
}

/// Whether this machine has an NVIDIA driver.
pub fn driver_present() -> bool {
    Path::new("/proc/driver/nvidia/version").exists() || Path::new("/dev/nvidiactl").exists()
}

/// What came of loading libtorch's CUDA half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CudaLibrary {
    /// No driver, so it was not tried.
    NotNeeded,
    /// Loaded from this file.
    Loaded(PathBuf),
    /// It could not be loaded.
    Failed(String),
}

/// Loads `libtorch_cuda.so` from libtorch's own folder where a driver is present. The linker drops
/// the library because no symbol of it is used directly, and without it libtorch is silently a CPU
/// library. To be called once, at the start of `main`.
pub fn load_cuda_library() -> CudaLibrary {
    if !driver_present() {
        return CudaLibrary::NotNeeded;
    }
    let path = libtorch_folder().map_or_else(
        || PathBuf::from("libtorch_cuda.so"),
        |folder| folder.join("libtorch_cuda.so"),
    );
    match open_globally(&path) {
        Ok(()) => CudaLibrary::Loaded(path),
        Err(reason) => CudaLibrary::Failed(reason),
    }
}

/// The folder that this process loaded libtorch from.
pub fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.ends_with("/libtorch_cpu.so"))?;
    Path::new(path).parent().map(Path::to_path_buf)
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "loading a library runs its initialisers")]
fn open_globally(path: &Path) -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the file is libtorch's own CUDA half, from the folder of the libtorch that is already
    // loaded; its initialisers register operators and nothing else.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    library.map(std::mem::forget).map_err(|error| error.to_string())
}

#[cfg(not(unix))]
fn open_globally(_path: &Path) -> Result<(), String> {
    Err("CUDA is supported on Linux only".to_owned())
}
