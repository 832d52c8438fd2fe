//! Medians of bytes in windows of any size, at a cost that does not depend on the size.
//!
//! Every column of the window has a histogram, which moves down a row by one value that enters and one that leaves. The
//! window's histogram moves right by a column that enters and one that leaves: so a pixel costs one update of a
//! column and one of the window (S. Perreault, P. Hébert, "Median filtering in constant time", 2007).
//!
//! Histograms have two levels of sixteen bins, by the upper and the lower four bits, and they are *cumulative*: bin `i` counts
//! the values up to `i`. A value enters by adding a row of a table of zeros and ones, sixteen bins are one vector ([`Counts`]),
//! and the bin that has the median is how many bins count too few: a comparison and a population count, where plain histograms
//! need a sum over bins. A row goes through the upper level first. Then, run by run, for each of the few bins that have medians of the
//! run, the lower level of that bin moves along it: no branch depends on a single pixel, and of each run only which bins it has. From run
//! to run a bin's counts are brought up to date by the columns that came and went, or made anew when many did.

use super::super::pixels::{Pieces, Rows, RowsMut};
use super::{Border, Median};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::{COUNTERS, Counts, dispatch};
use crate::tensor::Element;
use std::array::from_fn;
use std::ops::Range;

/// Bins of a level.
const BINS: usize = COUNTERS;

/// Pixels that go through the lower level together: few bins have their medians even where the image changes, and steps over
/// them are unrolled. With 32 pixels, from the first to the last of a bin, trip counts were mispredicted.
const RUN: usize = 8;

/// Rows of ones for the bins that count a value: of the upper level, and of the lower one.
const UPPER: [[u8; BINS]; 256] = counted(16);
const LOWER: [[u8; BINS]; 256] = counted(1);

const fn counted(unit: usize) -> [[u8; BINS]; 256] {
    let mut table = [[0; BINS]; 256];
    let mut v = 0;
    while v < 256 {
        let mut bin = v / unit % BINS;
        while bin < BINS {
            table[v][bin] = 1;
            bin += 1;
        }
        v += 1;
    }
    table
}

/// Cumulative counts of a level.
type Bins<C> = [C; BINS];

/// A count of a column or of a window, and vectors of a level. Sums wrap; a complete one fits.
trait Count: Element {
    /// The largest.
    const MOST: usize;
    /// The counts of a level.
    type Vector<S: Counts>: Copy;
    fn of(n: usize) -> Self;
    fn minus(self, other: Self) -> Self;
    fn load<S: Counts>(simd: S, from: &Bins<Self>) -> Self::Vector<S>;
    fn store<S: Counts>(simd: S, to: &mut Bins<Self>, v: Self::Vector<S>);
    /// Zeros and ones of a table.
    fn ones<S: Counts>(simd: S, from: &Bins<u8>) -> Self::Vector<S>;
    fn add<S: Counts>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn sub<S: Counts>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// How many are at most `most`: the first bin whose count exceeds it.
    fn at_most<S: Counts>(simd: S, v: Self::Vector<S>, most: Self) -> usize;
}

