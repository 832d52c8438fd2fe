//! Contexts: threads, callbacks, scratch, tiers, fork.

use omma::error::Status;
use omma::runtime::{Allocator, Context, Options, ParallelFor};
use omma::simd::{Isa, Tier};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what a thread allocates while it has counting on.
struct Counting;

std::thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
}
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// One test at a time counts, and the others' allocations must not be counted.
static ALONE: std::sync::RwLock<()> = std::sync::RwLock::new(());

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // The harness prints and starts tests meanwhile, on threads of its own.
        if COUNTING.try_with(Cell::get) == Ok(true) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

fn shared() -> std::sync::RwLockReadGuard<'static, ()> {
    ALONE.read().unwrap_or_else(|e| e.into_inner())
}

fn context(num_threads: usize) -> Context {
    Context::new(Options {
        num_threads,
        ..Options::default()
    })
    .unwrap()
}

#[test]
fn every_task_runs_once() {
    let _shared = shared();
    for threads in [1, 2, 7] {
        let ctx = context(threads);
        assert_eq!(ctx.num_threads(), threads);
        for tasks in [0, 1, 2, 3, 100, 1009] {
            let runs: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            ctx.parallel_for(tasks, |task| {
                runs[task].fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
            assert!(runs.iter().all(|n| n.load(Ordering::Relaxed) == 1));
        }
    }
}

#[test]
fn calls_inside_of_calls_end() {
    let _shared = shared();
    let ctx = context(3);
    let runs = AtomicUsize::new(0);
    ctx.parallel_for(5, |_| {
        ctx.parallel_for(7, |_| {
            runs.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    })
    .unwrap();
    assert_eq!(runs.into_inner(), 35);
}

/// Whichever thread panics, the call ends when no task runs any more, and the workers go on.
#[test]
fn a_panic_of_a_task_comes_out_of_the_call() {
    let _shared = shared();
    let ctx = context(3);
    for round in 0..20 {
        let running = AtomicUsize::new(0);
        let call = std::panic::AssertUnwindSafe(|| {
            ctx.parallel_for(50, |task| {
                running.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(std::time::Duration::from_micros(50));
                running.fetch_sub(1, Ordering::Relaxed);
                if task == round {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
            })
        });
        let panic = std::panic::catch_unwind(call).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
        assert_eq!(running.into_inner(), 0);
    }
}

/// The CPUs that the workers of all contexts may run on.
#[cfg(target_os = "linux")]
fn cpus_of_workers() -> Vec<String> {
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| task.unwrap().path())
        .filter(|task| read(task.join("comm")).starts_with("omma-"))
        .filter_map(|task| {
            let status = read(task.join("status"));
            let line = status.lines().find(|l| l.starts_with("Cpus_allowed:"))?;
            Some(line.to_owned())
        })
        .collect()
}

/// A sleeping worker is woken away from the caller's CPU, see `runtime::affinity`.
#[test]
#[cfg(target_os = "linux")]
fn workers_get_their_cpus_back() {
    let _alone = ALONE.write().unwrap_or_else(|e| e.into_inner());
    let ctx = context(3);
    let pause = || std::thread::sleep(std::time::Duration::from_millis(5));
    // A busy machine may take its time.
    let patiently = |done: &dyn Fn() -> bool| {
        (0..2000).any(|_| {
            done() || {
                pause();
                false
            }
        })
    };
    assert!(patiently(&|| cpus_of_workers().len() == 2));
    let before = cpus_of_workers();
    for _ in 0..5 {
        let threads = std::sync::Mutex::new(std::collections::HashSet::new());
        assert!(patiently(&|| {
            ctx.parallel_for(30, |_| {
                threads.lock().unwrap().insert(std::thread::current().id());
                std::thread::sleep(std::time::Duration::from_millis(1));
            })
            .unwrap();
            threads.lock().unwrap().len() == 3
        }));
        assert!(patiently(&|| cpus_of_workers() == before));
    }
}

#[test]
fn slots_do_not_share_scratch() {
    let _shared = shared();
    let ctx = context(4);
    let clashes = AtomicUsize::new(0);
    ctx.parallel_for_scratch::<u64>(500, 33, |task, scratch| {
        assert_eq!(scratch.len(), 33);
        scratch.fill(task as u64);
        std::hint::black_box(&mut *scratch);
        std::thread::yield_now();
        if scratch.iter().any(|&v| v != task as u64) {
            clashes.fetch_add(1, Ordering::Relaxed);
        }
    })
    .unwrap();
    assert_eq!(clashes.into_inner(), 0);
}

#[test]
fn a_second_call_allocates_nothing() {
    let _alone = ALONE.write().unwrap_or_else(|e| e.into_inner());
    let ctx = context(1);
    let call = || {
        let mut a = ctx.scratch::<f32>(10_000).unwrap();
        let b = ctx.scratch::<u8>(77).unwrap();
        a[0] = f32::from(b[0]);
        ctx.parallel_for_scratch::<f32>(9, 1234, |i, s| s[0] = i as f32)
            .unwrap();
    };
    call();
    ALLOCATIONS.store(0, Ordering::Relaxed);
    COUNTING.set(true);
    call();
    COUNTING.set(false);
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), 0);
}

unsafe extern "C" fn count_allocate(
    user: *mut c_void,
    size: usize,
    alignment: usize,
) -> *mut c_void {
    // SAFETY: `user` is the counter of the test; the layout is legal.
    unsafe {
        let counter = &*user.cast::<AtomicUsize>();
        if counter.fetch_add(1, Ordering::Relaxed) >= 1000 {
            return std::ptr::null_mut();
        }
        System
            .alloc(Layout::from_size_align_unchecked(size, alignment))
            .cast()
    }
}

unsafe extern "C" fn count_deallocate(
    user: *mut c_void,
    ptr: *mut c_void,
    size: usize,
    alignment: usize,
) {
    // SAFETY: as above.
    unsafe {
        (*user.cast::<AtomicUsize>()).fetch_sub(1, Ordering::Relaxed);
        System.dealloc(
            ptr.cast(),
            Layout::from_size_align_unchecked(size, alignment),
        );
    }
}

fn hooked(counter: &AtomicUsize, num_threads: usize) -> Context {
    Context::new(Options {
        num_threads,
        allocator: Some(Allocator {
            allocate: count_allocate,
            deallocate: count_deallocate,
            user: std::ptr::from_ref(counter).cast_mut().cast(),
        }),
        ..Options::default()
    })
    .unwrap()
}

#[test]
fn scratch_comes_from_the_callers_allocator_and_goes_back() {
    let _shared = shared();
    let live = AtomicUsize::new(0);
    let ctx = hooked(&live, 3);
    {
        let a = ctx.scratch::<f32>(100).unwrap();
        let b = ctx.buffer::<f32>(100).unwrap();
        assert_eq!(a.as_ptr() as usize % 64, 0);
        assert!(b.iter().all(|&v| v == 0.0));
        assert_eq!(live.load(Ordering::Relaxed), 2);
    }
    // The scratch is kept for the next call, the buffer is not.
    assert_eq!(live.load(Ordering::Relaxed), 1);
    assert_eq!(ctx.scratch_bytes(), 4096);
    for _ in 0..10 {
        ctx.parallel_for_scratch::<f32>(30, 10, |_, s| s.fill(1.0))
            .unwrap();
    }
    assert_eq!(live.load(Ordering::Relaxed), 1);
    drop(ctx);
    assert_eq!(live.load(Ordering::Relaxed), 0);
}

#[test]
fn memory_that_cannot_be_had_is_an_error_before_the_first_task() {
    let _shared = shared();
    let live = AtomicUsize::new(1000);
    let ctx = hooked(&live, 2);
    let error = ctx.scratch::<f32>(1).err().unwrap();
    assert_eq!(error.status(), Status::OutOfMemory);
    live.store(1000, Ordering::Relaxed);
    let ran = AtomicUsize::new(0);
    let error = ctx.parallel_for_scratch::<f32>(8, 8, |_, _| {
        ran.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(error.unwrap_err().status(), Status::OutOfMemory);
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    for huge in [usize::MAX, usize::MAX / 4, isize::MAX as usize / 4] {
        assert_eq!(
            context(1).scratch::<f32>(huge).err().unwrap().status(),
            Status::OutOfMemory
        );
    }
}

#[test]
fn threads_share_a_context() {
    let _shared = shared();
    let ctx = context(3);
    std::thread::scope(|scope| {
        for t in 0..8u64 {
            let ctx = &ctx;
            scope.spawn(move || {
                for round in 0..200u64 {
                    let mut mine = ctx
                        .scratch::<u64>(1000 + (round as usize * 37) % 5000)
                        .unwrap();
                    mine.fill(t << 32 | round);
                    let sum = AtomicUsize::new(0);
                    ctx.parallel_for(20, |i| {
                        sum.fetch_add(i, Ordering::Relaxed);
                    })
                    .unwrap();
                    assert_eq!(sum.into_inner(), 190);
                    assert!(mine.iter().all(|&v| v == (t << 32 | round)));
                }
            });
        }
    });
}

unsafe extern "C" fn on_threads(
    user: *mut c_void,
    count: usize,
    task: unsafe extern "C" fn(*mut c_void, usize),
    arg: *mut c_void,
) {
    struct Arg(*mut c_void);
    // SAFETY: the callback's contract: callable from any thread.
    unsafe impl Sync for Arg {}
    // SAFETY: `user` is the counter of the test.
    unsafe { &*user.cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
    let arg = Arg(arg);
    std::thread::scope(|scope| {
        for i in 0..count {
            let arg = &arg;
            // SAFETY: once per index, and the scope waits.
            scope.spawn(move || unsafe { task(arg.0, i) });
        }
    });
}

unsafe extern "C" fn forgets_one(
    _user: *mut c_void,
    count: usize,
    task: unsafe extern "C" fn(*mut c_void, usize),
    arg: *mut c_void,
) {
    for i in 1..count {
        // SAFETY: once per index.
        unsafe { task(arg, i) };
    }
}

#[test]
fn the_callers_threads_do_the_work() {
    let _shared = shared();
    let calls = AtomicUsize::new(0);
    let with = |run| {
        Context::new(Options {
            num_threads: 3,
            parallel_for: Some(ParallelFor {
                run,
                user: (&raw const calls).cast_mut().cast(),
            }),
            ..Options::default()
        })
        .unwrap()
    };
    let sum = AtomicUsize::new(0);
    let add = |i: usize, _: &mut [f32]| {
        sum.fetch_add(i, Ordering::Relaxed);
    };
    with(on_threads).parallel_for_scratch(100, 5, add).unwrap();
    assert_eq!(sum.load(Ordering::Relaxed), 4950);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    // A callback that breaks its promise is found out.
    let error = with(forgets_one)
        .parallel_for_scratch(100, 5, add)
        .unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
}

#[test]
fn a_panic_on_the_callers_threads_does_not_cross_them() {
    let _shared = shared();
    let calls = AtomicUsize::new(0);
    let ctx = Context::new(Options {
        num_threads: 2,
        parallel_for: Some(ParallelFor {
            run: on_threads,
            user: (&raw const calls).cast_mut().cast(),
        }),
        ..Options::default()
    })
    .unwrap();
    let error = ctx.parallel_for(2, |_| panic!("on purpose")).unwrap_err();
    assert_eq!(error.status(), Status::Internal);
}

#[test]
fn the_tier_is_the_one_asked_for() {
    let _shared = shared();
    for tier in Tier::ALL {
        let made = Context::new(Options {
            num_threads: 1,
            max_isa: Some(tier),
            ..Options::default()
        });
        match Isa::of(tier) {
            Some(_) => assert_eq!(made.unwrap().isa().tier(), tier),
            None => {
                let error = made.err().unwrap();
                assert_eq!(error.status(), Status::Unsupported);
                assert!(error.message().contains(tier.name()), "{error}");
            }
        }
        assert_eq!(Tier::from_name(tier.name()), Some(tier));
    }
}

/// This program again. An emulated CPU's programs are started through the emulator.
fn this_program() -> std::process::Command {
    let program = std::env::current_exe().unwrap();
    match std::env::var_os("OMMA_TEST_RUNNER") {
        None => std::process::Command::new(program),
        Some(runner) => {
            let mut command = std::process::Command::new(runner);
            command.arg(program);
            command
        }
    }
}

/// The environment is read when a context is made, so each setting gets a process of its own.
#[test]
fn the_environment_lowers_the_tier() {
    const CHILD: &str = "OMMA_TEST_EXPECT";
    if let Ok(expected) = std::env::var(CHILD) {
        let serial = Context::serial().map(|c| c.isa().tier().name());
        let made = Context::new(Options::default()).map(|c| c.isa().tier().name());
        match expected.strip_prefix("error ") {
            None => assert_eq!(
                (serial.unwrap(), made.unwrap()),
                (&expected[..], &expected[..])
            ),
            Some(words) => {
                for error in [serial.unwrap_err(), made.unwrap_err()] {
                    assert!(error.message().contains(words), "{error}");
                }
            }
        }
        return;
    }
    let _shared = shared();
    let mut settings = vec![
        ("nonsense", "error OMMA_MAX_ISA".to_string()),
        ("", Isa::detect().tier().name().to_string()),
    ];
    for tier in Tier::ALL {
        settings.push(match Isa::of(tier) {
            Some(_) => (tier.name(), tier.name().to_string()),
            None => (tier.name(), format!("error {}", tier.name())),
        });
    }
    for (value, expected) in settings {
        let output = this_program()
            .args(["--exact", "the_environment_lowers_the_tier"])
            .env("OMMA_MAX_ISA", value)
            .env(CHILD, &expected)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "OMMA_MAX_ISA={value}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

/// Whether an emulator runs this program.
fn emulated() -> bool {
    std::env::var_os("OMMA_TEST_RUNNER").is_some()
}

/// How the process ended; `None` when it had to be ended after 20 seconds.
fn ended(child: libc::pid_t) -> Option<i32> {
    let mut status = 0;
    let begin = std::time::Instant::now();
    while begin.elapsed().as_secs() < 20 {
        // SAFETY: asks for a child that was made by `fork` and not waited for.
        match unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } {
            0 => std::thread::sleep(std::time::Duration::from_millis(1)),
            pid => {
                assert_eq!(pid, child);
                return Some(status);
            }
        }
    }
    // SAFETY: as above.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
    }
    None
}

#[test]
fn a_context_works_in_the_child_of_a_fork() {
    let _alone = ALONE.write().unwrap_or_else(|e| e.into_inner());
    for threads in [1, 3] {
        let ctx = context(threads);
        let sum = || {
            let sum = AtomicUsize::new(0);
            ctx.parallel_for_scratch::<f32>(100, 10, |i, s| {
                s.fill(i as f32);
                sum.fetch_add(s[9] as usize, Ordering::Relaxed);
            })
            .unwrap();
            sum.into_inner()
        };
        assert_eq!(sum(), 4950);
        let child = || {
            // SAFETY: the child only uses the context and leaves by _exit.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: as above.
                unsafe { libc::_exit(if sum() == 4950 && sum() == 4950 { 0 } else { 1 }) };
            }
            assert!(child > 0);
            assert_eq!(sum(), 4950);
            ended(child)
        };
        // QEMU's own locks may be held at the fork, and then its child hangs whatever it runs.
        let tries = if emulated() { 4 } else { 1 };
        let status = (0..tries).find_map(|_| child());
        assert_eq!(status, Some(0), "threads {threads}");
    }
}
