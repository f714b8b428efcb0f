//! What every result says of the run that made it, apart from its settings: when it began, how it was
//! called, by which program, and on which processor.

use std::process::Command;
use std::time::SystemTime;

/// The time, in UTC, as RFC 3339 to the second.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The command line, argument by argument. Where the program lies is no part of it.
pub fn command_line() -> Vec<String> {
    std::iter::once("spec".to_owned()).chain(std::env::args().skip(1)).collect()
}

/// The commit of the checkout that the program lies in, with a `+` where tracked files differ from it;
/// `None` where it lies in none.
pub fn git_commit() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    // build/release/spec
    let root = program.parent()?.parent()?.parent()?;
    if !root.join(".git").exists() {
        return None;
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() { commit } else { commit + "+" })
}

/// The processor, as the operating system names it.
pub fn processor() -> String {
    let named = || {
        let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    named().unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}
