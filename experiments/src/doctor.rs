//! A diagnosis of the installation: what is linked, which devices compute, where caches are. Loud
//! where a GPU is present that libtorch cannot use.

use std::fmt::Write;
use std::path::Path;

use draft::device::{CudaLibrary, driver_present, libtorch_folder, load_cuda_library};
use serde::Serialize;
use tch::{Cuda, Device, Kind, Tensor};

use crate::hub::Hub;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// Version of this program.
    pub version: String,
    /// Version of libtorch, as its own folder says.
    pub torch: String,
    /// The folder that libtorch was loaded from.
    pub libtorch: Option<String>,
    /// OpenMP runtimes in this process; more than one slows both down.
    pub openmp: Vec<String>,
    /// Threads that libtorch uses.
    pub threads: i32,
    /// Vector instructions that can be dispatched to.
    pub cpu_features: Vec<String>,
    /// Whether an NVIDIA driver is present.
    pub nvidia_driver: bool,
    /// What came of loading libtorch's CUDA half.
    pub cuda_library: String,
    /// Every device and what it can do.
    pub devices: Vec<DeviceState>,
    /// The Hub's cache.
    pub hub_cache: String,
    /// The Hub's address.
    pub hub_endpoint: String,
    /// Whether `HF_HUB_OFFLINE` is set.
    pub hub_offline: bool,
    /// What is wrong, worst first.
    pub problems: Vec<String>,
}

/// A device.
#[derive(Debug, Serialize)]
pub struct DeviceState {
    /// `cpu` or `cuda:N`.
    pub name: String,
    /// Whether a matrix product in 32-bit floats is right.
    pub fp32: bool,
    /// Whether one in bfloat16 is.
    pub bf16: bool,
}

/// The version in libtorch's `version.py`, or that which this program was built for.
pub fn torch_version() -> String {
    let built_for = "2.11.0".to_owned();
    let Some(folder) = libtorch_folder() else { return built_for };
    let file = folder.parent().map(|torch| torch.join("version.py"));
    file.and_then(|file| std::fs::read_to_string(file).ok())
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("__version__"))?;
            line.split('\'').nth(1).map(str::to_owned)
        })
        .unwrap_or(built_for)
}

impl Diagnosis {
    /// Looks.
    pub fn make() -> Self {
        let devices_before = tch::get_num_threads();
        let library = load_cuda_library();
        let mut devices = vec![probe("cpu".to_owned(), Device::Cpu)];
        let count = if Cuda::is_available() { Cuda::device_count() } else { 0 };
        devices.extend((0..count as usize).map(|i| probe(format!("cuda:{i}"), Device::Cuda(i))));
        let hub = Hub::from_env();
        let mut diagnosis = Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            torch: torch_version(),
            libtorch: libtorch_folder().map(|folder| folder.display().to_string()),
            openmp: loaded("libgomp"),
            threads: devices_before,
            cpu_features: cpu_features(),
            nvidia_driver: driver_present(),
            cuda_library: match &library {
                CudaLibrary::NotNeeded => "not loaded: no driver".to_owned(),
                CudaLibrary::Loaded(path) => format!("loaded from {}", path.display()),
                CudaLibrary::Failed(reason) => format!("FAILED: {reason}"),
            },
            devices,
            hub_cache: hub.cache().display().to_string(),
            hub_endpoint: hub.endpoint().to_owned(),
            hub_offline: hub.is_offline(),
            problems: Vec::new(),
        };
        diagnosis.problems = diagnosis.find_problems(&library, count);
        diagnosis
    }

    fn find_problems(&self, library: &CudaLibrary, cuda_devices: i64) -> Vec<String> {
        let mut problems = Vec::new();
        if self.nvidia_driver && cuda_devices == 0 {
            let cause = match library {
                CudaLibrary::Failed(reason) => format!("libtorch_cuda.so did not load ({reason})"),
                _ => "libtorch sees no device".to_owned(),
            };
            problems.push(format!(
                "A GPU DRIVER IS PRESENT, BUT LIBTORCH CANNOT USE IT: {cause}; everything would run \
                 on the CPU. Run ./spec again with SPEC_TORCH=cuda to install the CUDA libraries"
            ));
        }
        for device in &self.devices {
            for (works, kind) in [(device.fp32, "fp32"), (device.bf16, "bf16")] {
                if !works {
                    problems.push(format!("{} gives a wrong {kind} matrix product", device.name));
                }
            }
        }
        if self.openmp.len() > 1 {
            problems.push(format!("{} OpenMP runtimes are loaded", self.openmp.len()));
        }
        problems
    }

    /// The diagnosis for a terminal.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:<14}{value}");
        };
        line("spec", &self.version);
        line("torch", &self.torch);
        line("libtorch", self.libtorch.as_deref().unwrap_or("not found in this process"));
        line("openmp", &self.openmp.join(", "));
        line("threads", &self.threads.to_string());
        line("cpu", &self.cpu_features.join(" "));
        line("nvidia driver", if self.nvidia_driver { "present" } else { "none" });
        line("torch_cuda", &self.cuda_library);
        for device in &self.devices {
            let state = |works| if works { "works" } else { "WRONG" };
            line(
                &device.name,
                &format!("fp32 {}, bf16 {}", state(device.fp32), state(device.bf16)),
            );
        }
        line("hub cache", &self.hub_cache);
        let offline = if self.hub_offline { ", offline" } else { "" };
        line("hub", &format!("{}{offline}", self.hub_endpoint));
        line("problems", if self.problems.is_empty() { "none" } else { "see above" });
        text
    }
}

/// Multiplies small matrices whose product is known.
fn probe(name: String, device: Device) -> DeviceState {
    let works = |kind: Kind| {
        let product = (|| {
            let ones = Tensor::f_ones([16, 16], (kind, device))?;
            ones.f_matmul(&ones)?.f_sum(Kind::Float)?.f_to_device(Device::Cpu)?.f_double_value(&[])
        })();
        product.is_ok_and(|sum| (sum - 4096.0).abs() < 1e-3)
    };
    DeviceState { name, fp32: works(Kind::Float), bf16: works(Kind::BFloat16) }
}

/// Files of this process whose name begins with `name`.
fn loaded(name: &str) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut files: Vec<String> = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .filter(|path| {
            Path::new(path).file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
        })
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    files
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<String> {
    let known = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    known.into_iter().filter(|(_, present)| *present).map(|(name, _)| name.to_owned()).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<String> {
    vec![std::env::consts::ARCH.to_owned()]
}