macro_rules! count {
    ($($t:ty: $vector:ident $load:ident $store:ident $add:ident $sub:ident $at_most:ident, $simd:ident $from:ident => $ones:expr;)*) => {$(
        impl Count for $t {
            const MOST: usize = <$t>::MAX as usize;
            type Vector<S: Counts> = S::$vector;
            #[inline(always)]
            fn of(n: usize) -> $t {
                n as $t
            }
            #[inline(always)]
            fn minus(self, other: $t) -> $t {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn load<S: Counts>(simd: S, from: &Bins<$t>) -> S::$vector {
                simd.$load(from)
            }
            #[inline(always)]
            fn store<S: Counts>(simd: S, to: &mut Bins<$t>, v: S::$vector) {
                simd.$store(to, v)
            }
            #[inline(always)]
            fn ones<S: Counts>($simd: S, $from: &Bins<u8>) -> S::$vector {
                $ones
            }
            #[inline(always)]
            fn add<S: Counts>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }
            #[inline(always)]
            fn sub<S: Counts>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$sub(a, b)
            }
            #[inline(always)]
            fn at_most<S: Counts>(simd: S, v: S::$vector, most: $t) -> usize {
                simd.$at_most(v, most)
            }
        }
    )*};
}
count! {
    u8: C8 load_c8 store_c8 add_c8 sub_c8 at_most_c8, simd from => simd.load_c8(from);
    u16: C16 load_c16 store_c16 add_c16 sub_c16 at_most_c16, simd from => simd.widen_c8(simd.load_c8(from));
    u32: C32 load_c32 store_c32 add_c32 sub_c32 at_most_c32, simd from =>
        simd.widen_c16(simd.widen_c8(simd.load_c8(from)));
}

/// Counts of a column in windows of `W`.
trait Column<W: Count>: Count {
    fn widen<S: Counts>(simd: S, v: Self::Vector<S>) -> W::Vector<S>;
}
macro_rules! column {
    ($($narrow:ty => $wide:ty: $simd:ident $v:ident => $widened:expr;)*) => {$(
        impl Column<$wide> for $narrow {
            #[inline(always)]
            fn widen<S: Counts>($simd: S, $v: Self::Vector<S>) -> <$wide as Count>::Vector<S> {
                $widened
            }
        }
    )*};
}
// Windows of 15, 255 and more.
column! {
    u8 => u8: _simd v => v;
    u8 => u16: simd v => simd.widen_c8(v);
    u16 => u32: simd v => simd.widen_c16(v);
}

/// Counts a value of a column.
#[inline(always)]
fn enter<S: Counts, C: Count>(simd: S, column: &mut Bins<C>, counted: &Bins<u8>) {
    let counts = C::add(simd, C::load(simd, column), C::ones(simd, counted));
    C::store(simd, column, counts);
}

/// Counts a value of a column no longer.
#[inline(always)]
fn leave<S: Counts, C: Count>(simd: S, column: &mut Bins<C>, counted: &Bins<u8>) {
    let counts = C::sub(simd, C::load(simd, column), C::ones(simd, counted));
    C::store(simd, column, counts);
}

/// Adds a column to a window.
#[inline(always)]
fn add<S: Counts, W: Count, C: Column<W>>(
    simd: S,
    window: W::Vector<S>,
    column: &Bins<C>,
) -> W::Vector<S> {
    W::add(simd, window, C::widen(simd, C::load(simd, column)))
}

/// Takes a column from a window.
#[inline(always)]
fn sub<S: Counts, W: Count, C: Column<W>>(
    simd: S,
    window: W::Vector<S>,
    column: &Bins<C>,
) -> W::Vector<S> {
    W::sub(simd, window, C::widen(simd, C::load(simd, column)))
}

/// No counts.
#[inline(always)]
fn zeros<S: Counts, W: Count>(simd: S) -> W::Vector<S> {
    W::load(simd, &[W::of(0); BINS])
}

/// The lower level of a bin of the upper one.
#[derive(Clone, Copy)]
struct Lower<V> {
    /// The counts of all but the last column of a window.
    counts: V,
    /// The window's first column; of none, zero.
    next: usize,
}

