//! A GPU with one stream: memory, launches, graphs. All of the driver's calls are here, each with its
//! status checked; the rest of the engine is safe code over this. Work is done in the order it was
//! given; [`Gpu::download`] waits for it. Knows no model. Not run on a GPU yet.

#![expect(unsafe_code, reason = "calls of the CUDA driver")]

use std::cell::RefCell;
use std::ffi::{CString, c_int, c_void};
use std::path::Path;
use std::rc::Rc;

use super::CudaError;
use super::api::{
    Address, Api, CAPABILITY, CAPTURE_OWN_THREAD, Handle, LaunchAttribute, LaunchConfig,
    MOST_SHARED, MULTIPROCESSORS, NON_BLOCKING, SHARED_MEMORY, WIDE_CLUSTERS,
};

/// Bytes that are copied to the device at once.
const PIECE: usize = 32 << 20;

/// Bytes of the staging memory, at least.
const LEAST_STAGING: usize = 1 << 20;

/// A device, its context and a stream.
pub struct Gpu {
    api: Api,
    context: Handle,
    stream: Handle,
    /// Compute capability, as in `sm_90`.
    pub capability: (u32, u32),
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Bytes of shared memory that a block can have.
    pub shared_memory: u32,
    /// Page-locked memory that copies to the device begin in.
    staging: RefCell<Staging>,
}

/// Page-locked memory.
struct Staging {
    memory: *mut c_void,
    bytes: usize,
    /// What copies may still be reading.
    used: usize,
}

/// Plain values, all of whose bytes mean something.
///
/// # Safety
/// A type without padding, any bytes of which are a value.
pub(super) unsafe trait Plain: Copy + Default {}

// SAFETY: numbers.
unsafe impl Plain for u8 {}
// SAFETY: numbers.
unsafe impl Plain for u16 {}
// SAFETY: numbers.
unsafe impl Plain for u32 {}
// SAFETY: numbers.
unsafe impl Plain for u64 {}
// SAFETY: numbers.
unsafe impl Plain for f32 {}
// SAFETY: numbers.
unsafe impl Plain for f64 {}

/// The bytes of plain values.
pub(super) fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: the type has no padding, and the slice is as long as the values are.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Memory on the device.
pub(super) struct Buffer {
    gpu: Rc<Gpu>,
    address: Address,
    bytes: usize,
}

impl Buffer {
    /// Where it lies.
    pub(super) fn address(&self) -> Address {
        self.address
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the address is this buffer's own. A driver that fails here has ended already.
        unsafe {
            (self.gpu.api.wait)(self.gpu.stream);
            (self.gpu.api.free)(self.address);
        }
    }
}

/// A kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function(Handle);

/// How the blocks of a launch belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Together {
    /// Not at all.
    Apart,
    /// All run at once and may wait for each other.
    AtOnce,
    /// Clusters of so many.
    Clusters(u32),
}

/// The size of a launch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Launch {
    pub(super) blocks: u32,
    pub(super) threads: u32,
    pub(super) shared_bytes: u32,
    pub(super) together: Together,
}

/// Launches that are made as one.
pub(super) struct Graph {
    gpu: Rc<Gpu>,
    executable: Handle,
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the executable is this graph's own, and the stream no longer runs it.
        unsafe {
            (self.gpu.api.wait)(self.gpu.stream);
            (self.gpu.api.free_executable)(self.executable);
        }
    }
}

