//! Max and average pooling of images.
//!
//! Both are torch's operators: the output has `(size + padding - dilation *
//! (kernel - 1) - 1) / stride + 1` rows and columns, rounded up in ceil mode,
//! where a last window is dropped that would start in the padding behind the
//! input. Padding is never seen: a window takes the elements of the input that
//! it covers.
//!
//! An image of channels-last order is pooled with channels along the lanes, one
//! output pixel after the other ([`channels`]). Otherwise columns lie along the
//! lanes ([`planes`]): the rows of a window are joined first, element by
//! element, into one row with its padding written out; the columns of the window
//! are then joined from shifted loads of that row. So a window of k x k costs 2k
//! steps, not k², and there are no edges to tell from the middle. Strides other
//! than these two layouts have are staged, a piece of an image at a time.

mod channels;
mod indices;
mod planes;

use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::Simd;
use crate::tensor::{Layout, Raw, View, ViewMut, forbid_overlap};

/// The window of a pooling operator and the way it moves.
#[derive(Clone, Copy, Debug)]
pub struct Pool2d {
    /// Rows and columns of the window.
    pub kernel_size: [usize; 2],
    /// Steps of the window, vertical and horizontal; `None` is `kernel_size`.
    pub stride: Option<[usize; 2]>,
    /// Rows and columns around the image: top, bottom, left, right. Each is less than the
    /// window spans, so that no window lies in the padding alone. (torch allows half of the span.)
    pub padding: [usize; 4],
    /// Distance of the window's elements, vertical and horizontal.
    pub dilation: [usize; 2],
    /// Rounds the output's size up.
    pub ceil_mode: bool,
    /// The order of the axes of input, output and indices.
    pub layout: Layout,
}

impl Pool2d {
    /// A window of that size with torch's defaults: stride as large, no padding, dilation 1, NCHW.
    pub fn new(kernel_size: [usize; 2]) -> Pool2d {
        Pool2d {
            kernel_size,
            stride: None,
            padding: [0; 4],
            dilation: [1, 1],
            ceil_mode: false,
            layout: Layout::Nchw,
        }
    }

    fn stride(&self) -> [usize; 2] {
        self.stride.unwrap_or(self.kernel_size)
    }

    /// Rows and columns of the output for an image of that many. `op` opens the message of an error.
    pub fn output_size(&self, op: &str, size: [usize; 2]) -> Result<[usize; 2]> {
        let mut output = [0; 2];
        for (axis, side) in ["height", "width"].into_iter().enumerate() {
            let (input, kernel) = (size[axis], self.kernel_size[axis]);
            let (stride, dilation) = (self.stride()[axis], self.dilation[axis]);
            let [before, after] = [self.padding[2 * axis], self.padding[2 * axis + 1]];
            for (name, value) in [
                ("kernel_size", kernel),
                ("stride", stride),
                ("dilation", dilation),
            ] {
                ensure!(
                    value >= 1,
                    InvalidArgument,
                    "{op}: {name} is 0 in {side}, the least is 1"
                );
            }
            let span = (kernel - 1).checked_mul(dilation).filter(|&s| s < LIMIT);
            ensure!(
                span.is_some() && stride <= MOST_STRIDE && input < LIMIT,
                InvalidArgument,
                "{op}: kernel_size {kernel}, dilation {dilation} and stride {stride} overflow in {side}"
            );
            let span = span.unwrap_or(0) + 1;
            ensure!(
                before < span && after < span,
                InvalidArgument,
                "{op}: padding is {before} and {after} in {side}, kernel_size {kernel} with dilation {dilation} spans {span}, which has to be more"
            );
            let padded = input + before + after;
            ensure!(
                padded >= span,
                ShapeMismatch,
                "{op}: kernel_size {kernel} with dilation {dilation} spans {span} in {side}, the padded input has {padded}"
            );
            let room = padded - span;
            output[axis] = if self.ceil_mode {
                let count = room.div_ceil(stride) + 1;
                // The last window starts in the image or before it.
                if (count - 1) * stride >= input + before {
                    count - 1
                } else {
                    count
                }
            } else {
                room / stride + 1
            };
        }
        Ok(output)
    }
}

