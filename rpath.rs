//! Build script of every package that links libtorch: tells the linker where the library will be
//! found at run time. It does not decide where libtorch comes from; `LIBTORCH` does.

#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
    // A clone that is moved as a whole keeps working: build/<profile>/spec, build/<profile>/deps/x.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../../.venv/libtorch/lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../../../.venv/libtorch/lib");
}
