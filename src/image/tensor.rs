//! `image_to_tensor`: all that stands between a decoded image and a network, in one pass.
//!
//! A row of the resized image is made in the first-level cache and leaves it as floats in the
//! planes of the tensor; neither the resized image nor any other intermediate reaches memory. Bytes are
//! parted into channels by a shuffle that also widens them: four pixels lie in a block of 128 bits, one shuffle
//! per channel puts their bytes into 32-bit lanes, and conversion and one fma finish the sample. The same loop
//! with other shuffle tables writes interleaved channels, and an exchange of red and blue is a matter of the table.

use super::axis::Coordinates;
use super::letterbox::{Letterbox, letterbox};
use super::pixels::{Image, Pieces, Size};
use super::resize::{Interpolation, Resize, Sample};
use super::rows::{Plain, Sink, band_rows, run};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::Narrow;
use crate::tensor::{ContiguousMut, Element, View, ViewMut, forbid_overlap};
use std::marker::PhantomData;

/// Where the channels of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Layout {
    /// (C, H, W): a plane per channel.
    #[default]
    Chw,
    /// (H, W, C): interleaved.
    Hwc,
}

/// Options of [`image_to_tensor`]. `mean` and `std` are in the order of the *output's* channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageToTensor {
    /// Multiplies samples before anything else. `None`: 1/255 for `u8`, 1 for `f32`, as torchvision's `to_tensor`.
    pub scale: Option<f32>,
    /// Subtracted from the scaled sample.
    pub mean: [f32; 4],
    /// What is left is divided by this.
    pub std: [f32; 4],
    /// Exchange the first and the third channel.
    pub swap_rb: bool,
    /// Keep the proportions, and pad.
    pub letterbox: bool,
    /// The value of padding samples, in units of the image (before `scale`).
    pub pad_value: f32,
    /// The order of the output's dimensions.
    pub layout: Layout,
    /// How pixels are made when the size changes: `Linear`, `Cubic` or `Area`.
    pub interpolation: Interpolation,
    /// Where samples are taken when the size changes.
    pub coordinates: Coordinates,
    /// Widen the kernel when the image shrinks, as in [`Resize`].
    pub antialias: bool,
}

impl Default for ImageToTensor {
    fn default() -> Self {
        ImageToTensor {
            scale: None,
            mean: [0.0; 4],
            std: [1.0; 4],
            swap_rb: false,
            letterbox: false,
            pad_value: 114.0,
            layout: Layout::Chw,
            interpolation: Interpolation::Linear,
            coordinates: Coordinates::Default,
            antialias: false,
        }
    }
}

/// The most channels, lanes, and samples of a vector of pixels.
const CHANNELS: usize = 4;
const LANES: usize = 16;
const SAMPLES: usize = CHANNELS * LANES;

/// `sample * gain + offset` per channel of the output, and how a vector of pixels is rearranged. Tables
/// are written for the longest vectors; shorter ones use their beginning.
pub(super) struct Recipe {
    channels: usize,
    planar: bool,
    gain: [f32; CHANNELS],
    offset: [f32; CHANNELS],
    /// The source's channel of each output channel.
    from: [usize; CHANNELS],
    /// Per vector `k` of the result, for every block of four pixels the bytes that become its lanes.
    shuffles: [[u8; 4 * LANES]; CHANNELS],
    /// The gain and offset of these lanes.
    gains: [[f32; LANES]; CHANNELS],
    offsets: [[f32; LANES]; CHANNELS],
}

