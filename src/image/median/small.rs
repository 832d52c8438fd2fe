//! Medians of 5 x 5 to 9 x 9 by sorting networks.
//!
//! Lanes are neighbouring samples, so every exchange is a minimum and a maximum of whole vectors, 32 bytes at a time on
//! AVX2. What windows share is done once and kept in planes in the first-level cache, a rank a plane.
//!
//! Two rows are made at a time. Their windows share all rows but one each, and in those a column
//! is sorted once, not for each of the `k` windows that it is in; pairs of neighbouring columns are merged
//! once and used for two or more places in the window, and so are fours. The fours, or pairs, and the last column
//! are merged only as far as the `k + 1` ranks that can still be the median once the row is there that a window has for itself; its `k`
//! values are sorted and meet those ranks in a chain of `k` minima and maxima. So a 5 x 5 median takes 81
//! minima and maxima in place of the 198 of the best network for 25 unsorted values, 9 x 9 takes 349.
//!
//! Border columns are sorted columns too, so the border is filled in there, and source rows are read as they are. Only the rows that a
//! window has for itself are copied, with their borders.

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
/// Elements that are a whole number of cache lines.
const LINE: usize = 64;

/// The filter of one image.
pub(super) struct Small<'a, T> {
    pub(super) src: Rows<'a, T>,
    pub(super) dst: RowsMut<'a, T>,
    pub(super) ksize: usize,
    pub(super) border: Border,
}

/// Planes that are kept: sorted columns, pairs and fours of them, and the rows that windows have for themselves.
fn planes(ksize: usize) -> [usize; 4] {
    match ksize {
        5 => [4, 8, 0, 2],
        7 => [6, 12, 24, 2],
        _ => [8, 16, 32, 2],
    }
}

