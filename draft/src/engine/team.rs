//! Threads that work on one pass together. They wait for each other by spinning, since a pass of a small
//! model has some sixty points where all must meet, and waking a sleeping thread costs as much as a
//! layer. Between passes they spin for a moment, then sleep.
//!
//! There is one team in a process. A pass that finds it busy runs on its own thread alone, with the
//! same result: what each member does never decides what is computed.

#![expect(unsafe_code, reason = "threads of a team work on parts of one buffer")]

use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread::Thread;

/// Spins before a waiting thread lets others run, about 20 microseconds.
const SPINS: u32 = 1 << 11;

/// Turns of letting others run, each with as many spins, before an idle thread sleeps.
const YIELDS: u32 = 1 << 5;

/// What one thread of a team knows of itself.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    index: usize,
    meeting: &'a Meeting,
}

impl Member<'_> {
    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn count(&self) -> usize {
        self.meeting.count
    }

    /// Waits until all members are here.
    pub(super) fn meet(&self) {
        self.meeting.wait(self.index);
    }

    /// The member's share of `tasks` tasks.
    pub(super) fn share(&self, tasks: usize) -> Range<usize> {
        let end = |index: usize| tasks * index / self.count();
        end(self.index)..end(self.index + 1)
    }
}

/// A count on a cache line of its own, which one thread writes and the others watch.
#[repr(align(128))]
struct Watched(AtomicUsize);

/// A point that all members pass together. Each counts how often it came there: a meeting costs one
/// transfer of a cache line each way, where a count that all of them raise would cost three.
struct Meeting {
    count: usize,
    came: Vec<Watched>,
}

impl Meeting {
    fn new(count: usize) -> Self {
        Self { count, came: (0..count).map(|_| Watched(AtomicUsize::new(0))).collect() }
    }

    fn wait(&self, index: usize) {
        if self.count == 1 {
            return;
        }
        let own = &self.came[index].0;
        let times = own.load(Ordering::Relaxed).wrapping_add(1);
        own.store(times, Ordering::Release);
        for other in &self.came {
            let is_here = || times.wrapping_sub(other.0.load(Ordering::Acquire)).cast_signed() <= 0;
            while !spin(is_here) {
                std::thread::yield_now();
            }
        }
    }
}

/// Whether a condition came true within so many spins.
fn spin(is_true: impl Fn() -> bool) -> bool {
    for _ in 0..SPINS {
        if is_true() {
            return true;
        }
        std::hint::spin_loop();
    }
    false
}

type Task<'a> = dyn Fn(Member<'_>) + Sync + 'a;

/// What the threads of a team share.
struct Post {
    meeting: Meeting,
    /// The present task, written by the leader before `posted` rises and read behind it.
    task: UnsafeCell<Option<&'static Task<'static>>>,
    posted: AtomicUsize,
    asleep: Vec<AtomicBool>,
    ends: AtomicBool,
}

// SAFETY: the cell is written only by the leader, while every other thread waits for `posted` to rise.
unsafe impl Sync for Post {}
// SAFETY: the task is one that any thread may call.
unsafe impl Send for Post {}

/// Threads beside the one that leads.
struct Team {
    post: Arc<Post>,
    threads: Vec<Thread>,
}

static TEAM: Mutex<Option<Team>> = Mutex::new(None);

/// Runs a task on `count` threads, this one among them, or on this one alone where the others are at
/// work for another. The process ends if the task panics.
pub(super) fn run(count: usize, task: &Task<'_>) {
    let alone = Meeting::new(1);
    let busy = || task(Member { index: 0, meeting: &alone });
    if count <= 1 {
        return busy();
    }
    let mut team = match TEAM.try_lock() {
        Ok(team) => team,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return busy(),
    };
    if team.as_ref().is_none_or(|team| team.post.meeting.count != count) {
        *team = Team::new(count);
    }
    match &*team {
        Some(team) => team.run(task),
        None => busy(),
    }
}

impl Team {
    /// A team of `count` threads; `None` where the system gives no more.
    fn new(count: usize) -> Option<Self> {
        let post = Arc::new(Post {
            meeting: Meeting::new(count),
            task: UnsafeCell::new(None),
            posted: AtomicUsize::new(0),
            asleep: (0..count).map(|_| AtomicBool::new(false)).collect(),
            ends: AtomicBool::new(false),
        });
        let mut team = Self { post, threads: Vec::new() };
        for index in 1..count {
            let post = team.post.clone();
            let named = std::thread::Builder::new().name(format!("engine-{index}"));
            let thread = named.spawn(move || post.serve(index)).ok()?;
            team.threads.push(thread.thread().clone());
        }
        Some(team)
    }