impl<V: Copy> Lower<V> {
    /// The counts of all but the last of the `ksize` columns from `first` on; a count of a column holds the sum of `narrow`.
    #[inline(always)]
    fn at<S: Counts, W: Count<Vector<S> = V>, C: Column<W>>(
        &self,
        simd: S,
        first: usize,
        columns: &[Bins<C>],
        ksize: usize,
        narrow: usize,
    ) -> V {
        // A step costs as much as some four columns.
        if self.next > 0 && 4 * (first - self.next) < ksize {
            let (enters, leaves) = steps(columns, ksize);
            let runs = self.next / RUN..first / RUN;
            let mut counts = self.counts;
            for (enters, leaves) in enters[runs.clone()].iter().zip(&leaves[runs]) {
                for i in 0..RUN {
                    counts = add::<S, W, C>(simd, counts, &enters[i]);
                    counts = sub::<S, W, C>(simd, counts, &leaves[i]);
                }
            }
            return counts;
        }
        let mut counts = zeros::<S, W>(simd);
        let mut rest = &columns[first..first + ksize - 1];
        while !rest.is_empty() {
            let (some, others) = rest.split_at(narrow.min(rest.len()));
            let mut sum = C::load(simd, &some[0]);
            for column in &some[1..] {
                sum = C::add(simd, sum, C::load(simd, column));
            }
            counts = W::add(simd, counts, C::widen(simd, sum));
            rest = others;
        }
        counts
    }
}

/// Columns, run by run.
type Runs<'a, C> = &'a [[Bins<C>; RUN]];

/// The columns that enter a window, and those that leave it.
#[inline(always)]
fn steps<C>(columns: &[Bins<C>], ksize: usize) -> (Runs<'_, C>, Runs<'_, C>) {
    (columns[ksize - 1..].as_chunks().0, columns.as_chunks().0)
}

/// The filter of one image.
struct Histograms<'a> {
    src: Rows<'a, u8>,
    dst: RowsMut<'a, u8>,
    ksize: usize,
    border: Border,
    /// Columns of pixels that a task makes, whole runs.
    strip: usize,
}

