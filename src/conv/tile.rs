//! The register tile: a few output channels times a few vectors of pixels
//! (NCHW), or a few pixels times a few vectors of channels (NHWC), summed over all
//! terms while in registers, finished and stored.
//!
//! Each step of the sum loads as many vectors as the tile is wide, broadcasts as
//! many values as it is high, and multiplies all pairs: 12 multiply-adds for 7
//! loads on AVX2. What a convolution needs beyond a matrix product is in the
//! addresses: a vector of pixels is found through a table of offsets, one entry for
//! each row of the window of each channel, or for each term, which is the same for all
//! pixels; so the receptive fields are read where they lie and are
//! never copied side by side.
//!
//! The order of terms is that of the weight, and each sum is one chain of
//! multiply-adds: how the image is cut changes no bit of the result.

use super::finish::{Finish, Kind, Place};
use crate::simd::{Simd, Tier, leaky_relu, relu, relu6};
use std::mem::MaybeUninit;

/// The most rows of a tile of any tier.
pub(super) const MAX_ROWS: usize = 8;
/// The most vectors in a row of a tile of any tier.
pub(super) const MAX_VECTORS: usize = 3;
/// The most floats in a tile of any tier.
pub(super) const TILE_FLOATS: usize = MAX_ROWS * MAX_VECTORS * 16;

/// The most floats in a tile of a tier.
pub(super) const fn tile_floats(tier: Tier) -> usize {
    match tier {
        Tier::Portable => 12 * 4,
        Tier::Neon => 24 * 4,
        Tier::Avx2 => 12 * 8,
        Tier::Avx512 => 24 * 16,
    }
}
/// The output channels of a tile are its rows.
pub(super) const IN_ROWS: u8 = 0;
/// The output channels of a tile are its lanes.
pub(super) const IN_LANES: u8 = 1;
/// A tile has one output channel.
pub(super) const SINGLE: u8 = 2;

/// Output channels in the highest NCHW tile: with [`pixel_vectors`] each they fill the
/// registers (16 on AVX2 and SSE2, 32 on AVX-512 and NEON), but for the two values
/// that LLVM likes to have broadcast ahead. (4 x 3 is the same work for fewer loads, but
/// there it spills a sum in each step, which takes twice the time.)
pub(super) const fn channel_rows(tier: Tier) -> usize {
    match tier {
        Tier::Portable | Tier::Avx2 => 6,
        Tier::Neon | Tier::Avx512 => 8,
    }
}

/// Vectors of pixels in an NCHW tile of `rows` channels.
pub(super) const fn pixel_vectors(tier: Tier, rows: usize) -> usize {
    match (tier, rows) {
        (Tier::Portable | Tier::Avx2, 4..) => 2,
        _ => 3,
    }
}

/// Vectors of channels in an NHWC tile.
pub(super) const fn channel_vectors(tier: Tier) -> usize {
    match tier {
        Tier::Portable | Tier::Avx2 => 2,
        Tier::Neon | Tier::Avx512 => 3,
    }
}

/// Pixels in an NHWC tile that is `vectors` vectors of channels wide.
pub(super) const fn pixel_rows(tier: Tier, vectors: usize) -> usize {
    match (tier, vectors) {
        (Tier::Portable | Tier::Avx2, 2..) => 6,
        _ => 8,
    }
}

/// The sums of a tile before its first term: the bias of each row.
///
/// # Safety
/// `bias` has `MR` values.
#[inline(always)]
pub(super) unsafe fn start_rows<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    bias: *const f32,
) -> [[S::F32; NV]; MR] {
    let mut sums = [[simd.zero(); NV]; MR];
    for (m, row) in sums.iter_mut().enumerate() {
        // SAFETY: `bias` has MR values.
        *row = [simd.splat(unsafe { *bias.add(m) }); NV];
    }
    sums
}