/// Bounds each quantity, so that sums and products of two do not overflow.
const LIMIT: usize = 1 << 31;
/// 16 strides fit the 32 bits of a gather's index.
const MOST_STRIDE: usize = 1 << 26;

/// The largest element of each window, and optionally where it is.
///
/// `x` is (N, C, H, W) or (C, H, W), or the same with channels last; `out` and `indices` have its
/// shape with the output's height and width. An index counts in one image's plane: row times
/// width plus column. As in torch, NaN is larger than anything: a window with a NaN gives NaN
/// and the index of its last NaN; otherwise the first of equal maxima counts. -inf is a value
/// like others; a dilated window that hits no element at all gives -inf and index -1.
/// `out` and `indices` share no memory with `x`.
pub fn max_pool2d(
    ctx: &Context,
    pool: &Pool2d,
    x: View<'_, f32>,
    mut out: ViewMut<'_, f32>,
    indices: Option<ViewMut<'_, i64>>,
) -> Result<()> {
    let op = "max_pool2d";
    let window = Window::new(op, pool, &x, &out)?;
    forbid_overlap(op, "output", &out, "input", &x)?;
    let Some(mut indices) = indices else {
        let job = window.job(pool.layout, x.ptr(), &x, out.writer().ptr(), &out);
        return job.run(ctx, Max, Divisor::None);
    };
    ensure!(
        indices.shape() == out.shape(),
        ShapeMismatch,
        "{op}: indices has shape {:?}, output has {:?}",
        indices.shape(),
        out.shape()
    );
    forbid_overlap(op, "indices", &indices, "input", &x)?;
    forbid_overlap(op, "indices", &indices, "output", &out)?;
    ensure!(
        window.size[0].saturating_mul(window.size[1]) < LIMIT,
        Unsupported,
        "{op}: indices of an input of {} x {} do not fit 31 bits",
        window.size[0],
        window.size[1]
    );
    let job = window.job(pool.layout, x.ptr(), &x, out.writer().ptr(), &out);
    let index_image = Image::new(indices.writer().ptr(), &indices, pool.layout);
    job.run_with_indices(ctx, index_image)
}

/// What the sum of a window is divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AverageOver {
    /// The elements of the window that are in the input or in its padding (torch's
    /// `count_include_pad=True`, the default). In ceil mode a window may reach beyond the padding; what is
    /// there does not count.
    Padded,
    /// The elements of the window that are in the input.
    Input,
    /// This number (torch's `divisor_override`).
    Divisor(i64),
}

/// The mean of each window.
///
/// `x` is (N, C, H, W) or (C, H, W), or the same with channels last; `out` has its shape with the
/// output's height and width, and shares no memory with `x`. The columns of a window are summed from top to
/// bottom, then their sums from left to right, and the sum is divided. NaN and
/// infinities follow from that. A dilated window that hits no element at all gives 0.
pub fn avg_pool2d(
    ctx: &Context,
    pool: &Pool2d,
    over: AverageOver,
    x: View<'_, f32>,
    mut out: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "avg_pool2d";
    ensure!(
        over != AverageOver::Divisor(0),
        InvalidArgument,
        "{op}: divisor_override is 0"
    );
    let window = Window::new(op, pool, &x, &out)?;
    forbid_overlap(op, "output", &out, "input", &x)?;
    let job = window.job(pool.layout, x.ptr(), &x, out.writer().ptr(), &out);
    let divisor = match over {
        AverageOver::Padded => Divisor::Padded,
        AverageOver::Input => Divisor::Input,
        AverageOver::Divisor(value) => Divisor::Value(value as f32),
    };
    job.run(ctx, Sum, divisor)
}

/// How two elements of a window become one.
trait Join: Copy + Send + Sync + 'static {
    /// Joining an element twice is the same as once.
    const IDEMPOTENT: bool;
    /// Changes nothing when it is joined.
    const NEUTRAL: f32;
    fn join<S: Simd>(self, simd: S, a: S::F32, b: S::F32) -> S::F32;
}

