//! Turns by 90, 180 and 270 degrees: pixels moved, none computed.
//!
//! A quarter turn reads columns. The destination is made in bands of as many rows as a cache line of the
//! source has pixels, or a few, and a band in blocks: the lines that a column touches stay in the first-level cache
//! until the last column has read them, and those of the next block are asked for meanwhile, because no CPU
//! expects the next row of an image where it has read a piece of one. Pixels of a byte go through a transposition of
//! sixteen columns in registers, those of four one of as many as there are lanes, all others are single moves.
//!
//! A half turn reverses rows, in blocks of sixteen bytes that a shuffle reverses.

use super::texel::Texel;
use crate::error::Result;
use crate::image::pixels::{Rows, RowsMut};
use crate::runtime::Context;
use crate::simd::{MAX_LANES, Narrow, dispatch};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Rows and columns of a block of pixels of so many bytes; a band, which is a task, is as high. The lines of two
/// blocks, of source and destination each, are in the cache, even if the distance of rows puts them all into a few
/// of its sets.
const fn block(pixel: usize) -> (usize, usize) {
    match pixel {
        1 | 2 => (64, 64),
        3 | 4 => (16, 16),
        _ => (16, 32),
    }
}

/// Writes `src`, turned counter-clockwise by so many quarters (0 to 3), to `dst`, whose size fits.
pub(super) fn quarter_turn<T: Texel>(
    ctx: &Context,
    quarters: usize,
    src: Rows<'_, T>,
    dst: RowsMut<'_, T>,
) -> Result<()> {
    let height = dst.size.height;
    let isa = ctx.isa();
    let (height_of_band, _) = block(src.size.channels * size_of::<T>());
    ctx.parallel_for(height.div_ceil(height_of_band), |task| {
        let rows = task * height_of_band..((task + 1) * height_of_band).min(height);
        macro_rules! channels {
            ($($c:literal)*) => {
                match src.size.channels {
                    $($c => dispatch!(isa, simd => {
                        // SAFETY: bands are disjoint, and the channels are those of both images.
                        unsafe { band::<_, T, $c>(simd, quarters, src, dst, rows) }
                    }),)*
                    _ => unreachable!("checked by the operator"),
                }
            };
        }
        channels!(1 2 3 4)
    })
}

/// # Safety
/// No other task has these rows; both images have `C` channels and sizes that fit.
#[inline(always)]
unsafe fn band<S: Narrow, T: Texel, const C: usize>(
    simd: S,
    quarters: usize,
    src: Rows<'_, T>,
    dst: RowsMut<'_, T>,
    rows: Range<usize>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match quarters.is_multiple_of(2) {
            true => half::<S, T, C>(simd, quarters, src, dst, rows),
            false => quarter::<S, T, C>(simd, quarters, src, dst, rows),
        }
    }
}

/// No turn, or half of one.
///
/// # Safety
/// No other task has these rows; both images have `C` channels and the same size.
#[inline(always)]
unsafe fn half<S: Narrow, T: Texel, const C: usize>(
    simd: S,
    quarters: usize,
    src: Rows<'_, T>,
    dst: RowsMut<'_, T>,
    rows: Range<usize>,
) {
    let height = src.size.height;
    for y in rows {
        // SAFETY: the caller's promise.
        let to = unsafe { dst.row(y) };
        match quarters {
            0 => to.copy_from_slice(src.row(y)),
            _ => {
                let (to, _) = to.as_chunks_mut::<C>();
                let (from, _) = src.row(height - 1 - y).as_chunks::<C>();
                reverse(simd, from, to);
            }
        }
    }
}

/// For each size of pixels the bytes of a block of as many whole ones as are in sixteen (or twelve), reversed
/// pixel by pixel.
const fn reversed(pixel: usize) -> [u8; 64] {
    let mut index = [0x80; 64];
    let len = whole(pixel);
    let mut i = 0;
    while i < 64 {
        let at = i % 16;
        if at < len && len.is_multiple_of(pixel) {
            index[i] = (len - pixel - at / pixel * pixel + at % pixel) as u8;
        }
        i += 1;
    }
    index
}

/// Bytes of the whole pixels of sixteen, or of twelve.
const fn whole(pixel: usize) -> usize {
    match pixel {
        3 | 6 | 12 => 12,
        _ => 16,
    }
}

static REVERSED: [[u8; 64]; 17] = {
    let mut tables = [[0; 64]; 17];
    let mut pixel = 1;
    while pixel <= 16 {
        tables[pixel] = reversed(pixel);
        pixel += 1;
    }
    tables
};

/// `to` is `from` backwards.
#[inline(always)]
fn reverse<S: Narrow, T: Texel, const C: usize>(simd: S, from: &[[T; C]], to: &mut [[T; C]]) {
    let pixel = C * size_of::<T>();
    let (len, n) = (whole(pixel), from.len());
    let vector = len / pixel * S::BLOCKS;
    // Blocks of twelve bytes are read and written as sixteen: one block stays away from the end of
    // each row.
    let spare = if len == 12 { len / pixel } else { 0 };
    let order = &REVERSED[pixel];
    // The blocks of a vector come from memory last one first.
    let mut offsets = [0u32; 4];
    for (b, offset) in offsets.iter_mut().enumerate().take(S::BLOCKS) {
        *offset = (len * (S::BLOCKS - 1 - b)) as u32;
    }
    let mut done = spare.min(n);
    let (first, last) = (0..done, from.len());
    for i in first {
        to[i] = from[last - 1 - i];
    }
    while done + vector + spare <= n {
        // SAFETY: pixels `done` to `done + vector` of `to`, and those that they come from; what is read or written
        // behind their blocks is the spare one's.
        unsafe {
            let base = from.as_ptr().add(n - done - vector).cast::<u8>();
            let v = simd.load_blocks_ptr::<1>(base, offsets.as_ptr());
            let v = simd.shuffle_bytes(v, simd.load_bytes_ptr(order.as_ptr()));
            let v = simd.bits_to_f32(simd.bytes_as_i32(v));
            simd.store_float_blocks_ptr(to.as_mut_ptr().add(done).cast(), len / 4, v);
        }
        done += vector;
    }
    for i in done..n {
        to[i] = from[n - 1 - i];
    }
}

