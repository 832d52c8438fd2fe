//! Threads that help whoever calls.
//!
//! A call posts a *job*, works on it as its slot 0, and takes it back when there
//! is nothing left to start; workers that are free in the meantime join it as
//! slots 1, 2 and so on. So a call never waits for a thread to wake up, work
//! that is over before one has costs nothing but the post, and calls inside of
//! calls or from many threads at once cannot wait for each other.
//!
//! A worker that finds no job looks on for [`PATIENCE`] before it sleeps: the
//! layers of a network follow each other by microseconds, and to wake a thread
//! costs as much as a small layer. A worker that sleeps is woken on another CPU
//! than the caller's (why that needs words: `affinity`). Jobs live on the stack
//! of their callers; nothing is allocated per call.

use super::affinity::{Affinity, ThreadId};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a thread looks for what it waits for before it goes to sleep.
const PATIENCE: Duration = Duration::from_micros(100);

/// The work of one call: `run_slot(slot)` for some or all slots below `slots`.
struct Job {
    run_slot: *const (dyn Fn(usize) + Sync),
    slots: usize,
    /// Slots given out so far; behind the lock.
    taken: Cell<usize>,
    /// The job behind this one; behind the lock.
    next: Cell<*const Job>,
    /// Workers inside of `run_slot`.
    running: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What the lock of [`Shared`] guards.
struct Queue {
    /// Jobs that still have slots for workers, in the order of their posting.
    first: *const Job,
    /// The one that fell asleep last is woken first.
    sleeping_workers: Vec<Arc<Worker>>,
    sleeping_callers: usize,
    ending: bool,
}

// SAFETY: the jobs that the queue points to are shared by design; their fields
// are either atomic, or behind the lock, or never change.
unsafe impl Send for Queue {}

struct Shared {
    queue: Mutex<Queue>,
    /// Grows with every post: what a worker watches without the lock.
    posts: AtomicUsize,
    finished: Condvar,
}

/// What is to be known of a worker in order to wake it.
struct Worker {
    thread: Thread,
    id: ThreadId,
    /// Where it may run, as of its falling asleep.
    affinity: Mutex<Affinity>,
    asleep: AtomicBool,
}

pub(super) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads, each of which calls `on_start` first.
    pub(super) fn start(count: usize, on_start: fn()) -> std::io::Result<Workers> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                first: ptr::null(),
                sleeping_workers: Vec::with_capacity(count),
                sleeping_callers: 0,
                ending: false,
            }),
            posts: AtomicUsize::new(0),
            finished: Condvar::new(),
        });
        let mut workers = Workers {
            shared,
            threads: Vec::with_capacity(count),
        };
        for index in 1..=count {
            let shared = Arc::clone(&workers.shared);
            let started = Builder::new().name(format!("omma-{index}")).spawn(move || {
                on_start();
                shared.work();
            });
            match started {
                Ok(thread) => workers.threads.push(thread),
                Err(error) => {
                    workers.end();
                    return Err(error);
                }
            }
        }
        Ok(workers)
    }

    /// Runs slot 0 here and those further slots, below `slots`, for which workers
    /// were free before slot 0 was done. `run_slot` must do all that is to be done
    /// whichever slots run. A panic of any slot comes out of here.
    pub(super) fn run(&self, slots: usize, run_slot: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime changes. Workers use it while `take` has them
        // counted as running, and this function does not return before none is.
        let run_slot = unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(
                run_slot,
            )
        };
        let job = Job {
            run_slot,
            slots,
            taken: Cell::new(1),
            next: Cell::new(ptr::null()),
            running: AtomicUsize::new(0),
            panic: Mutex::new(None),
        };
        self.shared.post(&job);
        let own = catch_unwind(AssertUnwindSafe(|| run_slot(0)));
        self.shared.withdraw(&job);
        self.shared.wait_until_left(&job);
        own.unwrap_or_else(|panic| resume_unwind(panic));
        let panic = lock(&job.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Tells the threads to end and waits for them: whoever destroys a context
    /// may unload the library next.
    pub(super) fn end(self) {
        let mut queue = lock(&self.shared.queue);
        queue.ending = true;
        self.shared.posts.fetch_add(1, Ordering::Release);
        queue.sleeping_workers.drain(..).for_each(|w| w.wake());
        drop(queue);
        for thread in self.threads {
            // Panics of jobs are caught where they run.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn post(&self, job: &Job) {
        let mut queue = lock(&self.queue);
        queue.push(job);
        self.posts.fetch_add(1, Ordering::Release);
        for _ in 1..job.slots {
            let Some(worker) = queue.sleeping_workers.pop() else {
                return;
            };
            // Those that are awake should not wait for the waking of the others.
            drop(queue);
            worker.wake();
            queue = lock(&self.queue);
        }
    }

    /// From here on no further worker joins `job`.
    fn withdraw(&self, job: &Job) {
        lock(&self.queue).remove(job);
    }

    fn wait_until_left(&self, job: &Job) {
        let left = || job.running.load(Ordering::Acquire) == 0;
        if watch(left) {
            return;
        }
        let mut queue = lock(&self.queue);
        while !left() {
            queue.sleeping_callers += 1;
            queue = wait(&self.finished, queue);
            queue.sleeping_callers -= 1;
        }
    }

    /// The life of a worker.
    fn work(&self) {
        let worker = Arc::new(Worker {
            thread: std::thread::current(),
            id: ThreadId::current(),
            affinity: Mutex::new(Affinity::default()),
            asleep: AtomicBool::new(false),
        });
        loop {
            let posts = self.posts.load(Ordering::Acquire);
            let mut queue = lock(&self.queue);
            if queue.ending {
                return;
            }
            if let Some((job, slot)) = queue.take() {
                drop(queue);
                self.run_slot(job, slot);
                continue;
            }
            drop(queue);
            let another_post = || self.posts.load(Ordering::Acquire) != posts;
            if watch(another_post) {
                continue;
            }
            *lock(&worker.affinity) = Affinity::of(worker.id);
            queue = lock(&self.queue);
            if another_post() {
                continue;
            }
            worker.asleep.store(true, Ordering::Relaxed);
            queue.sleeping_workers.push(Arc::clone(&worker));
            drop(queue);
            worker.sleep();
        }
    }

    fn run_slot(&self, job: *const Job, slot: usize) {
        // SAFETY: `take` counted this thread as running, and the caller, on whose
        // stack the job is, waits until it is not.
        let job = unsafe { &*job };
        // SAFETY: as above, for what the job points to.
        let run_slot = unsafe { &*job.run_slot };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run_slot(slot))) {
            lock(&job.panic).get_or_insert(panic);
        }
        // The job may be gone as soon as the count is down.
        if job.running.fetch_sub(1, Ordering::AcqRel) == 1 && lock(&self.queue).sleeping_callers > 0
        {
            self.finished.notify_all();
        }
    }
}

