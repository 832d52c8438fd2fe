//! Medians of 3 x 3 in registers.
//!
//! The median of nine is the median of three: the largest of the columns' minima, the median of their medians and the smallest
//! of their maxima. Lanes are neighbouring samples, and two rows are made at a time: the two samples that a column has in
//! both windows are sorted once. A vector of medians takes 27 minima and maxima so. Columns sorted once for
//! the three windows that they are in would take 17, but to write them and to read them back, two of three
//! across cache lines, costs more.
//!
//! Rows are made keys once, with their borders, and four of them are held in the first-level cache.

use super::super::pixels::{Pieces, Rows, RowsMut};
use super::Border;
use super::order::Ordered;
use crate::simd::Narrow;
use std::ops::Range;

/// Bytes of the rows that are held.
const CACHE: usize = 96 * 1024;
/// Elements that are a whole number of cache lines, and that vectors may reach beyond a row.
const LINE: usize = 64;
/// Rows of two windows.
const ROWS: usize = 4;

/// The filter of one image.
pub(super) struct Three<'a, T> {
    pub(super) src: Rows<'a, T>,
    pub(super) dst: RowsMut<'a, T>,
    pub(super) border: Border,
}

impl<T: Ordered> Three<'_, T> {
    /// Samples of a strip: whole pixels.
    fn strip(&self) -> usize {
        let channels = self.src.size.channels;
        let samples = CACHE / (ROWS * size_of::<T>());
        ((samples / channels).max(1) * channels).min(self.src.size.row())
    }

    /// Elements from a held row to the next.
    fn step(&self) -> usize {
        (self.strip() + 2 * self.src.size.channels + 2 * LINE).next_multiple_of(LINE)
    }

    /// Bytes of scratch for [`band`](Self::band).
    pub(super) fn scratch(&self) -> usize {
        Pieces::bytes::<T::Key>(ROWS * self.step()) + Pieces::bytes::<T>(self.step())
    }

    /// Makes these rows.
    ///
    /// # Safety
    /// Nobody else has these rows of the output.
    #[inline(always)]
    pub(super) unsafe fn band<S: Narrow>(&self, simd: S, rows: Range<usize>, scratch: &mut [u8]) {
        let (row, channels) = (self.src.size.row(), self.src.size.channels);
        let (strip, step) = (self.strip(), self.step());
        let mut pieces = Pieces::new(scratch);
        let held = pieces.take::<T::Key>(ROWS * step).as_mut_ptr();
        // The samples of a strip begin at a cache line.
        let held = held.wrapping_add(channels.next_multiple_of(LINE) - channels);
        let spare = pieces.take::<T>(step).as_mut_ptr();
        for start in (0..row).step_by(strip) {
            let len = strip.min(row - start);
            for y in rows.clone().step_by(2) {
                // Of the four rows of two windows the next pair has two.
                let new = if y == rows.start { 0 } else { 2 };
                let mut from = [held.cast_const(); ROWS];
                for (i, from) in from.iter_mut().enumerate() {
                    let to = held.wrapping_add((y + i) % ROWS * step);
                    *from = to;
                    if i >= new {
                        // SAFETY: held rows have room for a strip, its borders and a vector.
                        unsafe { self.hold(simd, y + i, start, len, to) };
                    }
                }
                // The two rows that come next, which are asked for meanwhile.
                let mut next = [std::ptr::null(); 2];
                for (i, next) in next.iter_mut().enumerate() {
                    let at = (y + ROWS - 1 + i).min(self.src.size.height - 1);
                    *next = self.src.row(at)[start..].as_ptr();
                }
                // SAFETY: the caller has these rows of the output to itself; the rows are held, with their borders.
                unsafe {
                    let first = self.dst.row(y)[start..].as_mut_ptr();
                    // A last row alone is made as if there were another.
                    let second = match y + 1 < rows.end {
                        true => self.dst.row(y + 1)[start..].as_mut_ptr(),
                        false => spare,
                    };
                    medians::<T, S>(simd, from, next, channels, [first, second], len);
                }
            }
        }
    }

    /// Makes keys of the row before `y`, from a pixel before `start` to one behind `start + len`.
    ///
    /// # Safety
    /// `to` is writable for these.
    #[inline(always)]
    unsafe fn hold<S: Narrow>(&self, simd: S, y: usize, start: usize, len: usize, to: *mut T::Key) {
        let channels = self.src.size.channels;
        let lanes = T::lanes::<S>();
        let all = len + 2 * channels;
        // SAFETY: the caller's promise.
        unsafe {
            let Some(y) = self.border.row(y, 1, self.src.size.height) else {
                return std::slice::from_raw_parts_mut(to, all).fill(T::ZERO_KEY);
            };
            let row = self.src.row(y);
            let row = &row[start.saturating_sub(channels)..row.len().min(start + len + channels)];
            // The first strip has a border on its left, the last one on its right.
            let inset = if start == 0 { channels } else { 0 };
            let inside = to.wrapping_add(inset);
            let mut at = 0;
            while at + lanes <= row.len() {
                let v = T::keys(simd, row.as_ptr().add(at));
                T::store(simd, inside.add(at), v);
                at += lanes;
            }
            for (i, &sample) in row.iter().enumerate().skip(at) {
                inside.add(i).write(sample.key());
            }
            let held = std::slice::from_raw_parts_mut(to, all);
            let behind = inset + row.len();
            match self.border {
                Border::Constant => {
                    held[..inset].fill(T::ZERO_KEY);
                    held[behind..].fill(T::ZERO_KEY);
                }
                Border::Replicate => {
                    held.copy_within(inset..2 * inset, 0);
                    held.copy_within(2 * behind - all..behind, behind);
                }
            }
        }
    }
}