/// Asks for the lines of so many bytes.
#[inline(always)]
fn ask<S: Narrow>(simd: S, first: *const u8, bytes: usize) {
    for ahead in (0..bytes).step_by(64) {
        simd.prefetch(first.wrapping_add(ahead).cast());
    }
    simd.prefetch(first.wrapping_add(bytes - 1).cast());
}

/// A quarter turn, one way or the other.
///
/// # Safety
/// No other task has these rows; both images have `C` channels, and the sides of one are those of the other
/// exchanged.
#[inline(always)]
unsafe fn quarter<S: Narrow, T: Texel, const C: usize>(
    simd: S,
    quarters: usize,
    src: Rows<'_, T>,
    dst: RowsMut<'_, T>,
    rows: Range<usize>,
) {
    let (height, width) = (src.size.height, src.size.width);
    let (first, stride) = src.address();
    // Counter-clockwise, the first row of the result is the last column.
    let column = |y: usize| match quarters {
        1 => width - 1 - y,
        _ => y,
    };
    let row = |x: usize| match quarters {
        1 => x,
        _ => height - 1 - x,
    };
    // SAFETY: rows and columns of the source are those of the result exchanged.
    let at =
        |x: usize, column: usize| unsafe { first.offset(stride * row(x) as isize).add(column * C) };
    let lowest = column(rows.start).min(column(rows.end - 1));
    let bytes = rows.len() * C * size_of::<T>();
    let end = dst.size.width;
    let (_, side) = block(C * size_of::<T>());
    for x in (0..end).step_by(side) {
        let columns = x..(x + side).min(end);
        let next = columns.end..(columns.end + side).min(end);
        // Transpositions of bytes have enough loads under way by themselves.
        if C * size_of::<T>() > 1 && !next.is_empty() {
            for x in next.clone() {
                ask(simd, at(x, lowest).cast(), bytes);
            }
            for y in rows.clone() {
                // SAFETY: the caller's promise.
                let line = unsafe { dst.row(y).as_ptr().add(next.start * C) };
                ask(simd, line.cast(), next.len() * C * size_of::<T>());
            }
        }
        let mut done = rows.start;
        if C * size_of::<T>() == 1 {
            // What is left of a block has too few rows or columns.
            let run = 4 * S::LANES;
            while done + 16 <= rows.end && columns.len() >= run {
                let low = column(done).min(column(done + 15));
                let step = stride * (row(columns.start + 1) as isize - row(columns.start) as isize);
                for x in columns.clone().step_by(run) {
                    // The last ones may be made again.
                    let x = x.min(columns.end - run);
                    // SAFETY: sixteen rows of the result, `run` columns, which are columns and rows of the source.
                    // Counter-clockwise the lowest column is the last row.
                    unsafe {
                        let (to, below) = match quarters {
                            1 => (done + 15, done + 14),
                            _ => (done, done + 1),
                        };
                        let (to, below) = (dst.row(to).as_mut_ptr(), dst.row(below).as_mut_ptr());
                        let stride = below as isize - to as isize;
                        let from = at(x, low).cast();
                        simd.transpose_bytes_ptr(from, step, to.add(x).cast(), stride);
                    }
                }
                done += 16;
            }
        }
        if C * size_of::<T>() == 4 {
            while done + S::LANES <= rows.end && columns.len() >= S::LANES {
                let low = column(done).min(column(done + S::LANES - 1));
                for x in columns.clone().step_by(S::LANES) {
                    let x = x.min(columns.end - S::LANES);
                    let mut tile = [const { MaybeUninit::<f32>::uninit() }; MAX_LANES * MAX_LANES];
                    let tile = tile.as_mut_ptr().cast::<f32>();
                    let from =
                        std::array::from_fn(|i| at(x + i.min(S::LANES - 1), low).cast::<f32>());
                    // SAFETY: as many rows and columns of both images.
                    unsafe {
                        simd.transpose_ptr(&from, tile, S::LANES);
                        for j in 0..S::LANES {
                            let y = match quarters {
                                1 => done + S::LANES - 1 - j,
                                _ => done + j,
                            };
                            let to = dst.row(y)[x * C..(x + S::LANES) * C]
                                .as_mut_ptr()
                                .cast::<f32>();
                            simd.store_ptr(to, simd.load_ptr(tile.add(j * S::LANES)));
                        }
                    }
                }
                done += S::LANES;
            }
        }
        for y in done..rows.end {
            // SAFETY: the caller's promise; what is read are pixels of the column.
            unsafe {
                let to = &mut dst.row(y)[columns.start * C..];
                let column = column(y);
                // Four samples are one move: a pixel of three has a fourth that the next one overwrites, if there is
                // a next one in both images.
                let wide = match C {
                    3 if column + 1 < width => columns.len().min((to.len() - 1) / C),
                    _ => 0,
                };
                let mut to = to.as_mut_ptr();
                for x in columns.start..columns.start + wide {
                    let four = at(x, column).cast::<[T; 4]>().read_unaligned();
                    to.cast::<[T; 4]>().write_unaligned(four);
                    to = to.add(C);
                }
                for x in columns.start + wide..columns.end {
                    *to.cast::<[T; C]>() = *at(x, column).cast::<[T; C]>();
                    to = to.add(C);
                }
            }
        }
    }
}
