//! Bands of rows as tasks, and how a row gets from who makes it to where it belongs.

use super::pixels::{Rows, RowsMut, Size};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{Narrow, dispatch};
use crate::tensor::Element;
use std::ops::Range;

/// Makes rows of the destination.
pub(super) trait Producer<T: Element>: Sync {
    /// Bytes of scratch that a band needs.
    fn scratch(&self) -> usize;
    /// Samples of a run at most, so that sinks know how much room it may need.
    fn longest_run(&self) -> usize;
    /// Makes these rows, run by run: `sink.place`, write, `sink.finish`.
    ///
    /// # Safety
    /// No other band of the sink's output has these rows.
    unsafe fn band<S: Narrow, K: Sink<T>>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
        sink: &K,
    );
}

/// Takes finished runs of samples. A run begins and ends with a whole pixel
/// (when there are at most four channels).
pub(super) trait Sink<T: Element>: Sync {
    /// Whether `place` is in the output, and `finish` does not read it.
    const DIRECT: bool;
    /// Bytes of scratch that a band needs for runs of at most this length.
    fn scratch(&self, longest_run: usize) -> usize;
    /// Where the run of `len` samples from `start` on of row `y` is to be written.
    ///
    /// # Safety
    /// Nobody else works on this run.
    unsafe fn place<'a>(
        &'a self,
        y: usize,
        start: usize,
        len: usize,
        scratch: &'a mut [u8],
    ) -> &'a mut [T];
    /// Takes a run that has been written to `place`, or one that lies elsewhere.
    ///
    /// # Safety
    /// Nobody else works on this run.
    unsafe fn finish<S: Narrow>(&self, simd: S, y: usize, start: usize, run: &[T]);
}

/// A run goes straight to the output.
impl<T: Element> Sink<T> for RowsMut<'_, T> {
    const DIRECT: bool = true;
    fn scratch(&self, _longest_run: usize) -> usize {
        0
    }
    #[inline(always)]
    unsafe fn place<'a>(
        &'a self,
        y: usize,
        start: usize,
        len: usize,
        _scratch: &'a mut [u8],
    ) -> &'a mut [T] {
        // SAFETY: the caller has this run to itself.
        unsafe { &mut self.row(y)[start..start + len] }
    }
    #[inline(always)]
    unsafe fn finish<S: Narrow>(&self, _simd: S, _y: usize, _start: usize, _run: &[T]) {}
}

/// Rows as they are.
pub(super) struct Plain<'a, T>(pub(super) Rows<'a, T>);

impl<T: Element> Producer<T> for Plain<'_, T> {
    fn scratch(&self) -> usize {
        0
    }
    fn longest_run(&self) -> usize {
        0
    }
    #[inline(always)]
    unsafe fn band<S: Narrow, K: Sink<T>>(
        &self,
        simd: S,
        rows: Range<usize>,
        _scratch: &mut [u8],
        sink: &K,
    ) {
        for y in rows {
            // SAFETY: the caller's promise.
            unsafe { sink.finish(simd, y, 0, self.0.row(y)) };
        }
    }
}

/// Which two source rows a band holds, interpolated along x.
pub(super) struct Held([usize; 2]);

impl Held {
    pub(super) fn new() -> Held {
        Held([usize::MAX; 2])
    }

    /// Where the two wanted rows are to be (one place when they are the same), and
    /// which of them are not there yet and must be made now.
    #[inline(always)]
    pub(super) fn claim(&mut self, wanted: [usize; 2]) -> ([usize; 2], [bool; 2]) {
        let same = wanted[0] == wanted[1];
        let swap =
            self.0[0] != wanted[0] && (self.0[1] == wanted[0] || (!same && self.0[0] == wanted[1]));
        let first = usize::from(swap);
        let halves = [first, if same { first } else { 1 - first }];
        let missing = [
            self.0[halves[0]] != wanted[0],
            !same && self.0[halves[1]] != wanted[1],
        ];
        self.0[halves[0]] = wanted[0];
        self.0[halves[1]] = wanted[1];
        (halves, missing)
    }
}

/// Whether an output of floats is so large that little of it is left in the caches when it is done: stores that go past them save
/// reading its lines, a fifth of the time of 1920 x 1080 to 3840 x 2160. Below 10 MB they lose.
pub(super) fn past_caches(dst: Size) -> bool {
    const FLOATS: usize = 5 << 19;
    dst.height.saturating_mul(dst.row()) >= FLOATS
}

/// Asks for what a vector of `C` channels reads of another row: at every other block of four lanes, where images shrink so little that
/// lines would be asked for twice if more often.
///
/// # Safety
/// `offsets` has the offset of every pixel of the vector.
#[inline(always)]
pub(super) unsafe fn ask_ahead<S: Narrow, const C: usize>(
    simd: S,
    row: *const f32,
    offsets: *const u32,
) {
    let pixels = 4 / C.clamp(1, 4);
    for block in (0..S::BLOCKS).step_by(2) {
        // SAFETY: the caller's promise.
        simd.prefetch(row.wrapping_add(unsafe { *offsets.add(block * pixels) } as usize));
    }
}

