//! The CUDA driver's interface, loaded at run time as a table of functions, so that nothing of CUDA
//! has to be there when this is built. Knows types and names only; [`super::gpu`] calls them. The
//! tests compare the signatures with the vendor's header, where it is there, and run them on a CPU.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::Path;

use libloading::Library;

use super::CudaError;

/// What the driver hands out: contexts, modules, functions, streams, graphs.
pub(super) type Handle = *mut c_void;

/// An address on the device.
pub(super) type Address = u64;

/// A call's outcome; 0 is success.
pub(super) type Status = c_int;

/// `CUlaunchAttribute`, with the two attributes that occur.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct LaunchAttribute {
    id: c_uint,
    padding: c_uint,
    value: [c_uint; 16],
}

impl LaunchAttribute {
    /// All blocks run at the same time.
    pub(super) fn cooperative() -> Self {
        Self::new(2, [1, 0, 0])
    }

    /// So many blocks are a cluster.
    pub(super) fn cluster(blocks: u32) -> Self {
        Self::new(4, [blocks, 1, 1])
    }

    fn new(id: c_uint, first: [c_uint; 3]) -> Self {
        let mut value = [0; 16];
        value[..3].copy_from_slice(&first);
        Self { id, padding: 0, value }
    }
}

/// `CUlaunchConfig`.
#[repr(C)]
pub(super) struct LaunchConfig {
    pub(super) grid: [c_uint; 3],
    pub(super) block: [c_uint; 3],
    pub(super) shared_bytes: c_uint,
    pub(super) stream: Handle,
    pub(super) attributes: *const LaunchAttribute,
    pub(super) attribute_count: c_uint,
}

/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`.
pub(super) const MOST_SHARED: c_int = 8;
/// `CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED`.
pub(super) const WIDE_CLUSTERS: c_int = 14;
/// `CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT`.
pub(super) const MULTIPROCESSORS: c_int = 16;
/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `…_MINOR`.
pub(super) const CAPABILITY: [c_int; 2] = [75, 76];
/// `CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN`.
pub(super) const SHARED_MEMORY: c_int = 97;
/// `CU_STREAM_NON_BLOCKING`.
pub(super) const NON_BLOCKING: c_uint = 1;
/// `CU_STREAM_CAPTURE_MODE_THREAD_LOCAL`.
pub(super) const CAPTURE_OWN_THREAD: c_int = 1;

/// Declares the table and how it is read from a library.
macro_rules! table {
    ($($field:ident: $symbol:literal ( $($argument:ty),* );)*) => {
        /// The functions.
        pub(super) struct Api {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) -> Status,)*
            /// Kept, for the functions are its own.
            _library: Library,
        }

        impl Api {
            /// Opens a driver library.
            #[expect(unsafe_code, reason = "loading a C library and its symbols")]
            pub(super) fn open(path: &Path) -> Result<Self, CudaError> {
                let failed = |error: libloading::Error| CudaError::Driver(error.to_string());
                // SAFETY: the library is the CUDA driver; its initialisers only prepare itself, and
                // the types are those of cuda.h.
                unsafe {
                    let library = Library::new(path).map_err(failed)?;
                    Ok(Self {
                        $($field: *library.get($symbol).map_err(failed)?,)*
                        _library: library,
                    })
                }
            }
        }
    };
}

table! {
    init: b"cuInit"(c_uint);
    device: b"cuDeviceGet"(*mut c_int, c_int);
    device_attribute: b"cuDeviceGetAttribute"(*mut c_int, c_int, c_int);
    retain_context: b"cuDevicePrimaryCtxRetain"(*mut Handle, c_int);
    set_context: b"cuCtxSetCurrent"(Handle);
    load_module: b"cuModuleLoadData"(*mut Handle, *const c_void);
    function: b"cuModuleGetFunction"(*mut Handle, Handle, *const c_char);
    set_function: b"cuFuncSetAttribute"(Handle, c_int, c_int);
    most_clusters: b"cuOccupancyMaxActiveClusters"(*mut c_int, Handle, *const LaunchConfig);
    allocate: b"cuMemAlloc_v2"(*mut Address, usize);
    free: b"cuMemFree_v2"(Address);
    allocate_host: b"cuMemAllocHost_v2"(*mut *mut c_void, usize);
    free_host: b"cuMemFreeHost"(*mut c_void);
    upload: b"cuMemcpyHtoDAsync_v2"(Address, *const c_void, usize, Handle);
    download: b"cuMemcpyDtoHAsync_v2"(*mut c_void, Address, usize, Handle);
    copy: b"cuMemcpyDtoDAsync_v2"(Address, Address, usize, Handle);
    fill: b"cuMemsetD32Async"(Address, c_uint, usize, Handle);
    stream: b"cuStreamCreate"(*mut Handle, c_uint);
    wait: b"cuStreamSynchronize"(Handle);
    begin_capture: b"cuStreamBeginCapture_v2"(Handle, c_int);
    end_capture: b"cuStreamEndCapture"(Handle, *mut Handle);
    instantiate: b"cuGraphInstantiateWithFlags"(*mut Handle, Handle, u64);
    launch_graph: b"cuGraphLaunch"(Handle, Handle);
    free_executable: b"cuGraphExecDestroy"(Handle);
    free_graph: b"cuGraphDestroy"(Handle);
    launch: b"cuLaunchKernelEx"(*const LaunchConfig, Handle, *mut *mut c_void, *mut *mut c_void);
    error_text: b"cuGetErrorString"(c_int, *mut *const c_char);
}

impl Api {
    /// What a status that is no success means.
    #[expect(unsafe_code, reason = "a call of the CUDA driver")]
    pub(super) fn checked(&self, status: Status, what: &'static str) -> Result<(), CudaError> {
        if status == 0 {
            return Ok(());
        }
        let mut text: *const c_char = std::ptr::null();
        // SAFETY: the driver sets the pointer to a text of its own, or leaves it.
        let text = unsafe {
            (self.error_text)(status, &raw mut text);
            if text.is_null() { c"unknown error" } else { CStr::from_ptr(text) }
        };
        let reason = text.to_string_lossy().into_owned();
        Err(CudaError::Call { what, status, reason })
    }
}
