//! Medians of 3 x 3 to 9 x 9 by sorting networks.
//!
//! Lanes are neighbouring samples, so every exchange is a minimum and a maximum of whole vectors, 32 bytes at a time on
//! AVX2. What windows share is done once and kept in planes in the first-level cache, a rank a plane: a column of
//! the window is sorted once, not for each of the `k` windows that it is in; pairs of neighbouring columns are merged
//! once and used for two or more places in the window, and so are fours. What is left for a window is to merge two or
//! three sorted lists, and only as far as the ranks that can still be the median. A 5 x 5 median takes 94
//! minima and maxima in place of the 198 of the best network for 25 unsorted values, 9 x 9 takes 403.
//!
//! Border columns are sorted columns too, so the border is filled in there, and source rows are read as they are.

use super::super::pixels::{Pieces, Rows, RowsMut};
use super::Border;
use super::networks::*;
use super::order::{Ordered, Planes, Samples};
use crate::simd::Narrow;
use std::ops::Range;

/// Bytes of all planes of a strip.
const CACHE: usize = 24 * 1024;
/// Elements that vectors may reach beyond a plane: two of the longest.
const SLACK: usize = 128;

/// The filter of one image.
pub(super) struct Small<'a, T> {
    pub(super) src: Rows<'a, T>,
    pub(super) dst: RowsMut<'a, T>,
    pub(super) ksize: usize,
    pub(super) border: Border,
}

/// Planes that are kept: sorted columns, pairs and fours of them.
fn planes(ksize: usize) -> [usize; 3] {
    match ksize {
        3 => [3, 0, 0],
        5 => [5, 10, 0],
        7 => [7, 14, 22],
        _ => [9, 18, 36],
    }
}