impl Recipe {
    fn new(options: &ImageToTensor, default_scale: f64, channels: usize) -> Recipe {
        let scale = options.scale.map_or(default_scale, f64::from);
        let std = options.std.map(f64::from);
        let mean = options.mean.map(f64::from);
        let planar = options.layout == Layout::Chw;
        let mut recipe = Recipe {
            channels,
            planar,
            gain: std::array::from_fn(|c| (scale / std[c]) as f32),
            offset: std::array::from_fn(|c| (-mean[c] / std[c]) as f32),
            from: std::array::from_fn(|c| match options.swap_rb && c < 3 {
                true => 2 - c,
                false => c,
            }),
            shuffles: [[0x80; 4 * LANES]; CHANNELS],
            gains: [[0.0; LANES]; CHANNELS],
            offsets: [[0.0; LANES]; CHANNELS],
        };
        for k in 0..channels {
            for lane in 0..LANES {
                // The pixel of the block, and the channel of the output.
                let (pixel, channel) = match planar {
                    true => (lane % 4, k),
                    false => ((4 * k + lane % 4) / channels, (4 * k + lane % 4) % channels),
                };
                recipe.shuffles[k][4 * lane] = (pixel * channels + recipe.from[channel]) as u8;
                recipe.gains[k][lane] = recipe.gain[channel];
                recipe.offsets[k][lane] = recipe.offset[channel];
            }
        }
        recipe
    }

    /// What a sample becomes in channel `c` of the output.
    fn apply(&self, c: usize, sample: f32) -> f32 {
        (f64::from(sample) * f64::from(self.gain[c]) + f64::from(self.offset[c])) as f32
    }
}

/// The tensor: where a row of the (resized) image goes.
struct Tensor<'a, T> {
    recipe: Recipe,
    /// The first sample.
    first: *mut f32,
    channel_stride: isize,
    row_stride: isize,
    frame: Size,
    top: usize,
    left: usize,
    memory: PhantomData<(&'a mut [f32], T)>,
}

// SAFETY: writing takes unsafe code, which answers for tasks being disjoint.
unsafe impl<T: Element> Sync for Tensor<'_, T> {}

impl<T: Element> Tensor<'_, T> {
    /// The first sample of channel `c` of a pixel of the frame.
    fn at(&self, c: usize, y: usize, x: usize) -> *mut f32 {
        let pixel = if self.recipe.planar {
            1
        } else {
            self.recipe.channels
        };
        let offset =
            self.channel_stride * c as isize + self.row_stride * y as isize + (pixel * x) as isize;
        self.first.wrapping_offset(offset)
    }

    /// Fills the columns `x` of row `y` with padding.
    ///
    /// # Safety
    /// They are inside of the frame, and nobody else writes them.
    unsafe fn pad(&self, y: usize, x: std::ops::Range<usize>, padding: &[f32; CHANNELS]) {
        let channels = self.recipe.channels;
        // SAFETY: the caller's promise.
        unsafe {
            if self.recipe.planar {
                for (c, &value) in padding.iter().enumerate().take(channels) {
                    std::slice::from_raw_parts_mut(self.at(c, y, x.start), x.len()).fill(value);
                }
            } else {
                let len = x.len() * channels;
                let run = std::slice::from_raw_parts_mut(self.at(0, y, x.start), len);
                for pixel in run.chunks_exact_mut(channels) {
                    pixel.copy_from_slice(&padding[..channels]);
                }
            }
        }
    }

    /// Fills all of the frame that the image leaves free.
    fn pad_around(&self, ctx: &Context, image: Size, value: f32) -> Result<()> {
        let (frame, top, left) = (self.frame, self.top, self.left);
        if (frame.height, frame.width) == (image.height, image.width) {
            return Ok(());
        }
        let padding = std::array::from_fn(|c| self.recipe.apply(c, value));
        let band = band_rows(frame.height, frame.row());
        ctx.parallel_for(frame.height.div_ceil(band), |task| {
            for y in task * band..((task + 1) * band).min(frame.height) {
                // SAFETY: bands are disjoint, and columns inside of the frame.
                unsafe {
                    if (top..top + image.height).contains(&y) {
                        self.pad(y, 0..left, &padding);
                        self.pad(y, left + image.width..frame.width, &padding);
                    } else {
                        self.pad(y, 0..frame.width, &padding);
                    }
                }
            }
        })
    }

    /// Writes `LANES` (or `count`, if less) pixels from column `x` on.
    ///
    /// # Safety
    /// The pixels are inside of the frame, and nobody else writes them.
    #[inline(always)]
    unsafe fn store<S: Narrow, const C: usize, const PLANAR: bool>(
        &self,
        simd: S,
        y: usize,
        x: usize,
        v: [S::F32; C],
        count: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if PLANAR {
                for (k, v) in v.into_iter().enumerate() {
                    let to = self.at(k, y, x);
                    match count < S::LANES {
                        true => simd.store_partial_ptr(to, count, v),
                        false => simd.store_ptr(to, v),
                    }
                }
                return;
            }
            let to = self.at(0, y, x);
            let mut partial = [0f32; SAMPLES];
            let whole = count >= S::LANES;
            let start = if whole { to } else { partial.as_mut_ptr() };
            for (k, v) in v.into_iter().enumerate() {
                simd.store_float_blocks_ptr(start.add(4 * k), 4 * C, v);
            }
            if !whole {
                std::ptr::copy_nonoverlapping(partial.as_ptr(), to, count * C);
            }
        }
    }
}

