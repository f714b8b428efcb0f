//! Lists that a thread keeps for later instead of giving their memory back: of some megabytes the system would
//! have to clear the pages for every new one. Knows nothing of what is in them.

use std::cell::RefCell;
use std::thread::LocalKey;

/// The lists that one thread keeps.
#[derive(Debug)]
pub struct Spare<T> {
    lists: RefCell<Vec<Vec<T>>>,
    most: usize,
}

impl<T> Spare<T> {
    /// Of at most so many lists.
    pub const fn new(most: usize) -> Self {
        Self { lists: RefCell::new(Vec::new()), most }
    }

    /// A kept list, with whatever is in it, with room for `count` values if there is one; else an empty one.
    pub fn take(kept: &'static LocalKey<Self>, count: usize) -> Vec<T> {
        let found = kept.try_with(|kept| {
            let mut lists = kept.lists.borrow_mut();
            let fits = lists.iter().position(|list| list.capacity() >= count);
            fits.map(|index| lists.swap_remove(index)).or_else(|| lists.pop())
        });
        found.ok().flatten().unwrap_or_default()
    }

    /// Keeps a list, if there is room for it.
    pub fn keep(kept: &'static LocalKey<Self>, list: Vec<T>) {
        if list.capacity() == 0 {
            return;
        }
        // At the end of a thread there is nothing to keep it in.
        let _ = kept.try_with(|kept| {
            let mut lists = kept.lists.borrow_mut();
            if lists.len() < kept.most {
                lists.push(list);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static KEPT: Spare<u8> = const { Spare::new(2) };
    }

    #[test]
    fn lists_come_back_and_the_fitting_one_first() {
        for size in [0, 10, 1000, 5] {
            Spare::keep(&KEPT, vec![7; size]);
        }
        assert_eq!(Spare::take(&KEPT, 500).len(), 1000);
        assert_eq!(Spare::take(&KEPT, 500), [7; 10], "the fourth was one too many");
        assert!(Spare::take(&KEPT, 0).is_empty());
    }
}