impl Worker {
    /// Returns after [`wake`](Worker::wake).
    fn sleep(&self) {
        while self.asleep.load(Ordering::Acquire) {
            std::thread::park();
        }
        lock(&self.affinity).restore();
    }

    fn wake(&self) {
        lock(&self.affinity).avoid_this_cpu(self.id);
        self.asleep.store(false, Ordering::Release);
        self.thread.unpark();
    }
}

impl Queue {
    fn push(&mut self, job: &Job) {
        let mut last = ptr::null();
        let mut at = self.first;
        while !at.is_null() {
            last = at;
            // SAFETY: a job in the queue is alive: its caller withdraws it before it returns.
            at = unsafe { (*at).next.get() };
        }
        self.link(last, job);
    }

    /// A slot of the first job, with the calling thread counted as running it.
    fn take(&mut self) -> Option<(*const Job, usize)> {
        if self.first.is_null() {
            return None;
        }
        // SAFETY: as in `push`.
        let job = unsafe { &*self.first };
        let slot = job.taken.get();
        job.taken.set(slot + 1);
        job.running.fetch_add(1, Ordering::Relaxed);
        if slot + 1 == job.slots {
            self.first = job.next.get();
        }
        Some((job, slot))
    }

    fn remove(&mut self, job: *const Job) {
        let mut last = ptr::null();
        let mut at = self.first;
        while !at.is_null() {
            // SAFETY: as in `push`.
            let next = unsafe { (*at).next.get() };
            if at == job {
                return self.link(last, next);
            }
            last = at;
            at = next;
        }
    }

    /// Puts `next` behind `job`, or first if there is none.
    fn link(&mut self, job: *const Job, next: *const Job) {
        if job.is_null() {
            self.first = next;
        } else {
            // SAFETY: as in `push`.
            unsafe { (*job).next.set(next) };
        }
    }
}

/// Looks until `ready` is true or patience ends; whether it was.
fn watch(ready: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        // The clock costs as much as some looks.
        for _ in 0..32 {
            if ready() {
                return true;
            }
            std::hint::spin_loop();
        }
        if begin.elapsed() > PATIENCE {
            return ready();
        }
    }
}

/// Nothing panics while it holds one of these locks, so none is ever poisoned.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|error| error.into_inner())
}

fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition
        .wait(guard)
        .unwrap_or_else(|error| error.into_inner())
}