impl Gpu {
    /// Opens a device of a driver library, such as `libcuda.so.1`.
    pub fn open(library: &Path, index: usize) -> Result<Rc<Self>, CudaError> {
        let api = Api::open(library)?;
        let (mut device, mut context, mut stream) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        let mut found = [0; 4];
        let asked = [CAPABILITY[0], CAPABILITY[1], MULTIPROCESSORS, SHARED_MEMORY];
        // SAFETY: all pointers are to variables of this function.
        unsafe {
            api.checked((api.init)(0), "cuInit")?;
            api.checked((api.device)(&raw mut device, index as c_int), "cuDeviceGet")?;
            for (value, which) in found.iter_mut().zip(asked) {
                let status = (api.device_attribute)(&raw mut *value, which, device);
                api.checked(status, "cuDeviceGetAttribute")?;
            }
            let status = (api.retain_context)(&raw mut context, device);
            api.checked(status, "cuDevicePrimaryCtxRetain")?;
            api.checked((api.set_context)(context), "cuCtxSetCurrent")?;
            api.checked((api.stream)(&raw mut stream, NON_BLOCKING), "cuStreamCreate")?;
        }
        let [major, minor, multiprocessors, shared_memory] = found.map(|value| value as u32);
        let staging = RefCell::new(Staging { memory: std::ptr::null_mut(), bytes: 0, used: 0 });
        let capability = (major, minor);
        Ok(Rc::new(Self {
            api,
            context,
            stream,
            capability,
            multiprocessors,
            shared_memory,
            staging,
        }))
    }

    /// Makes the device that of this thread: libtorch may have chosen another one.
    pub(super) fn enter(&self) -> Result<(), CudaError> {
        // SAFETY: the context is this device's own and lives as long as the process.
        self.api.checked(unsafe { (self.api.set_context)(self.context) }, "cuCtxSetCurrent")
    }

    /// Loads a compiled program; it stays for as long as the process.
    pub(super) fn load(&self, image: &[u8]) -> Result<Module, CudaError> {
        let mut module = std::ptr::null_mut();
        // SAFETY: the image is a whole ELF file, whose end the driver finds by itself.
        let status = unsafe { (self.api.load_module)(&raw mut module, image.as_ptr().cast()) };
        self.api.checked(status, "cuModuleLoadData")?;
        Ok(Module(module))
    }

    /// A kernel of a program, allowed to use all shared memory and clusters of any size.
    pub(super) fn function(&self, module: &Module, name: &str) -> Result<Function, CudaError> {
        let symbol = CString::new(name).map_err(|error| CudaError::Driver(error.to_string()))?;
        let mut function = std::ptr::null_mut();
        // SAFETY: the module is loaded, the name ends with a zero.
        let status =
            unsafe { (self.api.function)(&raw mut function, module.0, symbol.as_ptr().cast()) };
        self.api.checked(status, "cuModuleGetFunction")?;
        let most = self.shared_memory as c_int;
        // SAFETY: the function is the one just found.
        let status = unsafe { (self.api.set_function)(function, MOST_SHARED, most) };
        self.api.checked(status, "cuFuncSetAttribute")?;
        if self.capability.0 >= 9 {
            // SAFETY: as above.
            let status = unsafe { (self.api.set_function)(function, WIDE_CLUSTERS, 1) };
            self.api.checked(status, "cuFuncSetAttribute")?;
        }
        Ok(Function(function))
    }

    /// Memory that holds anything.
    pub(super) fn allocate(self: &Rc<Self>, bytes: usize) -> Result<Buffer, CudaError> {
        let (mut address, bytes) = (0, bytes.max(16));
        // SAFETY: the pointer is to a variable of this function.
        let status = unsafe { (self.api.allocate)(&raw mut address, bytes) };
        self.api.checked(status, "cuMemAlloc")?;
        Ok(Buffer { gpu: Rc::clone(self), address, bytes })
    }

    /// Copies bytes to the device, through page-locked memory, without waiting for what was given
    /// before.
    pub(super) fn upload(&self, into: &Buffer, bytes: &[u8]) -> Result<(), CudaError> {
        self.upload_behind(into, 0, bytes)
    }

