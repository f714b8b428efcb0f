//! The CUDA kernels compile for GPUs, with no warning, and no kernel keeps registers in memory.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::path::Path;

use draft::config::Shape;
use draft::cuda::{Compiled, Compiler, Program, Sizes, Tuning, options};
use serde_json::{Value, json};

/// Where `tools/nvrtc.sh` puts it, else where libtorch's wheels have it.
fn compiler() -> Option<Compiler> {
    // Whatever this test links needs libtorch in memory, which is how its wheels are found.
    tch::manual_seed(0);
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/nvrtc/nvidia/cu13/lib");
    let found = if std::env::var_os("SPEC_NVRTC").is_none() && fetched.exists() {
        Compiler::open(Some(&fetched))
    } else {
        Compiler::find()
    };
    if let Err(error) = &found {
        eprintln!("skipped: {error}; tools/nvrtc.sh fetches it");
    }
    found.ok()
}

fn stentor2() -> Value {
    json!({"model_type": "llama", "vocab_size": 8064, "hidden_size": 256,
        "intermediate_size": 768, "num_hidden_layers": 12, "num_attention_heads": 4,
        "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "tie_word_embeddings": true})
}

fn llama_8b() -> Value {
    json!({"model_type": "llama", "vocab_size": 128_256, "hidden_size": 4096,
        "intermediate_size": 14_336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "max_position_embeddings": 131_072, "rms_norm_eps": 1e-5})
}

/// Compiles a program and checks what the assembler says of its kernels.
fn check(compiler: &Compiler, program: Program, config: &Value, capability: (u32, u32)) -> String {
    let sizes = Sizes::new(&Shape::from_json(config).unwrap()).unwrap();
    let mut options = options(&sizes, Tuning::default(), capability);
    options.push("--ptxas-options=-v".to_owned());
    let Compiled { image, log } = compiler.compile(&program.source(), &options).unwrap();
    assert!(image.starts_with(b"\x7fELF"), "machine code");
    assert!(!log.contains("warning"), "{log}");
    let spills = log.matches("bytes spill stores").count();
    assert!(spills > 0, "{log}");
    for part in ["bytes stack frame", "bytes spill stores", "bytes spill loads"] {
        assert_eq!(log.matches(&format!(" 0 {part}")).count(), spills, "{program:?}: {log}");
    }
    log
}

#[test]
fn kernels_compile_for_a_draft() {
    let Some(compiler) = compiler() else { return };
    for program in Program::ALL {
        let log = check(&compiler, program, &stentor2(), (9, 0));
        let has_cluster = log.contains("'draft_cluster'");
        assert_eq!(has_cluster, program == Program::Draft);
    }
}

#[test]
fn kernels_compile_for_a_gpu_without_clusters() {
    let Some(compiler) = compiler() else { return };
    let log = check(&compiler, Program::Draft, &stentor2(), (8, 0));
    assert!(log.contains("'draft_grid'") && !log.contains("'draft_cluster'"));
}

#[test]
fn kernels_compile_for_a_large_target() {
    let Some(compiler) = compiler() else { return };
    check(&compiler, Program::Pass, &llama_8b(), (9, 0));
    check(&compiler, Program::Verify, &llama_8b(), (9, 0));
}

#[test]
fn a_mistake_is_named() {
    let Some(compiler) = compiler() else { return };
    let error = compiler.compile("int x = ;", &[]).unwrap_err().to_string();
    assert!(error.contains("kernels.cu(1)"), "{error}");
}