#[derive(Clone, Copy)]
struct Max;

impl Join for Max {
    const IDEMPOTENT: bool = true;
    const NEUTRAL: f32 = f32::NEG_INFINITY;
    /// NaN if either is. (`max` gives its second operand when one is NaN: a NaN in `b` stays by itself.)
    #[inline(always)]
    fn join<S: Simd>(self, simd: S, a: S::F32, b: S::F32) -> S::F32 {
        simd.select(simd.eq(a, a), simd.max(a, b), a)
    }
}

#[derive(Clone, Copy)]
struct Sum;

impl Join for Sum {
    const IDEMPOTENT: bool = false;
    /// Added to any number, -0 included, leaves it.
    const NEUTRAL: f32 = -0.0;
    #[inline(always)]
    fn join<S: Simd>(self, simd: S, a: S::F32, b: S::F32) -> S::F32 {
        simd.add(a, b)
    }
}

/// What a joined window is divided by.
#[derive(Clone, Copy)]
enum Divisor {
    None,
    Padded,
    Input,
    Value(f32),
}

/// The window along one axis.
#[derive(Clone, Copy)]
struct Line {
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
    /// Elements of the input.
    input: usize,
    /// Elements of the output.
    output: usize,
}

impl Line {
    /// The first of the window's taps that is in the input, the one after the
    /// last (equal when none is), and where the window's first tap is, for output `at`.
    #[inline(always)]
    fn taps(&self, at: usize) -> (usize, usize, isize) {
        let start = (at * self.stride) as isize - self.before as isize;
        let reach = ((self.kernel - 1) * self.dilation) as isize;
        if start >= 0 && start + reach < self.input as isize {
            return (0, self.kernel, start);
        }
        let first = (-start).max(0) as usize;
        let first = first.div_ceil(self.dilation).min(self.kernel);
        let room = self.input as isize - start;
        let end = (room.max(0) as usize)
            .div_ceil(self.dilation)
            .min(self.kernel);
        (first, end.max(first), start)
    }

    /// How many taps of output `at` count for the mean.
    #[inline(always)]
    fn count(&self, at: usize, divisor: Divisor) -> f32 {
        let taps = match divisor {
            Divisor::None | Divisor::Value(_) => 1,
            Divisor::Input => {
                let (first, end, _) = self.taps(at);
                (end - first).max(1)
            }
            Divisor::Padded => {
                let room = self.input + self.before + self.after - at * self.stride;
                room.div_ceil(self.dilation).min(self.kernel)
            }
        };
        taps as f32
    }
}

/// The sizes of a call, known to go together.
struct Window {
    size: [usize; 2],
    rows: Line,
    cols: Line,
}

impl Window {
    fn new(op: &str, pool: &Pool2d, x: &Raw<f32>, out: &Raw<f32>) -> Result<Window> {
        let rank = x.rank();
        ensure!(
            rank == 3 || rank == 4,
            ShapeMismatch,
            "{op}: input has {rank} dimensions, expected 3 or 4"
        );
        let [_, _, h, w] = axes(pool.layout, rank);
        let size = [x.dim(h), x.dim(w)];
        let output = pool.output_size(op, size)?;
        let mut expected = [0; 4];
        expected[..rank].copy_from_slice(x.shape());
        (expected[h], expected[w]) = (output[0], output[1]);
        ensure!(
            out.shape() == &expected[..rank],
            ShapeMismatch,
            "{op}: output has shape {:?}, expected {:?} for input {:?}",
            out.shape(),
            &expected[..rank],
            x.shape()
        );
        let line = |axis: usize| Line {
            kernel: pool.kernel_size[axis],
            stride: pool.stride()[axis],
            dilation: pool.dilation[axis],
            before: pool.padding[2 * axis],
            after: pool.padding[2 * axis + 1],
            input: size[axis],
            output: output[axis],
        };
        Ok(Window {
            size,
            rows: line(0),
            cols: line(1),
        })
    }

