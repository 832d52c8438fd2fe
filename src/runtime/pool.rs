//! Threads: none, own workers, or the caller's.
//!
//! Work is a number of tasks that *slots* (as many as threads) pull from one
//! atomic counter, so that a slow task delays nobody. A slot is run by one
//! thread at a time, which is what per-slot scratch relies on. Nothing is
//! allocated per call.

use super::workers::Workers;
use crate::error::{Error, Result, Status, ensure};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// The caller's way to run work on threads of its own.
#[derive(Clone, Copy)]
pub struct ParallelFor {
    /// Must call `task(arg, index)` once for every `index` below `count`, on any
    /// threads, and return when all calls have returned.
    pub run: unsafe extern "C" fn(
        user: *mut c_void,
        count: usize,
        task: unsafe extern "C" fn(arg: *mut c_void, index: usize),
        arg: *mut c_void,
    ),
    /// Passed to `run`.
    pub user: *mut c_void,
}

// SAFETY: whoever gives the callback promises that it may be called from any thread.
unsafe impl Send for ParallelFor {}
// SAFETY: as above.
unsafe impl Sync for ParallelFor {}

pub(super) enum Threads {
    Serial,
    Own(Pool),
    Callers(ParallelFor, usize),
}

impl Threads {
    pub(super) fn new(count: usize, callers: Option<ParallelFor>) -> Result<Threads> {
        Ok(match (count, callers) {
            (1, _) => Threads::Serial,
            (n, Some(callers)) => Threads::Callers(callers, n),
            (n, None) => Threads::Own(Pool::new(n)?),
        })
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Threads::Serial => 1,
            Threads::Own(pool) => pool.threads,
            Threads::Callers(_, count) => *count,
        }
    }

    /// Runs `body(slot, task)` for every task; slots are below `min(count, tasks)`.
    pub(super) fn run(&self, tasks: usize, body: &(dyn Fn(usize, usize) + Sync)) -> Result<()> {
        let slots = self.count().min(tasks);
        if slots <= 1 {
            (0..tasks).for_each(|task| body(0, task));
            return Ok(());
        }
        let next = AtomicUsize::new(0);
        let run_slot = |slot: usize| {
            loop {
                let task = next.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    return;
                }
                body(slot, task);
            }
        };
        match self {
            Threads::Serial => run_slot(0),
            Threads::Own(pool) => match pool.workers() {
                Some(workers) => workers.run(slots, &run_slot),
                None => run_slot(0),
            },
            Threads::Callers(callers, _) => return run_on_callers(callers, slots, &run_slot),
        }
        Ok(())
    }
}

struct CallersTask<'a> {
    run_slot: &'a (dyn Fn(usize) + Sync),
    slots: usize,
    done: AtomicUsize,
    panicked: AtomicBool,
}

unsafe extern "C" fn callers_task(arg: *mut c_void, index: usize) {
    // SAFETY: `arg` is the task of `run_on_callers`, which waits for this call.
    let task = unsafe { &*arg.cast::<CallersTask<'_>>() };
    if index < task.slots {
        // A panic may not cross the caller's frames.
        let run = AssertUnwindSafe(|| quiet(|| (task.run_slot)(index)));
        if catch_unwind(run).is_err() {
            task.panicked.store(true, Ordering::Relaxed);
        }
        task.done.fetch_add(1, Ordering::Release);
    }
}

fn run_on_callers(
    callers: &ParallelFor,
    slots: usize,
    run_slot: &(dyn Fn(usize) + Sync),
) -> Result<()> {
    let task = CallersTask {
        run_slot,
        slots,
        done: AtomicUsize::new(0),
        panicked: AtomicBool::new(false),
    };
    let arg = std::ptr::from_ref(&task).cast_mut().cast();
    // SAFETY: the callback's contract; `task` outlives the call.
    unsafe { (callers.run)(callers.user, slots, callers_task, arg) };
    ensure!(
        !task.panicked.load(Ordering::Relaxed),
        Internal,
        "a task panicked on a thread of the caller's parallel_for"
    );
    let done = task.done.load(Ordering::Acquire);
    ensure!(
        done == slots,
        InvalidArgument,
        "context: parallel_for ran {done} of {slots} indices"
    );
    Ok(())
}

thread_local! {
    static QUIET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `f` on a thread whose panics are caught and reported as an error, so
/// that the panic hook stays silent.
pub(crate) fn quiet<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            QUIET.set(self.0);
        }
    }
    let _restore = Restore(QUIET.replace(true));
    f()
}

/// True inside of [`quiet`] and on the threads of own pools.
pub(crate) fn is_quiet() -> bool {
    QUIET.get()
}

/// Workers that survive `fork`: threads do not cross into the child, so the
/// child, told by its process id, starts its own at first use.
pub(super) struct Pool {
    /// The caller and its workers.
    threads: usize,
    live: AtomicPtr<Live>,
}

struct Live {
    process: u32,
    workers: Option<Workers>,
}

impl Pool {
    fn new(threads: usize) -> Result<Pool> {
        let live = Live::start(threads);
        if live.workers.is_none() {
            return Err(Error::new(
                Status::OutOfMemory,
                format!("context: {threads} threads could not be started"),
            ));
        }
        Ok(Pool {
            threads,
            live: AtomicPtr::new(Box::into_raw(Box::new(live))),
        })
    }

    /// The workers of this process; `None` when the child of a fork cannot start threads.
    fn workers(&self) -> Option<&Workers> {
        let process = std::process::id();
        let mut live = self.live.load(Ordering::Acquire);
        // SAFETY: the pointer comes from a box that lives as long as `self`: one
        // that is replaced belongs to the parent process and is never freed here.
        while unsafe { (*live).process } != process {
            let fresh = Box::into_raw(Box::new(Live::start(self.threads)));
            match self
                .live
                .compare_exchange(live, fresh, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => live = fresh,
                Err(current) => {
                    // Another thread of the child was faster.
                    // SAFETY: nobody else has seen `fresh`.
                    unsafe { Box::from_raw(fresh) }.end();
                    live = current;
                }
            }
        }
        // SAFETY: as above.
        unsafe { (*live).workers.as_ref() }
    }
}

impl Live {
    fn start(threads: usize) -> Live {
        Live {
            process: std::process::id(),
            workers: Workers::start(threads - 1, || QUIET.set(true)).ok(),
        }
    }

    fn end(self) {
        if let Some(workers) = self.workers {
            workers.end();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: the pointer comes from a box and `self` is its last user.
        let live = unsafe { Box::from_raw(*self.live.get_mut()) };
        if live.process == std::process::id() {
            live.end();
        } else {
            // The threads to be told to end are not in this process, and a lock
            // that one of them held at the fork would never open.
            std::mem::forget(live);
        }
    }
}
