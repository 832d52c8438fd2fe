//! The RoIs of a call: four numbers and the image they lie in.

use crate::error::{Result, ensure};
use crate::runtime::{Context, Scratch};
use crate::tensor::{Contiguous, Element, View, expect_rank};

/// RoIs whose images are known to exist.
pub(super) struct Regions<'c> {
    rows: Contiguous<'c, f32>,
    /// Numbers of a row: 5 with the image in front, or 4.
    width: usize,
    images: Scratch<'c, i32>,
}

impl<'c> Regions<'c> {
    /// Reads `rois` (K, 5), or (K, 4) with the images in `batch_indices` (K); `map` is the array of the images.
    pub(super) fn new<B: Element + Into<i64>>(
        ctx: &'c Context,
        op: &str,
        rois: &View<'c, f32>,
        batch_indices: Option<&View<'c, B>>,
        (map, images): (&str, usize),
    ) -> Result<Regions<'c>> {
        expect_rank(op, "rois", rois, 2)?;
        let (len, width) = (rois.dim(0), if batch_indices.is_some() { 4 } else { 5 });
        ensure!(
            rois.dim(1) == width,
            ShapeMismatch,
            "{op}: rois has shape {:?}, expected [K, {width}] {} batch_indices",
            rois.shape(),
            if width == 4 { "with" } else { "without" }
        );
        if let Some(indices) = batch_indices {
            ensure!(
                indices.shape() == [len],
                ShapeMismatch,
                "{op}: batch_indices has shape {:?}, rois has {len} rows",
                indices.shape()
            );
        }
        ensure!(
            images <= i32::MAX as usize,
            Unsupported,
            "{op}: {map} has {images} images, the most is {}",
            i32::MAX
        );
        let rows = rois.contiguous(ctx)?;
        let mut of = ctx.scratch::<i32>(len)?;
        if let Some(indices) = batch_indices {
            let indices = indices.contiguous(ctx)?;
            for (k, (&index, of)) in indices.iter().zip(of.iter_mut()).enumerate() {
                let index: i64 = index.into();
                ensure!(
                    index >= 0 && index < images as i64,
                    InvalidArgument,
                    "{op}: batch_indices[{k}] is {index}, {map} has {images} images"
                );
                *of = index as i32;
            }
        } else {
            for (k, (row, of)) in rows.chunks_exact(5).zip(of.iter_mut()).enumerate() {
                // torchvision drops the fraction.
                ensure!(
                    row[0] > -1.0 && f64::from(row[0]) < images as f64,
                    InvalidArgument,
                    "{op}: rois[{k}] has batch index {}, {map} has {images} images",
                    row[0]
                );
                *of = row[0] as i32;
            }
        }
        Ok(Regions {
            rows,
            width,
            images: of,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.images.len()
    }

    /// The image of RoI `k`.
    #[inline(always)]
    pub(super) fn image(&self, k: usize) -> usize {
        self.images[k] as usize
    }

    /// x1, y1, x2, y2 of RoI `k`.
    #[inline(always)]
    pub(super) fn corners(&self, k: usize) -> [f32; 4] {
        let row = &self.rows[k * self.width..][..self.width];
        let row = &row[self.width - 4..];
        [row[0], row[1], row[2], row[3]]
    }

    /// About how many pixels of a map of that size RoI `k` covers.
    pub(super) fn area(&self, k: usize, scale: f32, [height, width]: [usize; 2]) -> f64 {
        let [x1, y1, x2, y2] = self.corners(k);
        let side = |low: f32, high: f32, limit: usize| {
            let (low, high) = (f64::from(low * scale), f64::from(high * scale));
            let inside = high.min(limit as f64) - low.max(0.0);
            // A NaN is no pixel.
            if inside >= 0.0 { inside + 2.0 } else { 0.0 }
        };
        side(x1, x2, width) * side(y1, y2, height)
    }
}
