//! The context: one object that an operator is given.

use super::memory::{Allocator, Arena, Buffer, Scratch};
use super::pool::{ParallelFor, Threads};
use crate::error::{Result, ensure};
use crate::simd::{Isa, Tier};
use crate::tensor::Element;
use std::sync::OnceLock;

/// How to make a [`Context`]. The default is all cores, the fastest tier of
/// the CPU, and the system's allocator.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Threads that work at once; 0 is the number of cores, 1 starts none.
    pub num_threads: usize,
    /// The fastest tier to use; an error when the CPU lacks it.
    pub max_isa: Option<Tier>,
    /// The caller's threads in place of own ones.
    pub parallel_for: Option<ParallelFor>,
    /// The caller's memory in place of the system's.
    pub allocator: Option<Allocator>,
}

/// The instruction set, threads and scratch memory of a run of operators.
///
/// May be shared by threads: each call takes scratch of its own, and calls
/// share the threads. Scratch is kept, so that a second call of the same shape
/// allocates nothing. After `fork` the child may go on using it.
pub struct Context {
    isa: Isa,
    threads: Threads,
    arena: Arena,
}

/// The environment variable that lowers the tier of every context.
const MAX_ISA_VARIABLE: &str = "OMMA_MAX_ISA";

impl Context {
    /// A context as `options` say.
    pub fn new(options: Options) -> Result<Context> {
        ensure!(
            options.num_threads <= 4096,
            InvalidArgument,
            "context: num_threads is {}, the most is 4096",
            options.num_threads
        );
        let isa = choose_isa(options.max_isa)?;
        let num_threads = match options.num_threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
            n => n,
        };
        Ok(Context {
            isa,
            threads: Threads::new(num_threads, options.parallel_for)?,
            arena: Arena::new(options.allocator, true),
        })
    }

    /// The context of callers that have none: the calling thread alone,
    /// nothing kept between calls. An error when `OMMA_MAX_ISA` names what the CPU lacks.
    pub fn serial() -> Result<&'static Context> {
        static SERIAL: OnceLock<Result<Context>> = OnceLock::new();
        SERIAL
            .get_or_init(|| {
                Ok(Context {
                    isa: choose_isa(None)?,
                    threads: Threads::Serial,
                    arena: Arena::new(None, false),
                })
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The tier that kernels are dispatched to.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How many tasks may run at once.
    pub fn num_threads(&self) -> usize {
        self.threads.count()
    }

    /// Bytes of scratch that it holds: what calls borrow now, and what is kept for later ones. After the first call of
    /// a new context, the most that this call had at one time.
    pub fn scratch_bytes(&self) -> usize {
        self.arena.held()
    }

    /// `len` elements of unspecified value, aligned to 64 bytes, returned to the context on drop.
    pub fn scratch<T: Element>(&self, len: usize) -> Result<Scratch<'_, T>> {
        self.arena.scratch(len)
    }

    /// `len` zeros, aligned to 64 bytes, that outlive the call (packed weights).
    pub fn buffer<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        Buffer::zeroed(len, self.arena.allocator())
    }

    /// Runs `body(task)` for every task below `tasks`, on any thread, in any
    /// order, several at once; returns when all are done. Which tasks exist must
    /// not depend on the number of threads, or results would.
    pub fn parallel_for(&self, tasks: usize, body: impl Fn(usize) + Sync) -> Result<()> {
        self.threads.run(tasks, &|_, task| body(task))
    }

    /// As [`parallel_for`](Context::parallel_for), and lends every task `len`
    /// elements of scratch, of unspecified value. All of it is taken before the
    /// first task starts: when memory is short nothing has been written.
    pub fn parallel_for_scratch<T: Element>(
        &self,
        tasks: usize,
        len: usize,
        body: impl Fn(usize, &mut [T]) + Sync,
    ) -> Result<()> {
        let slots = self.num_threads().min(tasks);
        // A slot starts on a cache line of its own.
        let stride = len.next_multiple_of(64);
        let total = stride.checked_mul(slots);
        ensure!(
            total.is_some(),
            OutOfMemory,
            "scratch of {slots} x {len} elements overflows"
        );
        let mut scratch = self.scratch::<T>(total.unwrap_or(0))?;
        let base = Shared(scratch.as_mut_ptr());
        self.threads.run(tasks, &|slot, task| {
            // SAFETY: a slot is used by one thread at a time and its run is its own.
            let part =
                unsafe { std::slice::from_raw_parts_mut(base.get().add(slot * stride), len) };
            body(task, part);
        })
    }
}

/// A pointer that threads share; slots keep their uses apart.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T);

impl<T> Shared<T> {
    fn get(self) -> *mut T {
        self.0
    }
}

// SAFETY: used for disjoint parts only, see `parallel_for_scratch`.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

/// The tier asked for, lowered by the environment.
fn choose_isa(max_isa: Option<Tier>) -> Result<Isa> {
    let from_environment = match std::env::var_os(MAX_ISA_VARIABLE) {
        None => None,
        Some(name) if name.is_empty() => None,
        Some(name) => {
            let tier = name.to_str().and_then(Tier::from_name);
            ensure!(
                tier.is_some(),
                InvalidArgument,
                "{MAX_ISA_VARIABLE} is {name:?}, expected portable, neon, avx2 or avx512"
            );
            tier
        }
    };
    for (tier, source) in [(max_isa, "max_isa"), (from_environment, MAX_ISA_VARIABLE)] {
        if let Some(tier) = tier {
            ensure!(
                Isa::of(tier).is_some(),
                Unsupported,
                "{source} is {}, which this CPU does not have",
                tier.name()
            );
        }
    }
    let tier = [max_isa, from_environment].into_iter().flatten().min();
    Ok(tier.and_then(Isa::of).unwrap_or_else(Isa::detect))
}
