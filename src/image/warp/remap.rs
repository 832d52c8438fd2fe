//! `remap`: an image sampled wherever two maps say, once or with maps that are kept.

use super::bands::{Look, Span, run};
use super::sample::{AHEAD, Places, Room};
use super::texel::Texel;
use super::{Warp, check, check_interpolation};
use crate::error::{Result, ensure};
use crate::image::pixels::{Image, ImageMut, Rows, Size};
use crate::runtime::{Buffer, Context};
use crate::simd::{Isa, MAX_LANES};
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

/// Maps that are kept for any number of images, of any size and both types: the rows of both that the kernel
/// reads together lie together, and nothing of the caller's memory is used any more.
///
/// The result has the bits of [`remap`].
pub struct Remap {
    options: Warp,
    height: usize,
    width: usize,
    /// For each row its x, then its y.
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
        let mut places = ctx.buffer::<f32>(2 * height * width)?;
        if !map_x.is_empty() {
            let size = Size {
                height,
                width,
                channels: 1,
            };
            let x = Image::open(ctx, &map_x, size)?;
            let y = Image::open(ctx, &map_y, size)?;
            for (row, places) in places.chunks_exact_mut(2 * width).enumerate() {
                let (to_x, to_y) = places.split_at_mut(width);
                to_x.copy_from_slice(x.rows().row(row));
                to_y.copy_from_slice(y.rows().row(row));
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

/// The places of a run, of the rows of two maps; `below` are the rows [`AHEAD`] below, if there are.
fn places<'a>(
    rows: [&'a [f32]; 2],
    below: Option<[&[f32]; 2]>,
    Span { x: at, count, .. }: Span,
    room: &'a mut Room,
) -> Places<'a> {
    let middle = at + count / 2;
    let ahead = match below {
        Some(below) => (
            below[0][middle] - rows[0][middle],
            below[1][middle] - rows[1][middle],
        ),
        None => (0.0, 0.0),
    };
    let [x, y] = rows.map(|row| &row[at..at + count]);
    if count >= MAX_LANES {
        return Places { x, y, ahead };
    }
    // Kernels read whole vectors.
    room.x[..count].copy_from_slice(x);
    room.y[..count].copy_from_slice(y);
    Places {
        x: &room.x,
        y: &room.y,
        ahead,
    }
}

struct Maps<'a> {
    x: Rows<'a, f32>,
    y: Rows<'a, f32>,
}

impl Look for Maps<'_> {
    fn look<'a>(&'a self, _isa: Isa, span: Span, room: &'a mut Room) -> Places<'a> {
        let rows = |y: usize| [self.x.row(y), self.y.row(y)];
        let below = Some(span.y + AHEAD).filter(|y| *y < self.x.size.height);
        places(rows(span.y), below.map(rows), span, room)
    }
}

impl Look for Remap {
    fn look<'a>(&'a self, _isa: Isa, span: Span, room: &'a mut Room) -> Places<'a> {
        let rows = |y: usize| {
            let row = &self.places[2 * y * self.width..][..2 * self.width];
            let (x, y) = row.split_at(self.width);
            [x, y]
        };
        let below = Some(span.y + AHEAD).filter(|y| *y < self.height);
        places(rows(span.y), below.map(rows), span, room)
    }
}
