//! Calls into a library that panics where a file is damaged: the panic becomes an error, and nothing is
//! printed. Other panics are as loud as ever.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use anyhow::{Result, anyhow};

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What the call returns; an error where it panics. What it worked on must not be used after that.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |about| {
            if !IS_GUARDED.get() {
                loud(about);
            }
        }));
    });
    let before = IS_GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(before);
    outcome.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(anyhow!("{}", words.unwrap_or("the reader stopped")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(guarded(|| Ok(1)).unwrap(), 1);
        assert_eq!(guarded(|| Err::<(), _>(anyhow!("no"))).unwrap_err().to_string(), "no");
        let place = std::hint::black_box(7);
        let error = guarded(|| Ok([0][place])).unwrap_err().to_string();
        assert!(error.contains("index is 7"), "{error}");
        assert!(!IS_GUARDED.get());
    }
}