impl Histograms<'_> {
    /// Columns whose histograms a task keeps.
    fn columns(&self) -> usize {
        self.strip + self.ksize - 1
    }

    /// Bytes of scratch for [`run`](Self::run).
    fn scratch<W: Count, C: Element>(&self) -> usize {
        Pieces::bytes::<C>((BINS + 1) * BINS * self.columns())
            + 2 * Pieces::bytes::<u8>(self.columns())
            + Pieces::bytes::<W>(self.strip)
            + Pieces::bytes::<u8>(self.strip * (BINS + 2))
            + Pieces::bytes::<u32>(self.strip / RUN)
    }

    /// The values of a channel in the columns from `start - ksize / 2` on, of row `y - before`.
    #[inline(always)]
    fn values(&self, y: usize, before: usize, start: usize, channel: usize, to: &mut [u8]) {
        let (channels, width) = (self.src.size.channels, self.src.size.width);
        let Some(y) = self.border.row(y, before, self.src.size.height) else {
            return to.fill(0);
        };
        let row = &self.src.row(y)[channel..];
        let half = self.ksize / 2;
        let outside = half.saturating_sub(start).min(to.len());
        let first = start.saturating_sub(half);
        let inside = to.len().min(width + outside - first) - outside;
        let (left, right) = match self.border {
            Border::Replicate => (row[0], row[(width - 1) * channels]),
            Border::Constant => (0, 0),
        };
        to[..outside].fill(left);
        to[outside + inside..].fill(right);
        let to = &mut to[outside..outside + inside];
        if channels == 1 {
            return to.copy_from_slice(&row[first..first + inside]);
        }
        for (to, pixel) in to.iter_mut().zip(row[first * channels..].chunks(channels)) {
            *to = pixel[0];
        }
    }

    /// Makes these rows of a channel in the columns from `start` on.
    ///
    /// # Safety
    /// Nobody else has this part of the output.
    #[inline(always)]
    unsafe fn run<S: Counts, W: Count, C: Column<W>>(
        &self,
        simd: S,
        rows: Range<usize>,
        start: usize,
        channel: usize,
        scratch: &mut [u8],
    ) {
        let (ksize, channels) = (self.ksize, self.src.size.channels);
        let half = ksize / 2;
        let width = self.strip.min(self.src.size.width - start);
        // Whole runs: behind the last pixel are more, which nobody sees.
        let padded = width.next_multiple_of(RUN);
        let columns = padded + ksize - 1;
        let mut pieces = Pieces::new(scratch);
        let counts = pieces.take::<C>((BINS + 1) * BINS * columns);
        let entering = pieces.take::<u8>(columns);
        let leaving = pieces.take::<u8>(columns);
        let (mosts, _) = pieces.take::<W>(padded).as_chunks_mut::<RUN>();
        let seen = pieces.take::<u32>(padded / RUN);
        let bytes = pieces.take::<u8>(padded * (BINS + 2));
        let (bins, bytes) = bytes.split_at_mut(padded);
        let (medians, lows) = bytes.split_at_mut(padded);
        let (lows, _) = lows.as_chunks_mut::<BINS>();
        counts.fill(C::of(0));
        let (counts, _) = counts.as_chunks_mut::<BINS>();
        let (upper, lower) = counts.split_at_mut(columns);
        // Where the bin of a value has its columns, in bytes.
        let mut bases = [0; 256];
        for (v, base) in bases.iter_mut().enumerate() {
            *base = v / BINS * columns * size_of::<Bins<C>>();
        }
        assert_eq!(lower.len(), BINS * columns);
        // All but the last row of the window of the row before the first: it enters below, when the first
        // one, which is taken twice, has left.
        let above = half + 1;
        for y in rows.start..rows.start + ksize {
            self.values(y, above, start, channel, entering);
            for (x, &v) in entering.iter().enumerate() {
                let v = usize::from(v);
                enter(simd, &mut upper[x], &UPPER[v]);
                enter(simd, &mut lower[v / BINS * columns + x], &LOWER[v]);
            }
        }
        let middle = W::of(ksize * ksize / 2);
        let narrow = (C::MOST / ksize).max(1);
        for y in rows {
            self.values(y + ksize, above, start, channel, entering);
            self.values(y, above, start, channel, leaving);
            let values = entering.iter().zip(leaving.iter());
            let held = lower.as_mut_ptr();
            for (x, (column, (&enters, &leaves))) in upper.iter_mut().zip(values).enumerate() {
                let (enters, leaves) = (usize::from(enters), usize::from(leaves));
                let counts = C::add(simd, C::load(simd, column), C::ones(simd, &UPPER[enters]));
                let counts = C::sub(simd, counts, C::ones(simd, &UPPER[leaves]));
                C::store(simd, column, counts);
                // SAFETY: a bin has all columns.
                unsafe {
                    let at = |v: usize| held.byte_add(bases[v]).add(x);
                    enter(simd, &mut *at(enters), &LOWER[enters]);
                    leave(simd, &mut *at(leaves), &LOWER[leaves]);
                }
            }
            // The upper level: the bin of each pixel, how many of the window may be in it up to the median, and which
            // bins a run has.
            let mut window = zeros::<S, W>(simd);
            for column in &upper[..ksize - 1] {
                window = add::<S, W, C>(simd, window, column);
            }
            // Behind a zero, so that the counts before a bin are at its place.
            let mut below = [W::of(0); BINS + 1];
            let (enters, leaves) = steps(upper, ksize);
            let (to, _) = bins.as_chunks_mut::<RUN>();
            for (run, seen) in seen.iter_mut().enumerate() {
                let (enters, leaves, mosts) = (&enters[run], &leaves[run], &mut mosts[run]);
                let mut bits = 0;
                for i in 0..RUN {
                    window = add::<S, W, C>(simd, window, &enters[i]);
                    let bin = W::at_most(simd, window, middle) & (BINS - 1);
                    let [_, after @ ..] = &mut below;
                    W::store(simd, after, window);
                    to[run][i] = bin as u8;
                    mosts[i] = middle.minus(below[bin]);
                    bits |= 1 << bin;
                    window = sub::<S, W, C>(simd, window, &leaves[i]);
                }
                *seen = bits;
            }
            // The lower level: for each bin that some pixel of a run has, the window moves along the run. Pixels of other bins
            // are counted in vain, because a branch would be mispredicted.
            let mut lowers = [Lower {
                counts: zeros::<S, W>(simd),
                next: 0,
            }; BINS];
            let (to, _) = lows.as_chunks_mut::<RUN>();
            let lower: [_; BINS] = from_fn(|bin| &lower[bin * columns..(bin + 1) * columns]);
            for (run, &seen) in seen.iter().enumerate() {
                let (to, mosts) = (&mut to[run], &mosts[run]);
                let mut bits = seen;
                while bits != 0 {
                    let bin = bits.trailing_zeros() as usize & (BINS - 1);
                    bits &= bits - 1;
                    let columns = lower[bin];
                    let first = run * RUN;
                    let state = &mut lowers[bin];
                    let mut counts = state.at::<S, W, C>(simd, first, columns, ksize, narrow);
                    let (enters, leaves) = steps(columns, ksize);
                    let (enters, leaves) = (&enters[run], &leaves[run]);
                    for i in 0..RUN {
                        counts = add::<S, W, C>(simd, counts, &enters[i]);
                        to[i][bin] = W::at_most(simd, counts, mosts[i]) as u8;
                        counts = sub::<S, W, C>(simd, counts, &leaves[i]);
                    }
                    *state = Lower {
                        counts,
                        next: first + RUN,
                    };
                }
            }
            for ((to, &bin), lows) in medians.iter_mut().zip(bins.iter()).zip(lows.iter()) {
                *to = bin << 4 | lows[usize::from(bin) & (BINS - 1)];
            }
            // SAFETY: the caller has this part to itself.
            let out = unsafe { self.dst.row(y) };
            let out = &mut out[start * channels + channel..];
            let medians = &medians[..width];
            if channels == 1 {
                out[..width].copy_from_slice(medians);
            } else {
                for (out, &median) in out.iter_mut().step_by(channels).zip(medians) {
                    *out = median;
                }
            }
        }
    }
}

