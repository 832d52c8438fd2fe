//! `remap`: an image sampled wherever two maps say, once or with maps that are kept.

use super::sample::{Places, RUN};
use super::texel::Texel;
use super::tiles::{Look, run};
use super::{Warp, check, check_interpolation};
use crate::error::{Result, ensure};
use crate::image::pixels::{Image, ImageMut, Rows, Size};
use crate::runtime::{Buffer, Context};
use crate::simd::Isa;
use crate::tensor::{View, ViewMut, expect_same_shape, forbid_overlap};

const OP: &str = "remap";

/// Takes each pixel of `output` from the place `(map_x, map_y)` of `image`.
///
/// The maps are (H', W') like the output, in pixels of the image, the centre of the first one at (0, 0). The result is OpenCV 5's
/// `remap` with two `CV_32FC1` maps; all else is as for [`warp_affine`](super::warp_affine()). The output may overlap neither image nor maps.
pub fn remap<T: Texel>(
    ctx: &Context,
    options: &Warp,
    image: View<'_, T>,
    map_x: View<'_, f32>,
    map_y: View<'_, f32>,
    output: ViewMut<'_, T>,
) -> Result<()> {
    let sides = check_maps(&map_x, &map_y)?;
    let sizes = check(OP, options, &image, &output)?;
    check_output(&output, sides)?;
    let Some((src, dst)) = sizes else {
        return Ok(());
    };
    forbid_overlap(OP, "output", &output, "map_x", &map_x)?;
    forbid_overlap(OP, "output", &output, "map_y", &map_y)?;
    let image = Image::open(ctx, &image, src)?;
    let x = Image::open(ctx, &map_x, Size { channels: 1, ..dst })?;
    let y = Image::open(ctx, &map_y, Size { channels: 1, ..dst })?;
    let mut output = ImageMut::open(ctx, output, dst)?;
    let look = Maps {
        x: x.rows(),
        y: y.rows(),
    };
    run(ctx, options, image.rows(), output.rows(), &look)?;
    output.finish();
    Ok(())
}

/// Maps that are kept for any number of images, of any size and both types: the runs of both that the kernel
/// reads together lie together, and nothing of the caller's memory is used any more.
///
/// The result has the bits of [`remap`].
pub struct Remap {
    options: Warp,
    height: usize,
    width: usize,
    /// For each row and run of it, `RUN` x and then `RUN` y.
    places: Buffer<f32>,
}

impl Remap {
    /// Keeps the maps.
    pub fn new(
        ctx: &Context,
        options: &Warp,
        map_x: View<'_, f32>,
        map_y: View<'_, f32>,
    ) -> Result<Remap> {
        check_interpolation(OP, options)?;
        let (height, width) = check_maps(&map_x, &map_y)?;
        let runs = width.div_ceil(RUN);
        let mut places = ctx.buffer::<f32>(match map_x.is_empty() {
            true => 0,
            false => height * runs * 2 * RUN,
        })?;
        if !map_x.is_empty() {
            let size = Size {
                height,
                width,
                channels: 1,
            };
            let maps = [
                Image::open(ctx, &map_x, size)?,
                Image::open(ctx, &map_y, size)?,
            ];
            for (y, places) in places.chunks_exact_mut(runs * 2 * RUN).enumerate() {
                for (i, map) in maps.iter().enumerate() {
                    let runs = places.chunks_exact_mut(2 * RUN);
                    for (from, to) in map.rows().row(y).chunks(RUN).zip(runs) {
                        to[i * RUN..][..from.len()].copy_from_slice(from);
                    }
                }
            }
        }
        Ok(Remap {
            options: *options,
            height,
            width,
            places,
        })
    }

    /// The (height, width) of the output.
    pub fn output_size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// As [`remap`], with the maps and options of the plan.
    pub fn run<T: Texel>(
        &self,
        ctx: &Context,
        image: View<'_, T>,
        output: ViewMut<'_, T>,
    ) -> Result<()> {
        let sizes = check(OP, &self.options, &image, &output)?;
        check_output(&output, (self.height, self.width))?;
        let Some((src, dst)) = sizes else {
            return Ok(());
        };
        let image = Image::open(ctx, &image, src)?;
        let mut output = ImageMut::open(ctx, output, dst)?;
        run(ctx, &self.options, image.rows(), output.rows(), self)?;
        output.finish();
        Ok(())
    }
}

/// Height and width of both maps.
fn check_maps(map_x: &View<'_, f32>, map_y: &View<'_, f32>) -> Result<(usize, usize)> {
    ensure!(
        map_x.rank() == 2,
        ShapeMismatch,
        "{OP}: map_x has {} dimensions, expected 2 (H, W)",
        map_x.rank()
    );
    expect_same_shape(OP, "map_y", map_y, "map_x", map_x)?;
    let size = Size::of(OP, "map_x", map_x)?;
    Ok((size.height, size.width))
}

fn check_output<T: Texel>(output: &ViewMut<'_, T>, maps: (usize, usize)) -> Result<()> {
    ensure!(
        (output.dim(0), output.dim(1)) == maps,
        ShapeMismatch,
        "{OP}: output is {} x {}, the maps are {} x {}",
        output.dim(0),
        output.dim(1),
        maps.0,
        maps.1
    );
    Ok(())
}

struct Maps<'a> {
    x: Rows<'a, f32>,
    y: Rows<'a, f32>,
}

impl Look for Maps<'_> {
    fn look(&self, _isa: Isa, y: usize, x: usize, count: usize, places: &mut Places) {
        places.x[..count].copy_from_slice(&self.x.row(y)[x..x + count]);
        places.y[..count].copy_from_slice(&self.y.row(y)[x..x + count]);
    }
    fn tiled(&self, _pixel: usize) -> bool {
        false
    }
}

impl Look for Remap {
    fn look(&self, _isa: Isa, y: usize, x: usize, _count: usize, places: &mut Places) {
        let run = (y * self.width.div_ceil(RUN) + x / RUN) * 2 * RUN;
        let (from_x, from_y) = self.places[run..run + 2 * RUN].split_at(RUN);
        places.x.copy_from_slice(from_x);
        places.y.copy_from_slice(from_y);
    }
    fn tiled(&self, _pixel: usize) -> bool {
        false
    }
}