/// Stores pixels of three or four channels, one a block.
///
/// # Safety
/// `to` has room for them.
#[inline(always)]
pub(super) unsafe fn store_pixels<S: Narrow>(simd: S, to: *mut f32, channels: usize, v: S::F32) {
    // SAFETY: the caller's promise.
    unsafe {
        match channels {
            3 => simd.store_twelves_ptr(to.cast(), simd.i32_as_bytes(simd.bits(v))),
            _ => simd.store_ptr(to, v),
        }
    }
}

/// Floats ahead at which a destination is asked for: its lines are read before they are written, and stores wait for that. 64 gain less, 1024 no
/// more.
const AHEAD: usize = 512;

/// Asks for the destination, a little ahead.
#[inline(always)]
pub(super) fn ask_destination<S: Narrow>(simd: S, to: *const f32) {
    simd.prefetch(to.wrapping_add(AHEAD));
}

/// A vector of each weight.
#[inline(always)]
pub(super) fn splats<S: Narrow, const N: usize>(simd: S, weights: [f32; N]) -> [S::F32; N] {
    let mut splats = [simd.zero(); N];
    for (splat, weight) in splats.iter_mut().zip(weights) {
        *splat = simd.splat(weight);
    }
    splats
}

/// Joins rows along y; `STREAM` past the caches.
///
/// # Safety
/// The rows hold as much as `out`.
#[inline(always)]
pub(super) unsafe fn along_y<S: Narrow, const N: usize, const STREAM: bool>(
    simd: S,
    rows: [*const f32; N],
    weights: [f32; N],
    out: &mut [f32],
) {
    // Floats of a cache line, a multiple of every tier's vector.
    const LINE: usize = 16;
    let (to, len) = (out.as_mut_ptr(), out.len());
    let weights = splats(simd, weights);
    // A line of which a part goes past the caches and another does not is dear: what passes is whole lines.
    let head = match STREAM {
        true => ((to as usize).wrapping_neg() / size_of::<f32>() % LINE).min(len),
        false => 0,
    };
    let tail = len - (len - head) % LINE;
    // SAFETY: the caller's promise; where they go past the caches, lines are aligned.
    unsafe {
        joined_some(simd, rows, weights, 0..head, to);
        let mut line = head;
        while line < tail {
            if !STREAM {
                ask_destination(simd, to.wrapping_add(line));
            }
            for i in 0..LINE / S::LANES {
                let at = line + i * S::LANES;
                let mut sum = simd.mul(simd.load_ptr(rows[0].add(at)), weights[0]);
                for i in 1..N {
                    sum = simd.fma(simd.load_ptr(rows[i].add(at)), weights[i], sum);
                }
                match STREAM {
                    true => simd.store_streaming_ptr(to.add(at), sum),
                    false => simd.store_ptr(to.add(at), sum),
                }
            }
            line += LINE;
        }
        joined_some(simd, rows, weights, tail..len, to);
    }
}

/// Joins a part of rows, of any length.
///
/// # Safety
/// The rows and the destination hold it.
#[inline(always)]
unsafe fn joined_some<S: Narrow, const N: usize>(
    simd: S,
    rows: [*const f32; N],
    weights: [S::F32; N],
    part: Range<usize>,
    to: *mut f32,
) {
    for at in part.clone().step_by(S::LANES) {
        let left = part.end - at;
        // SAFETY: the caller's promise.
        unsafe {
            let mut sum = simd.mul(simd.load_partial_ptr(rows[0].add(at), left), weights[0]);
            for i in 1..N {
                let v = simd.load_partial_ptr(rows[i].add(at), left);
                sum = simd.fma(v, weights[i], sum);
            }
            simd.store_partial_ptr(to.add(at), left, sum);
        }
    }
}

/// The rows of a band when `height` rows of `row` samples are to be made: enough
/// work to be worth a task, enough tasks to share. It must not depend on the number of threads.
pub(super) fn band_rows(height: usize, row: usize) -> usize {
    const SAMPLES: usize = 16 * 1024;
    const TASKS: usize = 64;
    let tasks = (height.saturating_mul(row) / SAMPLES).clamp(1, TASKS);
    height.div_ceil(tasks).max(1)
}

/// Copies all rows; the sizes are the same.
pub(super) fn copy<T: Element>(ctx: &Context, src: Rows<'_, T>, dst: RowsMut<'_, T>) -> Result<()> {
    let height = src.size.height;
    let band = band_rows(height, src.size.row());
    ctx.parallel_for(height.div_ceil(band), |task| {
        for y in task * band..((task + 1) * band).min(height) {
            // SAFETY: bands are disjoint.
            unsafe { dst.row(y) }.copy_from_slice(src.row(y));
        }
    })
}

/// Makes all `height` rows of `row` samples, in tasks.
pub(super) fn run<T: Element, P: Producer<T>, K: Sink<T>>(
    ctx: &Context,
    producer: &P,
    sink: &K,
    height: usize,
    row: usize,
) -> Result<()> {
    let isa = ctx.isa();
    let band = band_rows(height, row);
    let bytes = producer.scratch() + sink.scratch(producer.longest_run());
    ctx.parallel_for_scratch::<u8>(height.div_ceil(band), bytes, |task, scratch| {
        let rows = task * band..((task + 1) * band).min(height);
        // SAFETY: bands are disjoint.
        dispatch!(isa, simd => unsafe { producer.band(simd, rows, scratch, sink) });
    })
}