impl<T: Ordered> Small<'_, T> {
    /// Samples of a strip: whole pixels.
    fn strip(&self) -> usize {
        let planes: usize = planes(self.ksize).iter().sum();
        let channels = self.src.size.channels;
        let samples = (CACHE / (planes * size_of::<T>())).next_multiple_of(64);
        ((samples / channels).max(1) * channels).min(self.src.size.row())
    }

    /// Samples on either side of a strip that its windows have.
    fn reach(&self) -> usize {
        self.ksize / 2 * self.src.size.channels
    }

    /// Elements of a plane.
    fn plane(&self) -> usize {
        (self.strip() + 2 * self.reach() + SLACK).next_multiple_of(64)
    }

    /// Bytes of scratch for [`band`](Self::band).
    pub(super) fn scratch(&self) -> usize {
        let keys: usize = planes(self.ksize)
            .iter()
            .map(|count| Pieces::bytes::<T>(count * self.plane()))
            .sum();
        keys + Pieces::bytes::<T>(self.plane()) + Pieces::bytes::<T>(self.ksize * SLACK)
    }

    /// Makes these rows.
    ///
    /// # Safety
    /// Nobody else has these rows of the output.
    #[inline(always)]
    pub(super) unsafe fn band<S: Narrow>(&self, simd: S, rows: Range<usize>, scratch: &mut [u8]) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.ksize {
                3 => self.strips::<S, 3>(simd, rows, scratch),
                5 => self.strips::<S, 5>(simd, rows, scratch),
                7 => self.strips::<S, 7>(simd, rows, scratch),
                _ => self.strips::<S, 9>(simd, rows, scratch),
            }
        }
    }

    /// As [`band`](Self::band), for windows of `K`.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn strips<S: Narrow, const K: usize>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut [u8],
    ) {
        let (row, channels) = (self.src.size.row(), self.src.size.channels);
        let (strip, reach, step) = (self.strip(), self.reach(), self.plane());
        let lanes = T::lanes::<S>();
        let mut pieces = Pieces::new(scratch);
        let [sorted, pairs, fours] = planes(K).map(|count| Planes {
            first: pieces.take::<T::Key>(count * step).as_mut_ptr(),
            step,
        });
        let zeros = pieces.take::<T>(step);
        zeros.fill(T::of_key(T::ZERO_KEY));
        let narrow = pieces.take::<T>(K * SLACK);
        for start in (0..row).step_by(strip) {
            let len = strip.min(row - start);
            // The columns that exist, of those that windows have.
            let first = start.saturating_sub(reach);
            let end = row.min(start + len + reach);
            let count = end - first;
            // Where the first one is in a plane.
            let inset = first + reach - start;
            for y in rows.clone() {
                let mut from = [zeros.as_ptr(); K];
                for (i, from) in from.iter_mut().enumerate() {
                    if let Some(at) = self.border.row(y + i, K / 2, self.src.size.height) {
                        *from = self.src.row(at)[first..].as_ptr();
                    }
                }
                if count < lanes {
                    // Rows that are shorter than a vector are read from a copy.
                    for (i, from) in from.iter_mut().enumerate() {
                        let copy = narrow.as_mut_ptr().wrapping_add(i * SLACK);
                        // SAFETY: both have `count` elements, less than a vector.
                        unsafe { std::ptr::copy_nonoverlapping(*from, copy, count) };
                        *from = copy;
                    }
                }
                // SAFETY: rows are readable for `count` samples or a vector, planes have room for
                // all columns and `SLACK` more; the caller has the output row to itself.
                unsafe {
                    let mut at = 0;
                    while at < count {
                        // The last vector ends with the row, and does some columns again.
                        let here = at.min(count.saturating_sub(lanes));
                        sort_columns::<T, S, K>(simd, from, here, sorted.at(inset + here));
                        at += lanes;
                    }
                    self.fill_border(sorted, K, inset, first, end, len + 2 * reach);
                    let out = &mut self.dst.row(y)[start..start + len];
                    medians::<T, S, K>(simd, [sorted, pairs, fours], channels, out);
                }
            }
        }
    }

    /// Writes the sorted columns that lie outside of the image.
    ///
    /// # Safety
    /// `inset` elements are before and those up to `all` after the columns `first..end` in each plane.
    #[inline(always)]
    unsafe fn fill_border(
        &self,
        sorted: Planes<T::Key>,
        ksize: usize,
        inset: usize,
        first: usize,
        end: usize,
        all: usize,
    ) {
        let channels = self.src.size.channels;
        let behind = inset + (end - first);
        if inset == 0 && behind == all {
            return;
        }
        for plane in 0..ksize {
            // SAFETY: the caller's promise.
            let plane = unsafe {
                std::slice::from_raw_parts_mut(sorted.first.add(plane * sorted.step), all)
            };
            match self.border {
                Border::Constant => {
                    plane[..inset].fill(T::ZERO_KEY);
                    plane[behind..].fill(T::ZERO_KEY);
                }
                Border::Replicate => {
                    for at in (0..inset).rev() {
                        plane[at] = plane[at + channels];
                    }
                    for at in behind..all {
                        plane[at] = plane[at - channels];
                    }
                }
            }
        }
    }
}

/// Sorts a vector of columns.
///
/// # Safety
/// The rows are readable for a vector from `at` on, the planes writable.
#[inline(always)]
unsafe fn sort_columns<T: Ordered, S: Narrow, const K: usize>(
    simd: S,
    rows: [*const T; K],
    at: usize,
    to: Planes<T::Key>,
) {
    let mut from = [Samples(rows[0]); K];
    for i in 0..K {
        from[i] = Samples(rows[i].wrapping_add(at));
    }
    // SAFETY: the caller's promise.
    unsafe {
        match K {
            3 => store::<T, S, 3>(simd, sort3(simd, &from), to),
            5 => store::<T, S, 5>(simd, sort5(simd, &from), to),
            7 => store::<T, S, 7>(simd, sort7(simd, &from), to),
            _ => store::<T, S, 9>(simd, sort9(simd, &from), to),
        }
    }
}

/// Writes a vector to each plane.
///
/// # Safety
/// They are writable.
#[inline(always)]
unsafe fn store<T: Ordered, S: Narrow, const N: usize>(
    simd: S,
    v: [T::Vector<S>; N],
    to: Planes<T::Key>,
) {
    for (i, v) in v.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { T::store(simd, to.first.add(i * to.step), v) };
    }
}