    /// The same, behind so many bytes of the buffer.
    pub(super) fn upload_behind(
        &self,
        into: &Buffer,
        skipped: usize,
        bytes: &[u8],
    ) -> Result<(), CudaError> {
        assert!(skipped + bytes.len() <= into.bytes, "fits");
        let mut staging = self.staging.borrow_mut();
        let mut address = into.address + skipped as u64;
        for piece in bytes.chunks(PIECE) {
            let at = self.stage(&mut staging, piece.len())?;
            // SAFETY: the staging memory is long enough, nobody else has it, and the part is one that
            // no copy is still reading.
            let status = unsafe {
                let part = staging.memory.cast::<u8>().add(at);
                std::ptr::copy_nonoverlapping(piece.as_ptr(), part, piece.len());
                (self.api.upload)(address, part.cast(), piece.len(), self.stream)
            };
            self.api.checked(status, "cuMemcpyHtoDAsync")?;
            address += piece.len() as u64;
        }
        Ok(())
    }

    /// A part of the staging memory that is free; waits where there is none.
    fn stage(&self, staging: &mut Staging, bytes: usize) -> Result<usize, CudaError> {
        if staging.used + bytes > staging.bytes {
            self.wait()?;
            staging.used = 0;
            self.stretch(staging, bytes)?;
        }
        let at = staging.used;
        staging.used = (at + bytes).next_multiple_of(256);
        Ok(at)
    }

    fn stretch(&self, staging: &mut Staging, bytes: usize) -> Result<(), CudaError> {
        if staging.bytes >= bytes {
            return Ok(());
        }
        let wanted = bytes.next_power_of_two().max(LEAST_STAGING);
        let mut memory = std::ptr::null_mut();
        // SAFETY: the old memory is no longer read, for the stream was waited for.
        unsafe {
            if !staging.memory.is_null() {
                (self.api.free_host)(staging.memory);
                *staging = Staging { memory, bytes: 0, used: 0 };
            }
            let status = (self.api.allocate_host)(&raw mut memory, wanted);
            self.api.checked(status, "cuMemAllocHost")?;
        }
        *staging = Staging { memory, bytes: wanted, used: 0 };
        Ok(())
    }

    /// Copies values from the device, `skipped` bytes behind the begin of a buffer, and waits for
    /// them.
    pub(super) fn download<T: Plain>(
        &self,
        from: &Buffer,
        skipped: usize,
        count: usize,
    ) -> Result<Vec<T>, CudaError> {
        let bytes = count * size_of::<T>();
        assert!(skipped + bytes <= from.bytes, "is there");
        let mut values = vec![T::default(); count];
        // SAFETY: the vector has that many bytes, any of which are values, and is not used before the
        // stream was waited for.
        let status = unsafe {
            let into = values.as_mut_ptr().cast();
            (self.api.download)(into, from.address + skipped as u64, bytes, self.stream)
        };
        self.api.checked(status, "cuMemcpyDtoHAsync")?;
        self.wait()?;
        Ok(values)
    }

    /// Copies `bytes` from one buffer to another, each behind so many bytes.
    pub(super) fn copy(
        &self,
        (into, at): (&Buffer, usize),
        (from, skipped): (&Buffer, usize),
        bytes: usize,
    ) -> Result<(), CudaError> {
        assert!(at + bytes <= into.bytes && skipped + bytes <= from.bytes, "fits");
        let (into, from) = (into.address + at as u64, from.address + skipped as u64);
        // SAFETY: both ranges are inside their buffers.
        let status = unsafe { (self.api.copy)(into, from, bytes, self.stream) };
        self.api.checked(status, "cuMemcpyDtoDAsync")
    }

    /// Fills the first `count` words of a buffer with zeros.
    pub(super) fn zero(&self, buffer: &Buffer, count: usize) -> Result<(), CudaError> {
        assert!(4 * count <= buffer.bytes, "fits");
        // SAFETY: the range is inside the buffer.
        let status = unsafe { (self.api.fill)(buffer.address, 0, count, self.stream) };
        self.api.checked(status, "cuMemsetD32Async")
    }