/// The sums of a tile before its first term: the bias of each lane.
///
/// # Safety
/// `bias` has `NV` vectors.
#[inline(always)]
pub(super) unsafe fn start_lanes<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    bias: *const f32,
) -> [[S::F32; NV]; MR] {
    let mut row = [simd.zero(); NV];
    for (v, vector) in row.iter_mut().enumerate() {
        // SAFETY: `bias` has NV vectors.
        *vector = unsafe { simd.load_ptr(bias.add(v * S::LANES)) };
    }
    [row; MR]
}

/// NCHW: adds terms to the sums of `MR` channels times `NV` vectors of pixels: for each of `rows` its taps.
/// Both are ways from a pixel's place. That the taps of a row are unrolled takes a quarter off the time of a window of 3 x 3:
/// where each term has an offset of its own to fetch and a turn of the loop, the units that multiply wait for it.
///
/// # Safety
/// `weights` has `MR` values for each tap of each row; at each of `pixels` plus each row
/// plus each tap a vector can be loaded.
#[inline(always)]
pub(super) unsafe fn add_channels<S: Simd, const MR: usize, const NV: usize, const TAPS: usize>(
    simd: S,
    mut sums: [[S::F32; NV]; MR],
    weights: *const f32,
    rows: &[u32],
    taps: [usize; TAPS],
    pixels: [*const f32; NV],
) -> [[S::F32; NV]; MR] {
    let mut weights = weights;
    for &row in rows {
        // Written out, because a loop whose body is as large as this is not unrolled.
        macro_rules! unrolled {
            ($($tap:literal)*) => {
                $(
                    if const { $tap < TAPS } {
                        let at = row as usize + taps[$tap];
                        let mut vectors = [simd.zero(); NV];
                        for (vector, pixel) in vectors.iter_mut().zip(pixels) {
                            // SAFETY: the caller's promise.
                            *vector = unsafe { simd.load_ptr(pixel.add(at)) };
                        }
                        for (m, row) in sums.iter_mut().enumerate() {
                            // SAFETY: MR weights for each tap.
                            let weight = simd.splat(unsafe { *weights.add($tap * MR + m) });
                            for (sum, vector) in row.iter_mut().zip(vectors) {
                                *sum = simd.fma(weight, vector, *sum);
                            }
                        }
                    }
                )*
            };
        }
        unrolled!(0 1 2);
        // SAFETY: at most one past the end.
        weights = unsafe { weights.add(TAPS * MR) };
    }
    sums
}

/// NHWC: adds terms to the sums of `MR` pixels times `NV` vectors of channels.
/// `runs` are pairs: where, from a pixel's place on, it reads values, and how many.
///
/// # Safety
/// `weights` has `NV` vectors for each value; each of `pixels` can read those values.
#[inline(always)]
pub(super) unsafe fn add_pixels<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    mut sums: [[S::F32; NV]; MR],
    weights: *const f32,
    runs: &[[i64; 2]],
    pixels: [*const f32; MR],
) -> [[S::F32; NV]; MR] {
    let mut weights = weights;
    for &[offset, len] in runs {
        let mut run = pixels;
        for pixel in &mut run {
            *pixel = pixel.wrapping_offset(offset as isize);
        }
        for i in 0..len as usize {
            let mut vectors = [simd.zero(); NV];
            for (v, vector) in vectors.iter_mut().enumerate() {
                // SAFETY: NV vectors for each value.
                *vector = unsafe { simd.load_ptr(weights.add(v * S::LANES)) };
            }
            for (row, pixel) in sums.iter_mut().zip(run) {
                // SAFETY: inside of the run.
                let value = simd.splat(unsafe { *pixel.add(i) });
                for (sum, vector) in row.iter_mut().zip(vectors) {
                    *sum = simd.fma(value, vector, *sum);
                }
            }
            // SAFETY: at most one past the end.
            weights = unsafe { weights.add(NV * S::LANES) };
        }
    }
    sums
}