/// How a run of samples is rearranged.
pub(super) trait Rearrange: Element {
    /// Samples behind the last pixel that `pixels` reads.
    const BEYOND: usize;
    /// What `pixels` needs of the recipe, in registers.
    type Table<S: Narrow, const C: usize>: Copy;

    /// The table of a recipe.
    fn table<S: Narrow, const C: usize>(simd: S, recipe: &Recipe) -> Self::Table<S, C>;
    /// `LANES` pixels as the `C` vectors that [`Tensor::store`] wants.
    ///
    /// # Safety
    /// `run` is readable for `C * LANES + BEYOND` samples.
    unsafe fn pixels<S: Narrow, const C: usize>(
        simd: S,
        table: &Self::Table<S, C>,
        run: *const Self,
    ) -> [S::F32; C];
}

impl Rearrange for u8 {
    const BEYOND: usize = 12;
    type Table<S: Narrow, const C: usize> = [S::U8; C];

    #[inline(always)]
    fn table<S: Narrow, const C: usize>(simd: S, recipe: &Recipe) -> [S::U8; C] {
        // SAFETY: tables are as long as the longest vectors, and there are C of them.
        unsafe {
            let mut table = [simd.load_bytes_ptr(recipe.shuffles[0].as_ptr()); C];
            for (k, shuffle) in table.iter_mut().enumerate() {
                *shuffle = simd.load_bytes_ptr(recipe.shuffles[k].as_ptr());
            }
            table
        }
    }
    #[inline(always)]
    unsafe fn pixels<S: Narrow, const C: usize>(
        simd: S,
        table: &[S::U8; C],
        run: *const u8,
    ) -> [S::F32; C] {
        let c = C as u32;
        let offsets = [0, 4 * c, 8 * c, 12 * c];
        // SAFETY: blocks of sixteen bytes, the last of four pixels: at most twelve beyond.
        let bytes = unsafe { simd.load_blocks_ptr::<1>(run, offsets.as_ptr()) };
        let mut out = [simd.zero(); C];
        for (out, shuffle) in out.iter_mut().zip(table) {
            *out = simd.to_f32(simd.bytes_as_i32(simd.shuffle_bytes(bytes, *shuffle)));
        }
        out
    }
}

impl Rearrange for f32 {
    const BEYOND: usize = 0;
    type Table<S: Narrow, const C: usize> = [S::I32; C];

    #[inline(always)]
    fn table<S: Narrow, const C: usize>(simd: S, recipe: &Recipe) -> [S::I32; C] {
        let mut table = [simd.splat_i32(0); C];
        for (k, index) in table.iter_mut().enumerate() {
            let mut at = [0i32; LANES];
            for (lane, at) in at.iter_mut().enumerate() {
                // The shuffle says where in its block of four pixels a sample is.
                *at = (lane / 4 * 4 * C) as i32 + i32::from(recipe.shuffles[k][4 * lane]);
            }
            // SAFETY: as long as the longest vector.
            *index = unsafe { simd.load_i32_ptr(at.as_ptr()) };
        }
        table
    }
    #[inline(always)]
    unsafe fn pixels<S: Narrow, const C: usize>(
        simd: S,
        table: &[S::I32; C],
        run: *const f32,
    ) -> [S::F32; C] {
        let mut out = [simd.zero(); C];
        for (out, index) in out.iter_mut().zip(table) {
            // SAFETY: the largest index is that of the last sample of `LANES` pixels.
            *out = unsafe { simd.gather_ptr(run, *index) };
        }
        out
    }
}