impl<T: Ordered> Small<'_, T> {
    /// Samples of a strip: whole pixels.
    fn strip(&self) -> usize {
        let planes: usize = planes(self.ksize).iter().sum();
        let channels = self.src.size.channels;
        let samples = (CACHE / (planes * size_of::<T>())).next_multiple_of(LINE);
        ((samples / channels).max(1) * channels).min(self.src.size.row())
    }

    /// Samples on either side of a strip that its windows have.
    fn reach(&self) -> usize {
        self.ksize / 2 * self.src.size.channels
    }

    /// Elements of a plane.
    fn plane(&self) -> usize {
        (self.strip() + 2 * self.reach() + LINE + SLACK).next_multiple_of(LINE)
    }

    /// Bytes of scratch for [`band`](Self::band).
    pub(super) fn scratch(&self) -> usize {
        let keys: usize = planes(self.ksize)
            .iter()
            .map(|count| Pieces::bytes::<T>(count * self.plane()))
            .sum();
        keys + Pieces::bytes::<T>(self.plane()) + Pieces::bytes::<T>((self.ksize + 1) * SLACK)
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
        let made = planes(K).map(|count| Planes {
            first: pieces.take::<T::Key>(count * step).as_mut_ptr(),
            step,
        });
        let zeros = pieces.take::<T>(step);
        zeros.fill(T::of_key(T::ZERO_KEY));
        let narrow = pieces.take::<T>((K + 1) * SLACK).as_mut_ptr();
        for start in (0..row).step_by(strip) {
            let len = strip.min(row - start);
            // The columns that exist, of those that windows have.
            let first = start.saturating_sub(reach);
            let end = row.min(start + len + reach);
            let count = end - first;
            // Where the first one is in a plane.
            let inset = first + reach - start;
            // Vectors of columns begin at cache lines: stores into two lines cost several times as much.
            let [sorted, pairs, fours, own] = made;
            let aligned = inset.next_multiple_of(LINE) - inset;
            let (sorted, own) = (sorted.at(aligned), own.at(aligned));
            for y in rows.clone().step_by(2) {
                // The rows of both windows; a last row alone is made as if there were another.
                let from = |i: usize| {
                    let mut from = zeros.as_ptr();
                    if let Some(at) = self.border.row(y + i, K / 2, self.src.size.height) {
                        from = self.src.row(at)[first..].as_ptr();
                    }
                    if count < lanes {
                        // Rows that are shorter than a vector are read from a copy.
                        let copy = narrow.wrapping_add(i * SLACK);
                        // SAFETY: both have `count` elements, less than a vector.
                        unsafe { std::ptr::copy_nonoverlapping(from, copy, count) };
                        from = copy;
                    }
                    from
                };
                let mut shared = [from(1); K];
                for (i, shared) in shared.iter_mut().enumerate().take(K - 1) {
                    *shared = from(i + 1);
                }
                let outer = [from(0), from(K)];
                // The two rows that come next, which are asked for meanwhile.
                let ahead = y + K - K / 2 + 1;
                let mut next = [outer[1]; 2];
                for (i, next) in next.iter_mut().enumerate() {
                    let at = (ahead + i).min(self.src.size.height - 1);
                    *next = self.src.row(at)[first..].as_ptr();
                }
                // SAFETY: rows are readable for `count` samples or a vector, planes have room for
                // all columns and `SLACK` more; the caller has the output rows to itself.
                unsafe {
                    let mut at = 0;
                    while at < count {
                        // The last vector ends with the row, and does some columns again.
                        let here = at.min(count.saturating_sub(lanes));
                        let place = inset + here;
                        for next in next {
                            simd.prefetch(next.wrapping_add(at).cast());
                        }
                        sort_columns::<T, S, K>(simd, shared, here, sorted.at(place));
                        for (i, from) in outer.into_iter().enumerate() {
                            let to = own.first.add(i * step + place);
                            T::store(simd, to, T::keys(simd, from.add(here)));
                        }
                        at += lanes;
                    }
                    self.fill_border(sorted, planes(K)[0], inset, first, end, len + 2 * reach);
                    self.fill_border(own, planes(K)[3], inset, first, end, len + 2 * reach);
                    let last = (y + 1).min(rows.end - 1);
                    let out = [y, last].map(|y| self.dst.row(y)[start..].as_mut_ptr());
                    let planes = [sorted, pairs, fours, own];
                    medians::<T, S, K>(simd, planes, channels, &out[..last - y + 1], len);
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

/// Sorts a vector of columns of the rows that two windows share.
///
/// # Safety
/// The rows (`K - 1` that are shared) are readable for a vector from `at` on, the planes writable.
#[inline(always)]
unsafe fn sort_columns<T: Ordered, S: Narrow, const K: usize>(
    simd: S,
    shared: [*const T; K],
    at: usize,
    to: Planes<T::Key>,
) {
    // No closures around vectors: what is not inlined is compiled without the tier's instructions.
    let mut from = [Samples(shared[0]); K];
    for i in 0..K {
        from[i] = Samples(shared[i].wrapping_add(at));
    }
    // SAFETY: the caller's promise.
    unsafe {
        match K {
            5 => store::<T, S, 4>(simd, sort4(simd, &from), to),
            7 => store::<T, S, 6>(simd, sort6(simd, &from), to),
            _ => store::<T, S, 8>(simd, sort8(simd, &from), to),
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

/// The medians of the windows that begin with the first columns, for one row or two.
///
/// # Safety
/// The sorted columns reach as far as the windows, and all planes `SLACK` further; `out` is writable for `len` samples.
#[inline(always)]
unsafe fn medians<T: Ordered, S: Narrow, const K: usize>(
    simd: S,
    [sorted, pairs, fours, own]: [Planes<T::Key>; 4],
    c: usize,
    out: &[*mut T],
    len: usize,
) {
    let lanes = T::lanes::<S>();
    // SAFETY: the caller's promise.
    unsafe {
        // Pairs and fours begin at the columns of all windows but the last.
        for at in (0..len + (K - 2) * c).step_by(lanes) {
            let from = two(sorted, at, c);
            match K {
                5 => store::<T, S, _>(simd, pair5::<T, S, _>(simd, &from), pairs.at(at)),
                7 => store::<T, S, _>(simd, pair7::<T, S, _>(simd, &from), pairs.at(at)),
                9 => store::<T, S, _>(simd, pair9::<T, S, _>(simd, &from), pairs.at(at)),
                _ => break,
            }
        }
        for at in (0..len + (K - 4.min(K)) * c).step_by(lanes) {
            let from = two(pairs, at, 2 * c);
            match K {
                7 => store::<T, S, _>(simd, four7::<T, S, _>(simd, &from), fours.at(at)),
                9 => store::<T, S, _>(simd, four9::<T, S, _>(simd, &from), fours.at(at)),
                _ => break,
            }
        }
        for at in (0..len).step_by(lanes) {
            let last = sorted.at(at + (K - 1) * c);
            match K {
                5 => {
                    let [a, b] = two(pairs, at, 2 * c);
                    let v = most5::<T, S, _>(simd, &[a, b, last]);
                    for (i, &to) in out.iter().enumerate() {
                        let row = sort5::<T, S, _>(simd, &row::<_, 5>(own, i, at, c));
                        T::finish(
                            simd,
                            to.add(at),
                            len - at,
                            middle::<T, S, 6, 5>(simd, v, row),
                        );
                    }
                }
                7 => {
                    let from = [fours.at(at), pairs.at(at + 4 * c), last];
                    let v = most7::<T, S, _>(simd, &from);
                    for (i, &to) in out.iter().enumerate() {
                        let row = sort7::<T, S, _>(simd, &row::<_, 7>(own, i, at, c));
                        T::finish(
                            simd,
                            to.add(at),
                            len - at,
                            middle::<T, S, 8, 7>(simd, v, row),
                        );
                    }
                }
                _ => {
                    let [a, b] = two(fours, at, 4 * c);
                    let v = most9::<T, S, _>(simd, &[a, b, last]);
                    for (i, &to) in out.iter().enumerate() {
                        let row = sort9::<T, S, _>(simd, &row::<_, 9>(own, i, at, c));
                        T::finish(
                            simd,
                            to.add(at),
                            len - at,
                            middle::<T, S, 10, 9>(simd, v, row),
                        );
                    }
                }
            }
        }
    }
}

/// The samples of a window in its own row, which is a plane.
#[inline(always)]
fn row<K: Copy, const N: usize>(
    own: Planes<K>,
    plane: usize,
    at: usize,
    c: usize,
) -> [Planes<K>; N] {
    let mut samples = [own.at(plane * own.step + at); N];
    for (i, sample) in samples.iter_mut().enumerate() {
        *sample = sample.at(i * c);
    }
    samples
}

/// The planes from an element on, and from one that is `next` further.
#[inline(always)]
fn two<K: Copy>(from: Planes<K>, at: usize, next: usize) -> [Planes<K>; 2] {
    [from.at(at), from.at(at + next)]
}

/// The median of `N` sorted vectors and `M = N - 1` others: the least over all ways to
/// take `N` of them, lowest first from either list, of the largest taken.
#[inline(always)]
fn middle<T: Ordered, S: Narrow, const N: usize, const M: usize>(
    simd: S,
    v: [T::Vector<S>; N],
    others: [T::Vector<S>; M],
) -> T::Vector<S> {
    let mut least = v[N - 1];
    for (taken, other) in others.into_iter().enumerate() {
        least = T::min(simd, least, T::max(simd, v[N - 2 - taken], other));
    }
    least
}