impl Median for u8 {
    fn large(
        ctx: &Context,
        src: Rows<'_, u8>,
        dst: RowsMut<'_, u8>,
        ksize: usize,
        border: Border,
    ) -> Result<()> {
        let size = src.size;
        // Wide enough for the columns on either side to be few beside them, narrow enough for the caches.
        let strip = size.width.min((3 * ksize).max(640));
        let strips = size.width.div_ceil(strip);
        let filter = Histograms {
            src,
            dst,
            ksize,
            border,
            strip: size.width.div_ceil(strips).next_multiple_of(RUN),
        };
        // A band starts with the histograms of a whole window.
        const TASKS: usize = 16;
        let bands = TASKS
            .div_ceil(strips * size.channels)
            .min(size.height / (4 * ksize))
            .max(1);
        let band = size.height.div_ceil(bands);
        let bytes = match ksize {
            ..=255 => filter.scratch::<u16, u8>(),
            _ => filter.scratch::<u32, u16>(),
        };
        let isa = ctx.isa();
        let tasks = strips * size.channels * bands;
        ctx.parallel_for_scratch::<u8>(tasks, bytes, |task, scratch| {
            let (channel, task) = (task % size.channels, task / size.channels);
            let start = task % strips * filter.strip;
            let first = task / strips * band;
            let rows = first.min(size.height)..(first + band).min(size.height);
            if start >= size.width || rows.is_empty() {
                return;
            }
            // SAFETY: tasks are disjoint.
            dispatch!(isa, simd => unsafe {
                match ksize {
                    ..=15 => filter.run::<_, u8, u8>(simd, rows, start, channel, scratch),
                    16..=255 => filter.run::<_, u16, u8>(simd, rows, start, channel, scratch),
                    _ => filter.run::<_, u32, u16>(simd, rows, start, channel, scratch),
                }
            });
        })
    }
}
