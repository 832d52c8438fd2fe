//! Medians of bytes in windows of any size, at a cost that does not depend on the size.
//!
//! Every column of the window has a histogram, which moves down a row by one value that enters and one that leaves. The
//! window's histogram moves right by a column that enters and one that leaves: so a pixel costs one update of a
//! column and one of the window (S. Perreault, P. Hébert, "Median filtering in constant time", 2007).
//!
//! Histograms have two levels of sixteen bins, by the upper and the lower four bits, and they are *cumulative*: bin `i` counts
//! the values up to `i`. A value enters by adding a row of a table of zeros and ones, the window's sixteen bins are one
//! vector of words on AVX2, and the bin that has the median is how many bins count too few: a comparison and a
//! population count, where plain histograms need a sum over bins. A run of pixels goes through the upper level first. Then, for
//! each of the few bins that have their medians, the lower level of that bin moves along the run: there is no branch that depends on a
//! single pixel. From run to run a bin's counts are brought up to date by the columns that came and went, or made anew when most did.

use super::super::pixels::{Pieces, Rows, RowsMut};
use super::{Border, Median};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::dispatch;
use crate::tensor::Element;
use std::ops::Range;

/// Bins of a level.
const BINS: usize = 16;

/// Pixels that go through the upper level before the lower one: long enough for the pixels of a bin to be many.
const RUN: usize = 32;

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

/// A count of a column or of a window. Sums wrap; a complete one fits.
trait Count: Element + PartialOrd {
    /// The largest.
    const MOST: usize;
    fn of(n: usize) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn index(self) -> usize;
}

