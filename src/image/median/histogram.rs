//! Medians of bytes in windows of any size, at a cost that does not depend on the size.
//!
//! Every column of the window has a histogram, which moves down a row by one value that enters and one that leaves. The
//! window's histogram moves right by a column that enters and one that leaves: so a pixel costs one update of a
//! column and one of the window (S. Perreault, P. Hébert, "Median filtering in constant time", 2007).
//!
//! Histograms have two levels of sixteen bins, by the upper and the lower four bits, and they are *cumulative*: bin `i` counts
//! the values up to `i`. A value enters by adding a row of a table of zeros and ones, the window's sixteen bins are one
//! vector of words on AVX2, and the bin that has the median is how many bins count too few: a comparison and a
//! population count, where plain histograms need a sum over bins. Only the lower level of the bin that has the median is
//! brought up to date, by the columns that came and went since it was wanted last, or anew when most did.

use super::super::pixels::{Pieces, Rows, RowsMut};
use super::{Border, Median};
use crate::error::Result;
use crate::runtime::Context;
use crate::simd::dispatch;
use crate::tensor::Element;
use std::ops::Range;

/// Bins of a level.
const BINS: usize = 16;

/// Row `v` has a one for each bin that counts `v`.
const COUNTED: [[u8; BINS]; BINS] = {
    let mut table = [[0; BINS]; BINS];
    let mut v = 0;
    while v < BINS {
        let mut bin = v;
        while bin < BINS {
            table[v][bin] = 1;
            bin += 1;
        }
        v += 1;
    }
    table
};

/// A count of a column or of a window. Sums wrap; a complete one fits.
trait Count: Element + PartialOrd {
    fn of(n: usize) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn index(self) -> usize;
}

macro_rules! count {
    ($($t:ty)*) => {$(
        impl Count for $t {
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
// A window of 255 has 65025 values.
column!(u8 => u16, u16 => u32);

/// Cumulative counts of a level.
type Bins<C> = [C; BINS];

/// Counts a value of a column, or no longer.
#[inline(always)]
fn enter<C: Count>(column: &mut Bins<C>, v: u8) {
    for (bin, &one) in column.iter_mut().zip(&COUNTED[usize::from(v)]) {
        *bin = bin.plus(C::of(usize::from(one)));
    }
}
#[inline(always)]
fn leave<C: Count>(column: &mut Bins<C>, v: u8) {
    for (bin, &one) in column.iter_mut().zip(&COUNTED[usize::from(v)]) {
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

/// Adds a column to a window and takes another away.
#[inline(always)]
fn slide<W: Count, C: Column<W>>(window: &mut Bins<W>, enters: &Bins<C>, leaves: &Bins<C>) {
    for i in 0..BINS {
        window[i] = window[i].plus(enters[i].widen()).minus(leaves[i].widen());
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
        Pieces::bytes::<C>((BINS + 1) * BINS * self.columns()) + 2 * Pieces::bytes::<u8>(self.columns())
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
        // All but the last row of the window of the row before the first: it enters below, when the first
        // one, which is taken twice, has left.
        let above = half + 1;
        for y in rows.start..rows.start + ksize {
            self.values(y, above, start, channel, entering);
            for (x, &v) in entering.iter().enumerate() {
                enter(&mut upper[x], v >> 4);
                enter(&mut lower[usize::from(v >> 4) * columns + x], v & 15);
            }
        }
        let middle = ksize * ksize / 2;
        for y in rows {
            self.values(y + ksize, above, start, channel, entering);
            self.values(y, above, start, channel, leaving);
            for (x, (&enters, &leaves)) in entering.iter().zip(leaving.iter()).enumerate() {
                if enters == leaves {
                    continue;
                }
                enter(&mut upper[x], enters >> 4);
                leave(&mut upper[x], leaves >> 4);
                enter(&mut lower[usize::from(enters >> 4) * columns + x], enters & 15);
                leave(&mut lower[usize::from(leaves >> 4) * columns + x], leaves & 15);
            }
            let mut window = [W::of(0); BINS];
            for column in &upper[..ksize] {
                add(&mut window, column);
            }
            // For each bin, its window and where that was last; the far end for never.
            let mut lowers = [[W::of(0); BINS]; BINS];
            let mut places = [usize::MAX; BINS];
            // SAFETY: the caller has this part to itself.
            let out = unsafe { self.dst.row(y) };
            let out = &mut out[start * channels + channel..];
            for x in 0..width {
                if x > 0 {
                    slide(&mut window, &upper[x + ksize - 1], &upper[x - 1]);
                }
                let bin = first_above(&window, W::of(middle));
                let below = match bin {
                    0 => W::of(0),
                    _ => window[bin - 1],
                };
                let lower = &lower[bin * columns..(bin + 1) * columns];
                let (counts, place) = (&mut lowers[bin], places[bin]);
                if place.saturating_add(half) < x || place == usize::MAX {
                    *counts = [W::of(0); BINS];
                    for column in &lower[x..x + ksize] {
                        add(counts, column);
                    }
                } else {
                    for at in place..x {
                        slide(counts, &lower[at + ksize], &lower[at]);
                    }
                }
                places[bin] = x;
                let rest = W::of(middle).minus(below);
                out[x * channels] = (bin * BINS + first_above(counts, rest)) as u8;
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
        let strip = size.width.min((3 * ksize).max(160));
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
                    ..=255 => filter.run::<u16, u8>(rows, start, channel, scratch),
                    _ => filter.run::<u32, u16>(rows, start, channel, scratch),
                }
            });
        })
    }
}