/// The medians of two rows of windows that begin with the first columns.
///
/// # Safety
/// The rows are readable for `len` windows and a vector, `out` is writable for `len` samples.
#[inline(always)]
unsafe fn medians<T: Ordered, S: Narrow>(
    simd: S,
    rows: [*const T::Key; ROWS],
    next: [*const T; 2],
    channels: usize,
    out: [*mut T; 2],
    len: usize,
) {
    let lanes = T::lanes::<S>();
    let mut at = 0;
    // SAFETY: the caller's promise.
    unsafe {
        while at + lanes <= len {
            for next in next {
                simd.prefetch(next.wrapping_add(at).cast());
            }
            let [a, b] = windows::<T, S>(simd, rows, at, channels);
            T::finish(simd, out[0].add(at), lanes, a);
            T::finish(simd, out[1].add(at), lanes, b);
            at += lanes;
        }
        if at < len {
            let [a, b] = windows::<T, S>(simd, rows, at, channels);
            T::finish(simd, out[0].add(at), len - at, a);
            T::finish(simd, out[1].add(at), len - at, b);
        }
    }
}

/// The medians of a vector of windows in two rows.
///
/// # Safety
/// The rows are readable as far.
#[inline(always)]
unsafe fn windows<T: Ordered, S: Narrow>(
    simd: S,
    rows: [*const T::Key; ROWS],
    at: usize,
    channels: usize,
) -> [T::Vector<S>; 2] {
    // SAFETY: the caller's promise.
    let [a, b, c] = unsafe {
        [
            columns::<T, S>(simd, rows, at),
            columns::<T, S>(simd, rows, at + channels),
            columns::<T, S>(simd, rows, at + 2 * channels),
        ]
    };
    [
        of_nine::<T, S>(simd, [a[0], b[0], c[0]]),
        of_nine::<T, S>(simd, [a[1], b[1], c[1]]),
    ]
}

/// Sorts a vector of columns for either row.
///
/// # Safety
/// The rows are readable for a vector from `at` on.
#[inline(always)]
unsafe fn columns<T: Ordered, S: Narrow>(
    simd: S,
    rows: [*const T::Key; ROWS],
    at: usize,
) -> [[T::Vector<S>; 3]; 2] {
    // SAFETY: the caller's promise.
    let [first, a, b, last] = unsafe {
        [
            T::load(simd, rows[0].add(at)),
            T::load(simd, rows[1].add(at)),
            T::load(simd, rows[2].add(at)),
            T::load(simd, rows[3].add(at)),
        ]
    };
    let (low, high) = (T::min(simd, a, b), T::max(simd, a, b));
    [
        among::<T, S>(simd, low, high, first),
        among::<T, S>(simd, low, high, last),
    ]
}

/// Three samples in order, of which two are.
#[inline(always)]
fn among<T: Ordered, S: Narrow>(
    simd: S,
    low: T::Vector<S>,
    high: T::Vector<S>,
    other: T::Vector<S>,
) -> [T::Vector<S>; 3] {
    let rest = T::max(simd, low, other);
    [
        T::min(simd, low, other),
        T::min(simd, high, rest),
        T::max(simd, high, rest),
    ]
}

/// The median of three sorted columns.
#[inline(always)]
fn of_nine<T: Ordered, S: Narrow>(simd: S, [a, b, c]: [[T::Vector<S>; 3]; 3]) -> T::Vector<S> {
    let low = T::max(simd, T::max(simd, a[0], b[0]), c[0]);
    let high = T::min(simd, T::min(simd, a[2], b[2]), c[2]);
    let middle = of_three::<T, S>(simd, a[1], b[1], c[1]);
    of_three::<T, S>(simd, low, middle, high)
}

/// The median of three.
#[inline(always)]
fn of_three<T: Ordered, S: Narrow>(
    simd: S,
    a: T::Vector<S>,
    b: T::Vector<S>,
    c: T::Vector<S>,
) -> T::Vector<S> {
    let (low, high) = (T::min(simd, a, b), T::max(simd, a, b));
    T::max(simd, low, T::min(simd, high, c))
}