macro_rules! count {
    ($($t:ty)*) => {$(
        impl Count for $t {
            const MOST: usize = <$t>::MAX as usize;
            #[inline(always)]
            fn of(n: usize) -> $t {
                n as $t
            }
            #[inline(always)]
            fn plus(self, other: $t) -> $t {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn minus(self, other: $t) -> $t {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn index(self) -> usize {
                self as usize
            }
        }
    )*};
}
count!(u8 u16 u32);

/// Counts of a column in windows of `W`.
trait Column<W: Count>: Count {
    fn widen(self) -> W;
}
macro_rules! column {
    ($($narrow:ty => $wide:ty),*) => {$(
        impl Column<$wide> for $narrow {
            #[inline(always)]
            fn widen(self) -> $wide {
                self.into()
            }
        }
    )*};
}
// Windows of 15, 255 and more.
column!(u8 => u8, u8 => u16, u16 => u32);

/// Cumulative counts of a level.
type Bins<C> = [C; BINS];

/// Counts a value of a column, or no longer.
#[inline(always)]
fn enter<C: Count>(column: &mut Bins<C>, counted: &[u8; BINS]) {
    for (bin, &one) in column.iter_mut().zip(counted) {
        *bin = bin.plus(C::of(usize::from(one)));
    }
}
#[inline(always)]
fn leave<C: Count>(column: &mut Bins<C>, counted: &[u8; BINS]) {
    for (bin, &one) in column.iter_mut().zip(counted) {
        *bin = bin.minus(C::of(usize::from(one)));
    }
}

/// Adds a column to a window.
#[inline(always)]
fn add<W: Count, C: Column<W>>(window: &mut Bins<W>, column: &Bins<C>) {
    for (sum, &count) in window.iter_mut().zip(column) {
        *sum = sum.plus(count.widen());
    }
}

/// Takes a column from a window.
#[inline(always)]
fn sub<W: Count, C: Column<W>>(window: &mut Bins<W>, column: &Bins<C>) {
    for (sum, &count) in window.iter_mut().zip(column) {
        *sum = sum.minus(count.widen());
    }
}

/// The first bin whose count exceeds `most`.
#[inline(always)]
fn first_above<W: Count>(window: &Bins<W>, most: W) -> usize {
    let mut bins = W::of(0);
    for &count in window {
        bins = bins.plus(W::of(usize::from(count <= most)));
    }
    bins.index() & (BINS - 1)
}

/// The lower level of a bin of the upper one.
#[derive(Clone, Copy)]
struct Lower<W> {
    /// The counts of all but the last column of a window.
    counts: Bins<W>,
    /// The window's first column; of none, zero.
    next: usize,
}

impl<W: Count> Lower<W> {
    fn new() -> Lower<W> {
        Lower {
            counts: [W::of(0); BINS],
            next: 0,
        }
    }

    /// The counts of all but the last of the `ksize` columns from `first` on.
    #[inline(always)]
    fn at<C: Column<W>>(&self, first: usize, columns: &[Bins<C>], ksize: usize) -> Bins<W> {
        let mut counts = self.counts;
        if self.next > 0 && first - self.next < ksize / 2 {
            for x in self.next..first {
                add(&mut counts, &columns[x + ksize - 1]);
                sub(&mut counts, &columns[x]);
            }
            return counts;
        }
        counts = [W::of(0); BINS];
        // As many columns as a narrow count holds at a time.
        for columns in columns[first..first + ksize - 1].chunks((C::MOST / ksize).max(1)) {
            let mut sum = columns[0];
            for column in &columns[1..] {
                for (sum, &count) in sum.iter_mut().zip(column) {
                    *sum = sum.plus(count);
                }
            }
            add(&mut counts, &sum);
        }
        counts
    }
}

/// The filter of one image.
struct Histograms<'a> {
    src: Rows<'a, u8>,
    dst: RowsMut<'a, u8>,
    ksize: usize,
    border: Border,
    /// Columns of pixels that a task makes.
    strip: usize,
}

impl Histograms<'_> {
    /// Columns whose histograms a task keeps.
    fn columns(&self) -> usize {
        self.strip + self.ksize - 1
    }

    /// Bytes of scratch for [`run`](Self::run).
    fn scratch<C: Element>(&self) -> usize {
        Pieces::bytes::<C>((BINS + 1) * BINS * self.columns())
            + 2 * Pieces::bytes::<u8>(self.columns())
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
    unsafe fn run<W: Count, C: Column<W>>(
        &self,
        rows: Range<usize>,
        start: usize,
        channel: usize,
        scratch: &mut [u8],
    ) {
        let (ksize, channels) = (self.ksize, self.src.size.channels);
        let half = ksize / 2;
        let width = self.strip.min(self.src.size.width - start);
        let columns = width + ksize - 1;
        let mut pieces = Pieces::new(scratch);
        let counts = pieces.take::<C>((BINS + 1) * BINS * columns);
        let entering = pieces.take::<u8>(columns);
        let leaving = pieces.take::<u8>(columns);
        counts.fill(C::of(0));
        let (counts, _) = counts.as_chunks_mut::<BINS>();
        let (upper, lower) = counts.split_at_mut(columns);
        // Where the bin of a value has its columns.
        let mut bases = [0; 256];
        for (v, base) in bases.iter_mut().enumerate() {
            *base = v / BINS * columns;
        }
        assert_eq!(lower.len(), BINS * columns);
        // All but the last row of the window of the row before the first: it enters below, when the first
        // one, which is taken twice, has left.
        let above = half + 1;
        for y in rows.start..rows.start + ksize {
            self.values(y, above, start, channel, entering);
            for (x, &v) in entering.iter().enumerate() {
                let v = usize::from(v);
                enter(&mut upper[x], &UPPER[v]);
                enter(&mut lower[bases[v] + x], &LOWER[v]);
            }
        }
        let middle = ksize * ksize / 2;
        for y in rows {
            self.values(y + ksize, above, start, channel, entering);
            self.values(y, above, start, channel, leaving);
            for (x, (&enters, &leaves)) in entering.iter().zip(leaving.iter()).enumerate() {
                let (enters, leaves) = (usize::from(enters), usize::from(leaves));
                let column = &mut upper[x];
                enter(column, &UPPER[enters]);
                leave(column, &UPPER[leaves]);
                // SAFETY: a bin has all columns.
                unsafe {
                    enter(lower.get_unchecked_mut(bases[enters] + x), &LOWER[enters]);
                    leave(lower.get_unchecked_mut(bases[leaves] + x), &LOWER[leaves]);
                }
            }
            let mut window = [W::of(0); BINS];
            for column in &upper[..ksize - 1] {
                add(&mut window, column);
            }
            let mut lowers = [Lower::new(); BINS];
            // SAFETY: the caller has this part to itself.
            let out = unsafe { self.dst.row(y) };
            let out = &mut out[start * channels + channel..];
            // Behind a zero, so that the counts before a bin are at its place.
            let mut windows = [[W::of(0); BINS + 1]; RUN];
            let mut bins = [0; RUN];
            let mut pixels = [0u32; BINS];
            let mut medians = [[0u8; RUN]; 2];
            for first in (0..width).step_by(RUN) {
                let count = RUN.min(width - first);
                // The upper level: the bin of each pixel, with the window's counts, and the pixels of each bin.
                let mut seen = 0u32;
                let (enters, leaves) = (
                    &upper[first + ksize - 1..][..count],
                    &upper[first..][..count],
                );
                for i in 0..count {
                    add(&mut window, &enters[i]);
                    windows[i][1..].copy_from_slice(&window);
                    let bin = first_above(&window, W::of(middle));
                    bins[i] = bin;
                    pixels[bin] |= 1 << i;
                    seen |= 1 << bin;
                    sub(&mut window, &leaves[i]);
                }
                // The lower level: for each bin that some pixel has, the window moves from the first to the last.
                while seen != 0 {
                    let bin = seen.trailing_zeros() as usize;
                    seen &= seen - 1;
                    let mask = std::mem::take(&mut pixels[bin]);
                    let from = mask.trailing_zeros() as usize;
                    let to = RUN - mask.leading_zeros() as usize;
                    let columns = &lower[bin * columns..(bin + 1) * columns];
                    let mut counts = lowers[bin].at(first + from, columns, ksize);
                    let (enters, leaves) = (
                        &columns[first + ksize - 1..][..count],
                        &columns[first..][..count],
                    );
                    let mut i = from;
                    while i < to.min(count) {
                        add(&mut counts, &enters[i]);
                        let below = windows[i][bin];
                        let median = bin * BINS + first_above(&counts, W::of(middle).minus(below));
                        // Pixels of other bins go where nobody looks: a branch would be mispredicted.
                        medians[usize::from(bins[i] == bin)][i] = median as u8;
                        sub(&mut counts, &leaves[i]);
                        i += 1;
                    }
                    lowers[bin] = Lower {
                        counts,
                        next: first + to,
                    };
                }
                let medians = &medians[1][..count];
                let out = &mut out[first * channels..];
                if channels == 1 {
                    out[..count].copy_from_slice(medians);
                } else {
                    for (out, &median) in out.iter_mut().step_by(channels).zip(medians) {
                        *out = median;
                    }
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
        let strip = size.width.min((3 * ksize).max(320));
        let strips = size.width.div_ceil(strip);
        let filter = Histograms {
            src,
            dst,
            ksize,
            border,
            strip: size.width.div_ceil(strips),
        };
        // A band starts with the histograms of a whole window.
        const TASKS: usize = 16;
        let bands = TASKS
            .div_ceil(strips * size.channels)
            .min(size.height / (4 * ksize))
            .max(1);
        let band = size.height.div_ceil(bands);
        let bytes = match ksize {
            ..=255 => filter.scratch::<u8>(),
            _ => filter.scratch::<u16>(),
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
            dispatch!(isa, _simd => unsafe {
                match ksize {
                    ..=15 => filter.run::<u8, u8>(rows, start, channel, scratch),
                    16..=255 => filter.run::<u16, u8>(rows, start, channel, scratch),
                    _ => filter.run::<u32, u16>(rows, start, channel, scratch),
                }
            });
        })
    }
}