    /// Waits for everything.
    pub(super) fn wait(&self) -> Result<(), CudaError> {
        // SAFETY: the stream is this device's own.
        self.api.checked(unsafe { (self.api.wait)(self.stream) }, "cuStreamSynchronize")
    }

    /// Launches a kernel with one structure of arguments, which is copied.
    pub(super) fn launch<T: Copy>(
        &self,
        function: Function,
        launch: Launch,
        arguments: &T,
    ) -> Result<(), CudaError> {
        let (attributes, count) = attributes(launch.together);
        let config = self.config(launch, &attributes, count);
        let mut parameters = [std::ptr::from_ref(arguments).cast_mut().cast::<c_void>()];
        // SAFETY: the kernel takes one structure of this type (its size is compared when it is
        // compiled), whose addresses are those of buffers that the caller keeps.
        let status = unsafe {
            let none = std::ptr::null_mut();
            (self.api.launch)(&raw const config, function.0, parameters.as_mut_ptr(), none)
        };
        self.api.checked(status, "cuLaunchKernelEx")
    }

    /// How many clusters of such a launch can run at the same time.
    pub(super) fn most_clusters(
        &self,
        function: Function,
        launch: Launch,
    ) -> Result<u32, CudaError> {
        let (attributes, count) = attributes(launch.together);
        let config = self.config(launch, &attributes, count);
        let mut clusters = 0;
        // SAFETY: all pointers are to variables of this function.
        let status =
            unsafe { (self.api.most_clusters)(&raw mut clusters, function.0, &raw const config) };
        self.api.checked(status, "cuOccupancyMaxActiveClusters")?;
        Ok(clusters.max(0) as u32)
    }

    fn config(
        &self,
        launch: Launch,
        attributes: &[LaunchAttribute; 1],
        count: u32,
    ) -> LaunchConfig {
        LaunchConfig {
            grid: [launch.blocks, 1, 1],
            block: [launch.threads, 1, 1],
            shared_bytes: launch.shared_bytes,
            stream: self.stream,
            attributes: attributes.as_ptr(),
            attribute_count: count,
        }
    }

    /// Records what `work` gives the stream, as one graph, without doing it.
    pub(super) fn capture(
        self: &Rc<Self>,
        work: impl FnOnce() -> Result<(), CudaError>,
    ) -> Result<Graph, CudaError> {
        self.wait()?;
        let (mut graph, mut executable) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the stream is this device's own, and no other thread uses it.
        let status = unsafe { (self.api.begin_capture)(self.stream, CAPTURE_OWN_THREAD) };
        self.api.checked(status, "cuStreamBeginCapture")?;
        let done = work();
        // SAFETY: the capture is ended whatever came of the work; the graph is freed once it has been
        // made an executable.
        unsafe {
            let ended = (self.api.end_capture)(self.stream, &raw mut graph);
            done?;
            self.api.checked(ended, "cuStreamEndCapture")?;
            let made = (self.api.instantiate)(&raw mut executable, graph, 0);
            (self.api.free_graph)(graph);
            self.api.checked(made, "cuGraphInstantiate")?;
        }
        Ok(Graph { gpu: Rc::clone(self), executable })
    }

    /// Does what a graph recorded.
    pub(super) fn replay(&self, graph: &Graph) -> Result<(), CudaError> {
        // SAFETY: the graph's buffers are kept by whoever keeps the graph.
        let status = unsafe { (self.api.launch_graph)(graph.executable, self.stream) };
        self.api.checked(status, "cuGraphLaunch")
    }
}

/// A compiled program on the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Module(Handle);

fn attributes(together: Together) -> ([LaunchAttribute; 1], u32) {
    match together {
        Together::Apart => ([LaunchAttribute::cooperative()], 0),
        Together::AtOnce => ([LaunchAttribute::cooperative()], 1),
        Together::Clusters(blocks) => ([LaunchAttribute::cluster(blocks)], 1),
    }
}
