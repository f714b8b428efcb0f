//! CUDA C++ to machine code at run time, by NVRTC: the library of the CUDA wheels, without nvcc and
//! without headers. Knows no model.

#![expect(unsafe_code, reason = "calls of NVRTC")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

use libloading::Library;

use super::CudaError;
use crate::device::libtorch_folder;

type Program = *mut c_void;
type Text = *const c_char;

/// NVRTC.
pub struct Compiler {
    library: Library,
    /// Which the library finds by its name, once it is loaded.
    _builtins: Option<Library>,
}

/// What came of a compilation.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Machine code: an ELF file.
    pub image: Vec<u8>,
    /// What the compiler said; with `--ptxas-options=-v`, each kernel's registers.
    pub log: String,
}

impl Compiler {
    /// Opens NVRTC where it is found first: in the folder that `SPEC_NVRTC` names, beside the CUDA
    /// wheels of this process's libtorch, in the system.
    pub fn find() -> Result<Self, CudaError> {
        let named = std::env::var_os("SPEC_NVRTC").map(PathBuf::from);
        let folder = named.or_else(|| {
            let libraries = libtorch_folder()?.canonicalize().ok()?;
            let wheels = libraries.parent()?.parent()?.join("nvidia/cu13/lib");
            library_in(&wheels, "libnvrtc.so.").map(|_| wheels)
        });
        Self::open(folder.as_deref())
    }

    /// Opens the library `libnvrtc.so.13` (or another version) of a folder, or of the system where
    /// none is given.
    pub fn open(folder: Option<&Path>) -> Result<Self, CudaError> {
        let found = folder.and_then(|folder| library_in(folder, "libnvrtc.so."));
        let builtins = folder.and_then(|folder| library_in(folder, "libnvrtc-builtins.so."));
        let path = found.unwrap_or_else(|| PathBuf::from("libnvrtc.so.13"));
        let open = |path: &Path| {
            // SAFETY: the library is NVRTC; its initialisers only prepare itself.
            unsafe { Library::new(path) }.map_err(|error| CudaError::Compiler(error.to_string()))
        };
        let builtins = builtins.map(|path| open(&path)).transpose()?;
        Ok(Self { library: open(&path)?, _builtins: builtins })
    }

    /// Compiles a source with the options given.
    pub fn compile(&self, source: &str, options: &[String]) -> Result<Compiled, CudaError> {
        let source = text(source)?;
        let options = options.iter().map(|option| text(option)).collect::<Result<Vec<_>, _>>()?;
        let pointers: Vec<Text> = options.iter().map(|option| option.as_ptr()).collect();
        let mut program: Program = std::ptr::null_mut();
        // SAFETY: the types are those of nvrtc.h; all texts end with a zero and outlive the calls;
        // what is asked for is as long as the library said.
        unsafe {
            type Create = unsafe extern "C" fn(
                *mut Program,
                Text,
                Text,
                c_int,
                *const Text,
                *const Text,
            ) -> c_int;
            type Compile = unsafe extern "C" fn(Program, c_int, *const Text) -> c_int;
            type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;
            let none: *const Text = std::ptr::null();
            let create = self.symbol::<Create>(b"nvrtcCreateProgram")?;
            let made =
                create(&raw mut program, source.as_ptr(), c"kernels.cu".as_ptr(), 0, none, none);
            if made != 0 {
                return Err(CudaError::Compiler(format!("nvrtcCreateProgram: status {made}")));
            }
            let compile = self.symbol::<Compile>(b"nvrtcCompileProgram")?;
            let status = compile(program, pointers.len() as c_int, pointers.as_ptr());
            let log = self.bytes(program, (b"nvrtcGetProgramLogSize", b"nvrtcGetProgramLog"));
            let image = match status {
                0 => self.bytes(program, (b"nvrtcGetCUBINSize", b"nvrtcGetCUBIN")),
                _ => Ok(Vec::new()),
            };
            self.symbol::<Destroy>(b"nvrtcDestroyProgram")?(&raw mut program);
            let log = String::from_utf8_lossy(&log?).trim_end_matches('\0').to_owned();
            if status != 0 {
                return Err(CudaError::Compiler(log));
            }
            Ok(Compiled { image: image?, log })
        }
    }

    /// What a pair of functions gives: its length first.
    ///
    /// # Safety
    /// The names must be those of such functions.
    unsafe fn bytes(
        &self,
        program: Program,
        (length, content): (&[u8], &[u8]),
    ) -> Result<Vec<u8>, CudaError> {
        type Length = unsafe extern "C" fn(Program, *mut usize) -> c_int;
        type Content = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
        let mut bytes = 0;
        // SAFETY: the caller's names; the vector is as long as the library said.
        unsafe {
            let status = self.symbol::<Length>(length)?(program, &raw mut bytes);
            let mut found = vec![0u8; bytes];
            let read = self.symbol::<Content>(content)?(program, found.as_mut_ptr().cast());
            if status != 0 || read != 0 {
                return Err(CudaError::Compiler(format!("statuses {status} and {read}")));
            }
            Ok(found)
        }
    }

    /// # Safety
    /// The type must be that of the function.
    unsafe fn symbol<F: Copy>(&self, name: &[u8]) -> Result<F, CudaError> {
        // SAFETY: the caller's type; the library lives as long as `self`.
        let found = unsafe { self.library.get::<F>(name) };
        found.map(|symbol| *symbol).map_err(|error| CudaError::Compiler(error.to_string()))
    }
}

/// The first library of a folder whose name begins so.
fn library_in(folder: &Path, begin: &str) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.is_some_and(|name| name.starts_with(begin))
        })
        .collect();
    found.sort();
    found.into_iter().next()
}

fn text(from: &str) -> Result<CString, CudaError> {
    CString::new(from).map_err(|error| CudaError::Compiler(error.to_string()))
}