    fn job(
        &self,
        layout: Layout,
        x: *mut f32,
        from: &Raw<f32>,
        out: *mut f32,
        to: &Raw<f32>,
    ) -> Job {
        let [n, c, ..] = axes(layout, from.rank());
        Job {
            images: if from.rank() == 4 { from.dim(n) } else { 1 },
            channels: from.dim(c),
            rows: self.rows,
            cols: self.cols,
            x: Image::new(x, from, layout),
            out: Image::new(out, to, layout),
        }
    }
}

/// The axes of image, channel, row and column; an array of three has no image axis (its entry is then
/// not to be used).
fn axes(layout: Layout, rank: usize) -> [usize; 4] {
    let axes = layout.axes();
    if rank == 4 {
        axes
    } else {
        axes.map(|a| a.saturating_sub(1))
    }
}

/// Address and strides of images, whatever their layout.
#[derive(Clone, Copy)]
struct Image<T> {
    ptr: *mut T,
    n: isize,
    c: isize,
    y: isize,
    x: isize,
}

// SAFETY: an address and numbers; whoever reads or writes through it answers for that.
unsafe impl<T> Send for Image<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Image<T> {}

impl<T: crate::tensor::Element> Image<T> {
    fn new(ptr: *mut T, array: &Raw<T>, layout: Layout) -> Image<T> {
        let [n, c, y, x] = axes(layout, array.rank());
        // A single column or channel counts as contiguous.
        let stride = |axis: usize| {
            if array.dim(axis) == 1 {
                1
            } else {
                array.stride(axis)
            }
        };
        Image {
            ptr,
            n: if array.rank() == 4 {
                array.stride(n)
            } else {
                0
            },
            c: stride(c),
            y: stride(y),
            x: stride(x),
        }
    }

    /// The address of the first element of a plane.
    #[inline(always)]
    fn plane(&self, n: usize, c: usize) -> *mut T {
        self.ptr
            .wrapping_offset(n as isize * self.n + c as isize * self.c)
    }
}

/// A whole call.
#[derive(Clone, Copy)]
struct Job {
    images: usize,
    channels: usize,
    rows: Line,
    cols: Line,
    x: Image<f32>,
    out: Image<f32>,
}

/// Input elements of a task.
const TASK: usize = 1 << 15;

impl Job {
    fn is_empty(&self) -> bool {
        self.images == 0 || self.channels == 0
    }

    /// Channels are neighbours in memory and columns are not.
    fn channels_last(&self, others: &[[isize; 2]]) -> bool {
        let last = |[c, x]: [isize; 2]| c == 1 && (x != 1 || self.cols.output == 1);
        self.channels > 1 && last([self.x.c, self.x.x]) && others.iter().all(|&[c, _]| c == 1)
    }

    fn run<J: Join>(&self, ctx: &Context, join: J, divisor: Divisor) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        if self.channels_last(&[[self.out.c, self.out.x]]) {
            channels::run(ctx, self, join, divisor)
        } else {
            planes::run(ctx, self, join, divisor)
        }
    }

    fn run_with_indices(&self, ctx: &Context, indices: Image<i64>) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        if self.channels_last(&[[self.out.c, self.out.x]]) {
            indices::run_channels(ctx, self, indices)
        } else {
            indices::run_planes(ctx, self, indices)
        }
    }

    /// What output row `row` contributes to the divisor; a column contributes its count.
    #[inline(always)]
    fn row_divisor(&self, row: usize, divisor: Divisor) -> f32 {
        match divisor {
            Divisor::Value(value) => value,
            _ => self.rows.count(row, divisor),
        }
    }

    /// Cuts output rows into bands, so that a task has about `TASK` input elements of the
    /// `per_row` that an output row steps over: bands per image part, rows of a band.
    fn bands(&self, per_row: usize) -> (usize, usize) {
        let rows = (TASK / per_row.max(1)).clamp(1, self.rows.output);
        (self.rows.output.div_ceil(rows), rows)
    }
}