    fn run(&self, task: &Task<'_>) {
        let post = &*self.post;
        // SAFETY: only the lifetime changes. No thread touches the task behind the last meeting of
        // `work`, which this one passes too before it returns.
        let task_of_all = unsafe { std::mem::transmute::<&Task<'_>, &'static Task<'static>>(task) };
        // SAFETY: see `Post`: every other thread waits.
        unsafe { *post.task.get() = Some(task_of_all) };
        post.posted.fetch_add(1, Ordering::SeqCst);
        self.wake();
        post.work(0);
    }

    fn wake(&self) {
        for (thread, asleep) in self.threads.iter().zip(&self.post.asleep[1..]) {
            if asleep.load(Ordering::SeqCst) {
                thread.unpark();
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.post.ends.store(true, Ordering::SeqCst);
        self.post.posted.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }
}

impl Post {
    /// The life of a thread that does not lead.
    fn serve(&self, index: usize) {
        let mut done = 0;
        loop {
            self.await_task(index, done);
            done += 1;
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            self.work(index);
        }
    }

    fn await_task(&self, index: usize, done: usize) {
        let is_there = || self.posted.load(Ordering::SeqCst) != done;
        for _ in 0..YIELDS {
            if spin(is_there) {
                return;
            }
            std::thread::yield_now();
        }
        self.asleep[index].store(true, Ordering::SeqCst);
        while !is_there() {
            std::thread::park();
        }
        self.asleep[index].store(false, Ordering::SeqCst);
    }

    /// Does one member's part of the present task, and waits for the others.
    fn work(&self, index: usize) {
        // SAFETY: the leader wrote it before it raised `posted`, and keeps it until all are done.
        let task = unsafe { *self.task.get() };
        let member = Member { index, meeting: &self.meeting };
        if let Some(task) = task {
            let guard = Guard;
            task(member);
            std::mem::forget(guard);
        }
        self.meeting.wait(index);
    }
}

/// Others would wait for ever for a thread that panicked.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// A buffer whose parts are written by different members.
#[derive(Debug)]
pub(super) struct Shared<T>(UnsafeCell<Vec<T>>);

// SAFETY: every access goes through functions whose callers vouch for it.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T: Copy + Default> Shared<T> {
    pub(super) fn new() -> Self {
        Self(UnsafeCell::new(Vec::new()))
    }

    /// Makes room for so many values.
    pub(super) fn reserve(&mut self, count: usize) {
        let values = self.0.get_mut();
        if values.len() < count {
            values.resize(count, T::default());
        }
    }

    /// All values, by the only one who holds the buffer.
    pub(super) fn values(&mut self) -> &mut Vec<T> {
        self.0.get_mut()
    }

    /// A part.
    ///
    /// # Safety
    /// Nobody writes to it meanwhile.
    pub(super) unsafe fn part(&self, first: usize, count: usize) -> &[T] {
        // SAFETY: the caller's; the vector itself is not changed while it is shared.
        let values = unsafe { &*self.0.get() };
        assert!(first + count <= values.len(), "a part of the buffer");
        // SAFETY: within the buffer.
        unsafe { std::slice::from_raw_parts(values.as_ptr().add(first), count) }
    }

    /// A part to write to.
    ///
    /// # Safety
    /// Nobody else reads it or writes to it meanwhile.
    #[allow(clippy::mut_from_ref, reason = "members write to parts of their own")]
    pub(super) unsafe fn part_mut(&self, first: usize, count: usize) -> &mut [T] {
        // SAFETY: as above.
        let values = unsafe { &*self.0.get() };
        assert!(first + count <= values.len(), "a part of the buffer");
        // SAFETY: within the buffer, whose memory is behind an `UnsafeCell`.
        unsafe { std::slice::from_raw_parts_mut(values.as_ptr().cast_mut().add(first), count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_meet_and_share_all_tasks() {
        for count in 1..5 {
            let mut buffer = Shared::new();
            buffer.reserve(1000);
            let parts = [Mutex::new(Vec::new()), Mutex::new(Vec::new())];
            for round in 0..50usize {
                run(count, &|member: Member<'_>| {
                    for index in member.share(1000) {
                        // SAFETY: shares are disjoint.
                        unsafe { buffer.part_mut(index, 1)[0] = index + round };
                    }
                    member.meet();
                    // SAFETY: nobody writes behind the meeting.
                    let all = unsafe { buffer.part(0, 1000) };
                    let sum: usize = all.iter().sum();
                    parts[usize::from(member.index() > 0)].lock().unwrap().push(sum);
                    member.meet();
                });
                let expected = 999 * 1000 / 2 + 1000 * round;
                for part in &parts {
                    assert!(part.lock().unwrap().drain(..).all(|sum| sum == expected));
                }
            }
        }
    }

    #[test]
    fn a_pass_within_a_pass_runs_alone() {
        let inner = AtomicUsize::new(0);
        run(2, &|_: Member<'_>| {
            run(2, &|member: Member<'_>| {
                assert_eq!(member.count(), 1);
                inner.fetch_add(1, Ordering::SeqCst);
            });
        });
        assert!(inner.load(Ordering::SeqCst) >= 1);
    }
}