impl<T: Rearrange> Tensor<'_, T> {
    /// As [`Sink::finish`], for `C` channels.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn write<S: Narrow, const C: usize, const PLANAR: bool>(
        &self,
        simd: S,
        y: usize,
        x: usize,
        run: &[T],
    ) {
        let table = T::table::<S, C>(simd, &self.recipe);
        let (mut gains, mut offsets) = ([simd.zero(); C], [simd.zero(); C]);
        for k in 0..C {
            gains[k] = simd.load(&self.recipe.gains[k]);
            offsets[k] = simd.load(&self.recipe.offsets[k]);
        }
        let count = run.len() / C;
        let samples = S::LANES * C;
        let mut at = 0;
        while at < count {
            let left = count - at;
            let here = &run[at * C..];
            let mut partial: [T; SAMPLES + 16];
            let from = match here.len() >= samples + T::BEYOND {
                true => here.as_ptr(),
                false => {
                    partial = [here[0]; SAMPLES + 16];
                    let rest = here.len().min(samples);
                    partial[..rest].copy_from_slice(&here[..rest]);
                    partial.as_ptr()
                }
            };
            // SAFETY: readable as far as `pixels` reads; the run is inside of the frame.
            unsafe {
                let mut v = T::pixels::<S, C>(simd, &table, from);
                for k in 0..C {
                    v[k] = simd.fma(v[k], gains[k], offsets[k]);
                }
                self.store::<S, C, PLANAR>(simd, y, x + at, v, left);
            }
            at += S::LANES;
        }
    }
}

impl<T: Rearrange> Sink<T> for Tensor<'_, T> {
    const DIRECT: bool = false;
    fn scratch(&self, longest_run: usize) -> usize {
        Pieces::bytes::<T>(longest_run)
    }
    #[inline(always)]
    unsafe fn place<'a>(
        &'a self,
        _y: usize,
        _start: usize,
        len: usize,
        scratch: &'a mut [u8],
    ) -> &'a mut [T] {
        Pieces::new(scratch).take(len)
    }
    #[inline(always)]
    unsafe fn finish<S: Narrow>(&self, simd: S, y: usize, start: usize, run: &[T]) {
        let channels = self.recipe.channels;
        let (y, x) = (self.top + y, self.left + start / channels);
        // SAFETY: the caller's promise.
        unsafe {
            match (channels, self.recipe.planar) {
                (1, _) => self.write::<S, 1, true>(simd, y, x, run),
                (2, true) => self.write::<S, 2, true>(simd, y, x, run),
                (3, true) => self.write::<S, 3, true>(simd, y, x, run),
                (_, true) => self.write::<S, 4, true>(simd, y, x, run),
                (2, false) => self.write::<S, 2, false>(simd, y, x, run),
                (3, false) => self.write::<S, 3, false>(simd, y, x, run),
                (_, false) => self.write::<S, 4, false>(simd, y, x, run),
            }
        }
    }
}

