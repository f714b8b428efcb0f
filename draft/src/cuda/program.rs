//! The kernels' source, and its compilation for one model on one device. Speed: the three programs
//! are compiled when they are first needed, for a compilation takes seconds. Knows no memory.

use std::rc::Rc;

use super::compile::{Compiled, Compiler};
use super::gpu::{Function, Gpu, Module};
use super::{CudaError, Sizes, Tuning};

/// A part of the kernels that is compiled by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// One pass over some tokens.
    Pass,
    /// The draft loop.
    Draft,
    /// Verification.
    Verify,
}

/// What all programs are made of.
const COMMON: &str = concat!(
    include_str!("kernels/entry.cu"),
    include_str!("kernels/numbers.cu"),
    include_str!("kernels/shape.cu"),
    include_str!("kernels/team.cu"),
    include_str!("kernels/product.cu"),
    include_str!("kernels/attention.cu"),
    include_str!("kernels/phases.cu"),
);

impl Program {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pass, Self::Draft, Self::Verify];

    fn own(self) -> &'static str {
        match self {
            Self::Pass => include_str!("kernels/pass.cu"),
            Self::Draft => include_str!("kernels/draft.cu"),
            Self::Verify => include_str!("kernels/accept.cu"),
        }
    }

    /// The CUDA C++ of all of them together.
    pub fn sources() -> String {
        Self::ALL.iter().fold(COMMON.to_owned(), |text, program| text + program.own())
    }

    /// Its CUDA C++.
    pub fn source(self) -> String {
        format!("{COMMON}{}", self.own())
    }
}

/// What the compiler is told for a model and a device of capability `(major, minor)`.
pub fn options(sizes: &Sizes, tuning: Tuning, (major, minor): (u32, u32)) -> Vec<String> {
    let mut options = sizes.definitions(tuning);
    options.extend([
        format!("--gpu-architecture=sm_{major}{minor}"),
        "--std=c++17".to_owned(),
        // Which products are fused into sums is the source's choice, so that all kernels sum alike.
        "--fmad=false".to_owned(),
    ]);
    options
}

/// Where machine code comes from.
pub enum Builder {
    /// The compiler.
    Nvrtc(Compiler),
    /// A driver that has the kernels already, which no GPU's has.
    BuiltIn,
}

/// Makes programs for one model on one device.
pub(super) struct Maker {
    pub(super) gpu: Rc<Gpu>,
    pub(super) builder: Builder,
    pub(super) options: Vec<String>,
}

impl Maker {
    /// Compiles and loads a program.
    pub(super) fn make(&self, program: Program) -> Result<Module, CudaError> {
        let image = match &self.builder {
            Builder::Nvrtc(compiler) => {
                let Compiled { image, .. } = compiler.compile(&program.source(), &self.options)?;
                image
            }
            Builder::BuiltIn => Vec::new(),
        };
        self.gpu.load(&image)
    }

    /// Kernels of a program.
    pub(super) fn functions<const N: usize>(
        &self,
        program: Program,
        names: [&str; N],
    ) -> Result<[Function; N], CudaError> {
        let module = self.make(program)?;
        let mut found = Vec::with_capacity(N);
        for name in names {
            found.push(self.gpu.function(&module, name)?);
        }
        found.try_into().map_err(|_| CudaError::Driver("kernels are missing".to_owned()))
    }
}
