//! What the harness needs in machine code, called through ctypes: the limits of the machine, measured in
//! the run that is judged by them, and the crate `matrixmultiply`, so that it takes its turns with the others.
//!
//! A limit is the best of many slices of about a millisecond, over so many threads at once as the
//! operators have: a rate that the machine did reach.

mod peak;

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// As many threads as can run at once, at most `threads`: the best of each could not be added otherwise.
fn at_once(threads: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    threads.clamp(1, cores)
}

/// Work per second of `threads` threads that each do `slice` again and again for `seconds`: the sum of
/// the best slice of each. `slice` returns how much work it was.
fn rate(threads: usize, seconds: f64, slice: impl Fn(usize) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let one = |thread| {
        let mut best = 0f64;
        barrier.wait();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs_f64(seconds) {
            let start = Instant::now();
            let mut work = 0.0;
            while start.elapsed() < Duration::from_millis(1) {
                work += slice(thread);
            }
            best = best.max(work / start.elapsed().as_secs_f64());
        }
        best
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|thread| scope.spawn(move || one(thread)))
            .collect();
        let own = one(0);
        others
            .into_iter()
            .map(|other| other.join().unwrap_or(0.0))
            .sum::<f64>()
            + own
    })
}

/// Floating-point operations per second (two a multiply-add) in registers.
#[unsafe(no_mangle)]
pub extern "C" fn omma_peers_peak(threads: usize, seconds: f64) -> f64 {
    let tier = ["avx512", "avx2", "neon", "portable"]
        .into_iter()
        .find(|tier| peak::run(tier).is_some())
        .unwrap_or("portable");
    rate(at_once(threads), seconds, |_| {
        peak::run(tier).map_or(0.0, |n| n as f64)
    })
}

/// The sum of all words, read in `STREAMS` streams: a CPU may read several faster than one.
#[inline(always)]
fn add_all<const STREAMS: usize>(data: &[u64]) -> u64 {
    const BLOCK: usize = 64;
    let each = BLOCK / STREAMS;
    let part = data.len() / STREAMS;
    let mut sums = [0u64; BLOCK];
    for at in (0..part / each * each).step_by(each) {
        for (stream, sums) in sums.chunks_exact_mut(each).enumerate() {
            let block = &data[stream * part + at..][..each];
            for (sum, value) in sums.iter_mut().zip(block) {
                *sum = sum.wrapping_add(*value);
            }
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_all_avx2<const STREAMS: usize>(data: &[u64]) -> u64 {
    add_all::<STREAMS>(data)
}

fn sum<const STREAMS: usize>(data: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: just detected.
        return unsafe { add_all_avx2::<STREAMS>(data) };
    }
    add_all::<STREAMS>(data)
}

/// Bytes per second that move when `bytes` bytes in all are touched again and again: the largest of reading them in one stream and
/// in four, and of copying one half to the other (read and written bytes both count).
#[unsafe(no_mangle)]
pub extern "C" fn omma_peers_bandwidth(threads: usize, bytes: usize, seconds: f64) -> f64 {
    let threads = at_once(threads);
    // A multiple of what one step of the sum takes.
    let words = (bytes / 8 / threads).max(1024) / 1024 * 1024;
    let buffers: Vec<_> = (0..threads)
        .map(|_| std::sync::Mutex::new(vec![1u64; words]))
        .collect();
    let moved = (8 * words) as f64;
    let lock = |thread: usize| {
        buffers[thread]
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    };
    let read = rate(threads, seconds / 3.0, |thread| {
        black_box(sum::<1>(black_box(&lock(thread)[..])));
        moved
    });
    let streams = rate(threads, seconds / 3.0, |thread| {
        black_box(sum::<4>(black_box(&lock(thread)[..])));
        moved
    });
    let copied = rate(threads, seconds / 3.0, |thread| {
        let mut buffer = lock(thread);
        let (to, from) = buffer.split_at_mut(words / 2);
        to.copy_from_slice(black_box(from));
        black_box(to);
        moved
    });
    read.max(streams).max(copied)
}

/// `c = a b` for compact matrices (m, k), (k, n) and (m, n) by `matrixmultiply`, on the calling thread.
///
/// # Safety
/// The pointers are to as many floats; `c` overlaps neither `a` nor `b`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_peers_matrixmultiply(
    m: usize,
    n: usize,
    k: usize,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
) {
    let (columns, depth) = (n as isize, k as isize);
    // SAFETY: the caller's promise.
    unsafe {
        matrixmultiply::sgemm(m, k, n, 1.0, a, depth, 1, b, columns, 1, 0.0, c, columns, 1);
    }
}