/// Turns an image into the tensor of a network: resizing (or letterboxing), channel order,
/// normalisation and layout, in one pass.
///
/// `image` is (H, W, C) or (H, W) of `u8` or `f32`, with one to four channels and any strides. `output` is `f32`,
/// (C, H', W') or (H', W', C) as `options.layout` says, or the same with a leading dimension of 1; it may have strides, so it
/// can be a slot of a batch. The two may not overlap.
///
/// The size of the output decides: where it differs from the image's, the image is resized, bilinearly, bicubically or by area, as
/// [`resize`](super::resize()) does it, `u8` in `u8` with rounding. The result is therefore what the usual recipe gives,
/// `cv2.resize` followed by `(pixels * scale - mean) / std` in `f32`, up to the rounding of `f32`:
/// `sample * (scale / std) + (-mean / std)`, one fma. With `letterbox` the image
/// keeps its proportions, lands where [`letterbox()`](super::letterbox()) says, and the rest is `pad_value`, normalised as a sample.
///
/// NaN and infinite samples (of `f32` images) propagate. Returns where the image landed; without `letterbox` it is all of the output.
///
/// Errors: more than four channels (`Unsupported`), `std` of zero or not finite, an empty image for an output that is not empty.
pub fn image_to_tensor<T: Sample>(
    ctx: &Context,
    options: &ImageToTensor,
    image: View<'_, T>,
    output: ViewMut<'_, f32>,
) -> Result<Letterbox> {
    const OP: &str = "image_to_tensor";
    let src = Size::of(OP, "image", &image)?;
    ensure!(
        (1..=CHANNELS).contains(&src.channels),
        Unsupported,
        "{OP}: image has {} channels, supported are 1 to {CHANNELS}",
        src.channels
    );
    ensure!(
        options.interpolation != Interpolation::Nearest,
        Unsupported,
        "{OP}: interpolation is nearest, supported are linear, cubic and area"
    );
    let resize = Resize {
        interpolation: options.interpolation,
        coordinates: options.coordinates,
        antialias: options.antialias,
    };
    resize.check(OP)?;
    ensure!(
        !options.swap_rb || src.channels >= 3,
        InvalidArgument,
        "{OP}: swap_rb exchanges channels 0 and 2, image has {}",
        src.channels
    );
    for (c, &std) in options.std[..src.channels].iter().enumerate() {
        ensure!(
            std.is_finite() && std != 0.0,
            InvalidArgument,
            "{OP}: std[{c}] is {std}, it must be finite and not zero"
        );
    }
    ensure!(
        matches!(output.rank(), 3) || (output.rank() == 4 && output.dim(0) == 1),
        ShapeMismatch,
        "{OP}: output has shape {:?}, expected 3 dimensions (or 4, the first of 1)",
        output.shape()
    );
    let output = if output.rank() == 4 {
        output.index(0, 0)
    } else {
        output
    };
    let planar = options.layout == Layout::Chw;
    let [c, y, x] = if planar { [0, 1, 2] } else { [2, 0, 1] };
    ensure!(
        output.dim(c) == src.channels,
        ShapeMismatch,
        "{OP}: output of shape {:?} has {} channels, image has {}",
        output.shape(),
        output.dim(c),
        src.channels
    );
    let frame = Size::of(OP, "output", &output.as_view().permute(&[y, x, c]))?;
    if output.is_empty() {
        return Ok(Letterbox::whole(src, frame));
    }
    ensure!(
        !image.is_empty(),
        InvalidArgument,
        "{OP}: image of shape {:?} has no pixels for an output of shape {:?}",
        image.shape(),
        output.shape()
    );
    forbid_overlap(OP, "output", &output, "image", &image)?;
    let place = match options.letterbox {
        true => letterbox((src.height, src.width), (frame.height, frame.width))?,
        false => Letterbox::whole(src, frame),
    };
    let packed = output.stride(x) == if planar { 1 } else { src.channels as isize };
    let in_place =
        (packed || frame.width == 1) && (planar || src.channels == 1 || output.stride(c) == 1);
    let image = Image::open(ctx, &image, src)?;
    let recipe = Recipe::new(options, T::DEFAULT_SCALE, src.channels);
    let write = |first: *mut f32, channel_stride, row_stride| {
        let tensor = Tensor::<T> {
            recipe,
            first,
            channel_stride,
            row_stride,
            frame,
            top: place.top,
            left: place.left,
            memory: PhantomData,
        };
        let inner = Size {
            height: place.height,
            width: place.width,
            channels: src.channels,
        };
        if src == inner {
            run(
                ctx,
                &Plain(image.rows()),
                &tensor,
                inner.height,
                inner.row(),
            )?;
        } else {
            resize.smooth(ctx, image.rows(), inner, &tensor)?;
        }
        // Last, because it takes no scratch: an error has written nothing.
        tensor.pad_around(ctx, inner, options.pad_value)
    };
    if in_place {
        write(output.ptr(), output.stride(c), output.stride(y))?;
    } else {
        let compact = frame.row() as isize;
        let (channel_stride, row_stride) = match planar {
            true => ((frame.height * frame.width) as isize, frame.width as isize),
            false => (1, compact),
        };
        let mut copy: ContiguousMut<'_, f32> = output.contiguous(ctx)?;
        write(copy.as_mut_ptr(), channel_stride, row_stride)?;
        copy.finish();
    }
    Ok(place)
}