/// Finishes sums in registers and stores them: row `m`, vector `v` goes to
/// `rows[m] + columns[v]`, of which the first `counts[v]` lanes exist.
/// `channel` is the first of the tile's output channels, which are where `CHANNELS` says.
///
/// # Safety
/// Those elements are inside of output and residual, each written by this
/// tile only; lanes are contiguous in both; `finish.is_simple()`.
#[inline(always)]
pub(super) unsafe fn store<S: Simd, const MR: usize, const NV: usize, const CHANNELS: u8>(
    simd: S,
    sums: [[S::F32; NV]; MR],
    finish: &Finish<'_>,
    channel: usize,
    rows: [Place; MR],
    columns: [Place; NV],
    counts: [usize; NV],
) {
    let mut sums = sums;
    if let Some(residual) = finish.residual {
        for m in 0..MR {
            for v in 0..NV {
                let offset = rows[m].residual + columns[v].residual;
                // SAFETY: the caller's promise.
                let more = unsafe {
                    simd.load_partial_ptr(residual.ptr.wrapping_offset(offset), counts[v])
                };
                sums[m][v] = simd.add(sums[m][v], more);
            }
        }
    }
    // One choice for the whole tile, not one for each vector.
    match finish.kind {
        Kind::None | Kind::Other => {}
        Kind::Relu => {
            for row in &mut sums {
                for sum in row {
                    *sum = relu(simd, *sum);
                }
            }
        }
        Kind::Relu6 => {
            for row in &mut sums {
                for sum in row {
                    *sum = relu6(simd, *sum);
                }
            }
        }
        Kind::Slope => {
            for (m, row) in sums.iter_mut().enumerate() {
                for (v, sum) in row.iter_mut().enumerate() {
                    let slope = slope::<S, CHANNELS>(simd, finish, channel, m, v);
                    *sum = leaky_relu(simd, *sum, slope);
                }
            }
        }
    }
    if counts.iter().all(|&count| count >= S::LANES) {
        for (m, row) in sums.into_iter().enumerate() {
            for (v, sum) in row.into_iter().enumerate() {
                let to = rows[m].out + columns[v].out;
                // SAFETY: the caller's promise.
                unsafe { simd.store_ptr(finish.out.ptr.wrapping_offset(to), sum) };
            }
        }
        return;
    }
    // From memory, because a loop of partial stores is not unrolled, and then the sums are an array in memory for all tiles.
    let mut buffer = MaybeUninit::<[f32; TILE_FLOATS]>::uninit();
    let buffer = buffer.as_mut_ptr().cast::<f32>();
    // SAFETY: the buffer has room for a tile of any tier, and is read where it was written; the caller's promise.
    unsafe {
        keep(simd, sums, buffer);
        for (m, row) in rows.iter().enumerate() {
            for (v, column) in columns.iter().enumerate() {
                let sum = simd.load_ptr(buffer.add((m * NV + v) * S::LANES));
                let to = finish.out.ptr.wrapping_offset(row.out + column.out);
                simd.store_partial_ptr(to, counts[v], sum);
            }
        }
    }
}

#[inline(always)]
fn slope<S: Simd, const CHANNELS: u8>(
    simd: S,
    finish: &Finish<'_>,
    channel: usize,
    m: usize,
    v: usize,
) -> S::F32 {
    if CHANNELS != IN_LANES {
        let row = if CHANNELS == IN_ROWS { m } else { 0 };
        simd.splat(finish.slopes[channel + row])
    } else {
        let from = (channel + v * S::LANES).min(finish.slopes.len());
        simd.load_partial(&finish.slopes[from..])
    }
}