/// The medians of the windows that begin with the first columns.
///
/// # Safety
/// The sorted columns reach as far as the windows, and all planes `SLACK` further.
#[inline(always)]
unsafe fn medians<T: Ordered, S: Narrow, const K: usize>(
    simd: S,
    [sorted, pairs, fours]: [Planes<T::Key>; 3],
    c: usize,
    out: &mut [T],
) {
    let (lanes, len) = (T::lanes::<S>(), out.len());
    // SAFETY: the caller's promise.
    unsafe {
        // Pairs and fours begin at the columns of all windows but the last.
        for at in (0..len + (K - 2) * c).step_by(lanes) {
            match K {
                5 => store::<T, S, _>(
                    simd,
                    pair5::<T, S, _>(simd, &two(sorted, at, c)),
                    pairs.at(at),
                ),
                7 => store::<T, S, _>(
                    simd,
                    pair7::<T, S, _>(simd, &two(sorted, at, c)),
                    pairs.at(at),
                ),
                9 => store::<T, S, _>(
                    simd,
                    pair9::<T, S, _>(simd, &two(sorted, at, c)),
                    pairs.at(at),
                ),
                _ => {}
            }
        }
        for at in (0..len + (K - 4.min(K)) * c).step_by(lanes) {
            match K {
                7 => store::<T, S, _>(
                    simd,
                    four7::<T, S, _>(simd, &two(pairs, at, 2 * c)),
                    fours.at(at),
                ),
                9 => store::<T, S, _>(
                    simd,
                    four9::<T, S, _>(simd, &two(pairs, at, 2 * c)),
                    fours.at(at),
                ),
                _ => {}
            }
        }
        for at in (0..len).step_by(lanes) {
            let last = sorted.at(at + (K - 1) * c);
            let v = match K {
                3 => of_nine::<T, S>(simd, [sorted.at(at), sorted.at(at + c), last]),
                5 => middle::<T, S, _>(simd, most5::<T, S, _>(simd, &two(pairs, at, 2 * c)), last),
                7 => {
                    let from = [fours.at(at), pairs.at(at + 4 * c)];
                    middle::<T, S, _>(simd, most7::<T, S, _>(simd, &from), last)
                }
                _ => middle::<T, S, _>(simd, most9::<T, S, _>(simd, &two(fours, at, 4 * c)), last),
            };
            T::finish(simd, out.as_mut_ptr().add(at), len - at, v);
        }
    }
}

/// The planes from an element on, and from one that is `next` further.
#[inline(always)]
fn two<K: Copy>(from: Planes<K>, at: usize, next: usize) -> [Planes<K>; 2] {
    [from.at(at), from.at(at + next)]
}

/// The median of three sorted columns of three: that of the largest minimum, the median of the medians and
/// the smallest maximum.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn of_nine<T: Ordered, S: Narrow>(simd: S, from: [Planes<T::Key>; 3]) -> T::Vector<S> {
    // SAFETY: the caller's promise.
    unsafe {
        let mut v = [[T::load(simd, from[0].first); 3]; 3];
        for (column, v) in from.iter().zip(&mut v) {
            for (rank, v) in v.iter_mut().enumerate() {
                *v = T::load(simd, column.first.add(rank * column.step));
            }
        }
        let low = T::max(simd, T::max(simd, v[0][0], v[1][0]), v[2][0]);
        let high = T::min(simd, T::min(simd, v[0][2], v[1][2]), v[2][2]);
        let mid = of_three::<T, S>(simd, v[0][1], v[1][1], v[2][1]);
        of_three::<T, S>(simd, low, mid, high)
    }
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

/// The median of `N` sorted vectors and the `N - 1` of the last column: the least over all ways to
/// take `N` of them, lowest first from either list, of the largest taken.
///
/// # Safety
/// The column is readable.
#[inline(always)]
unsafe fn middle<T: Ordered, S: Narrow, const N: usize>(
    simd: S,
    v: [T::Vector<S>; N],
    column: Planes<T::Key>,
) -> T::Vector<S> {
    let mut least = v[N - 1];
    for taken in 1..N {
        // SAFETY: the caller's promise.
        let other = unsafe { T::load(simd, column.first.add((taken - 1) * column.step)) };
        least = T::min(simd, least, T::max(simd, v[N - 1 - taken], other));
    }
    least
}
