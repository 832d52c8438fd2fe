//! Sinusoidal positions, as in "Attention Is All You Need".
//!
//! The angles of a column grow by the same step from row to row, so a row is the one before it turned by
//! that step: four multiplications for a sine and a cosine. It is done in f64, and every block
//! of rows starts from the library's own sine and cosine, so that its error is far below the
//! rounding of the result to f32 however long the sequence.

use crate::error::Result;
use crate::runtime::Context;
use crate::tensor::{Raw, ViewMut, expect_rank};

/// Rows of a task; also how often a row is the one before it, turned.
const ROWS: usize = 32;
/// The longest wavelength is this times 2 pi.
const BASE: f64 = 10000.0;

/// Position `p` in row `p` of `out` (length, dim):
/// `out[p, 2i] = sin(p / 10000^(2i / dim))`, `out[p, 2i + 1] = cos(p / 10000^(2i / dim))`.
///
/// The last column of an odd `dim` is a sine. Any strides. Right to the rounding of f32.
pub fn positional_encoding(ctx: &Context, out: ViewMut<'_, f32>) -> Result<()> {
    expect_rank("positional_encoding", "output", &out, 2)?;
    let (length, dim) = (out.dim(0), out.dim(1));
    if out.is_empty() {
        return Ok(());
    }
    let waves = dim.div_ceil(2);
    // The step of a wave: frequency, sine, cosine.
    let mut steps = ctx.scratch::<f64>(3 * waves)?;
    for (wave, step) in steps.chunks_exact_mut(3).enumerate() {
        let frequency = BASE.powf(-((2 * wave) as f64) / dim as f64);
        step.copy_from_slice(&[frequency, frequency.sin(), frequency.cos()]);
    }
    let steps: &[f64] = &steps;
    let target = Target(*out);
    let blocks = length.div_ceil(ROWS);
    ctx.parallel_for_scratch::<f64>(blocks, 2 * waves, |block, turned| {
        let first = block * ROWS;
        for (pair, step) in turned.chunks_exact_mut(2).zip(steps.chunks_exact(3)) {
            let angle = first as f64 * step[0];
            pair.copy_from_slice(&[angle.sin(), angle.cos()]);
        }
        for row in first..length.min(first + ROWS) {
            // SAFETY: a row of the output, which is this task's own.
            unsafe { target.store(row, turned) };
            for (pair, step) in turned.chunks_exact_mut(2).zip(steps.chunks_exact(3)) {
                let (sine, cosine) = (pair[0], pair[1]);
                pair[0] = sine * step[2] + cosine * step[1];
                pair[1] = cosine * step[2] - sine * step[1];
            }
        }
    })
}

/// The output, whose rows tasks share out.
struct Target(Raw<f32>);

// SAFETY: tasks write rows of their own.
unsafe impl Sync for Target {}

impl Target {
    /// # Safety
    /// The row exists, is written by nobody else, and `values` has an element for each column, or one more.
    unsafe fn store(&self, row: usize, values: &[f64]) {
        let (dim, step) = (self.0.dim(1), self.0.stride(1));
        let start = (self.0.ptr()).wrapping_offset(row as isize * self.0.stride(0));
        // SAFETY: elements of the row, by the caller's promise.
        unsafe {
            if step == 1 {
                let line = std::slice::from_raw_parts_mut(start, dim);
                for (to, value) in line.iter_mut().zip(values) {
                    *to = *value as f32;
                }
            } else {
                for (column, value) in values[..dim].iter().enumerate() {
                    *start.wrapping_offset(column as isize * step) = *value as f32;
                }
            }
        }
    }
}