/// Puts sums into a buffer of rows of `NV` vectors, for [`resume`] or [`store_any`].
///
/// # Safety
/// `buffer` is writable for the tile.
#[inline(always)]
pub(super) unsafe fn keep<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    sums: [[S::F32; NV]; MR],
    buffer: *mut f32,
) {
    for (m, row) in sums.into_iter().enumerate() {
        for (v, sum) in row.into_iter().enumerate() {
            // SAFETY: inside of the tile.
            unsafe { simd.store_ptr(buffer.add((m * NV + v) * S::LANES), sum) };
        }
    }
}

/// Takes back the sums that [`keep`] has put into `buffer`.
///
/// # Safety
/// `buffer` holds a tile of these measures.
#[inline(always)]
pub(super) unsafe fn resume<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    buffer: *const f32,
) -> [[S::F32; NV]; MR] {
    let mut sums = [[simd.zero(); NV]; MR];
    for (m, row) in sums.iter_mut().enumerate() {
        for (v, sum) in row.iter_mut().enumerate() {
            // SAFETY: inside of the tile.
            *sum = unsafe { simd.load_ptr(buffer.add((m * NV + v) * S::LANES)) };
        }
    }
    sums
}

/// Where the lanes of a vector go, if not simply one after the other.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    pub places: [Place; 16],
    /// Lanes that exist.
    pub count: usize,
}

impl Lanes {
    pub(super) const NONE: Lanes = Lanes {
        places: [Place {
            out: 0,
            residual: 0,
        }; 16],
        count: 0,
    };

    /// They are contiguous in memory after all.
    #[inline(always)]
    pub(super) fn together(&self, has_residual: bool) -> bool {
        self.places[..self.count].windows(2).all(|pair| {
            pair[1].out == pair[0].out + 1
                && (!has_residual || pair[1].residual == pair[0].residual + 1)
        })
    }
}

/// Finishes the sums that [`keep`] has put into `buffer`, rows of as many
/// vectors as `columns`: any activation, lanes anywhere in memory.
///
/// # Safety
/// `buffer` holds the tile; every row plus every lane is inside of output and
/// residual, each written by this tile only.
#[inline(always)]
pub(super) unsafe fn store_any<S: Simd, const CHANNELS: u8>(
    simd: S,
    buffer: *const f32,
    finish: &Finish<'_>,
    channel: usize,
    rows: &[Place],
    columns: &[Lanes],
) {
    for (v, lanes) in columns.iter().enumerate() {
        let count = lanes.count;
        let together = lanes.together(finish.residual.is_some());
        for (m, row) in rows.iter().enumerate() {
            // SAFETY: inside of the tile.
            let mut x = unsafe { simd.load_ptr(buffer.add((m * columns.len() + v) * S::LANES)) };
            let first = lanes.places[0];
            if let Some(residual) = finish.residual {
                let base = residual.ptr.wrapping_offset(row.residual);
                // SAFETY: the caller's promise, for the `count` lanes that exist.
                let r = unsafe {
                    if together {
                        simd.load_partial_ptr(base.wrapping_offset(first.residual), count)
                    } else {
                        let mut values = [0f32; 16];
                        for (i, value) in values.iter_mut().enumerate().take(count) {
                            *value = *base.wrapping_offset(lanes.places[i].residual);
                        }
                        simd.load(&values)
                    }
                };
                x = simd.add(x, r);
            }
            x = match finish.kind {
                Kind::Slope => {
                    let slope = slope::<S, CHANNELS>(simd, finish, channel, m, v);
                    leaky_relu(simd, x, slope)
                }
                _ => finish.activation.apply(simd, x),
            };
            let base = finish.out.ptr.wrapping_offset(row.out);
            // SAFETY: as above.
            unsafe {
                if together {
                    simd.store_partial_ptr(base.wrapping_offset(first.out), count, x);
                } else {
                    let mut values = [0f32; 16];
                    simd.store(&mut values, x);
                    for (i, value) in values.iter().enumerate().take(count) {
                        *base.wrapping_offset(lanes.places[i].out) = *value;
                    }
                }
            }
        }
    }
}
