//! Pixels whose channels are neighbours in memory, so that vectors hold channels.
//!
//! Where they are already (NHWC, or a permuted view that is) the map is read as it lies. Otherwise the
//! planes of an image are transposed once for all its RoIs, block of channels by block of
//! channels, as long as the RoIs cover about as many pixels as the image has; else
//! each RoI transposes the rows that it touches.

use super::lanes::{Block, Cut, Maps, to_lanes};
use super::regions::Regions;
use crate::error::Result;
use crate::runtime::{Context, Scratch};
use crate::simd::{Isa, Simd, dispatch};
use std::ops::Range;

/// Elements that pay for handing out a task.
const TASK: usize = 1 << 16;

/// The lanes of a tier.
#[inline(always)]
pub(super) fn lanes_of<S: Simd>(_: S) -> usize {
    S::LANES
}

/// The lanes of a tier.
pub(super) fn lanes(isa: Isa) -> usize {
    dispatch!(isa, simd => lanes_of(simd))
}

/// The maps of a call, channels as neighbours.
pub(super) struct Source<'c> {
    pub(super) maps: Maps<f32>,
    cut: Cut,
    pub(super) size: [usize; 2],
    /// Channels are neighbours already, whole vectors of them.
    direct: bool,
    staged: Scratch<'c, f32>,
    /// Which of the staged images an image is; -1 when it is none.
    slots: Scratch<'c, i32>,
}

/// Pixels of one block: `ptr` is pixel (0, 0).
#[derive(Clone, Copy)]
pub(super) struct Pixels {
    pub(super) ptr: *const f32,
    pub(super) y: isize,
    pub(super) x: isize,
}

impl<'c> Source<'c> {
    /// Decides for each image whether to transpose it, and does. With `all`, every image that a
    /// RoI is in.
    pub(super) fn new(
        ctx: &'c Context,
        maps: Maps<f32>,
        (images, channels, size): (usize, usize, [usize; 2]),
        regions: &Regions<'_>,
        scale: f32,
        all: bool,
    ) -> Result<Source<'c>> {
        let cut = Cut::new(channels, lanes(ctx.isa()));
        let direct = (maps.c == 1 || channels == 1) && channels >= cut.lanes;
        let mut source = Source {
            maps,
            cut,
            size,
            direct,
            staged: ctx.scratch(0)?,
            slots: ctx.scratch(if direct { 0 } else { images })?,
        };
        let pixels = size[0] * size[1];
        if direct || pixels == 0 {
            source.slots.fill(-1);
            return Ok(source);
        }
        let mut areas = ctx.scratch::<f64>(images)?;
        areas.fill(0.0);
        for k in 0..regions.len() {
            areas[regions.image(k)] += match all {
                true => pixels as f64,
                false => regions.area(k, scale, size),
            };
        }
        let mut count = 0;
        for (slot, &area) in source.slots.iter_mut().zip(areas.iter()) {
            *slot = if area >= pixels as f64 { count } else { -1 };
            count += i32::from(*slot >= 0);
        }
        if count == 0 {
            return Ok(source);
        }
        let image_len = pixels.saturating_mul(cut.width());
        source.staged = ctx.scratch(image_len.saturating_mul(count as usize))?;
        let base = Shared(source.staged.as_mut_ptr());
        // Rows of the map that a task transposes.
        let band = (TASK / (size[1] * cut.widest())).clamp(1, size[0]);
        let bands = size[0].div_ceil(band);
        let (isa, this) = (ctx.isa(), &source);
        ctx.parallel_for(images * cut.blocks * bands, |task| {
            let (image, part) = (task / (cut.blocks * bands), task % (cut.blocks * bands));
            let Ok(slot) = usize::try_from(this.slots[image]) else {
                return;
            };
            let (block, first) = (cut.block(part / bands), part % bands * band);
            let end = (first + band).min(size[0]);
            let dst = base
                .get()
                .wrapping_add(slot * image_len + pixels * block.at);
            // SAFETY: rows of an image; the block of an image in the stage is this task's own.
            dispatch!(isa, simd => unsafe { this.stage(simd, image, &block, first..end, dst) })
        })?;
        Ok(source)
    }

    /// # Safety
    /// The rows are in the image, `dst` is where the block of the image is staged.
    #[inline(always)]
    unsafe fn stage<S: Simd>(
        &self,
        simd: S,
        image: usize,
        block: &Block,
        rows: Range<usize>,
        dst: *mut f32,
    ) {
        let (maps, width) = (&self.maps, self.size[1]);
        // SAFETY: the caller's promise.
        unsafe {
            let row_len = width * block.width;
            if maps.x == 1 && maps.y == width as isize {
                let src = maps.at(image, block.channel, rows.start, 0);
                let (run, dst) = (rows.len() * width, dst.add(rows.start * row_len));
                return to_lanes(simd, src, maps.c, 1, run, block, dst);
            }
            for y in rows {
                let src = maps.at(image, block.channel, y, 0);
                to_lanes(
                    simd,
                    src,
                    maps.c,
                    maps.x,
                    width,
                    block,
                    dst.add(y * row_len),
                );
            }
        }
    }

    /// The pixels of a block of an image, unless RoIs copy their own.
    #[inline(always)]
    pub(super) fn pixels(&self, image: usize, block: &Block) -> Option<Pixels> {
        // Of a map without pixels none is read.
        if self.direct || self.size.contains(&0) {
            return Some(Pixels {
                ptr: self.maps.at(image, block.channel, 0, 0),
                y: self.maps.y,
                x: self.maps.x,
            });
        }
        let slot = usize::try_from(self.slots[image]).ok()?;
        let pixels = self.size[0] * self.size[1];
        let at = slot * pixels * self.cut.width() + pixels * block.at;
        Some(Pixels {
            ptr: self.staged.as_ptr().wrapping_add(at),
            y: (self.size[1] * block.width) as isize,
            x: block.width as isize,
        })
    }
}

/// A pointer that tasks share; they write disjoint parts.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

impl Shared {
    fn get(self) -> *mut f32 {
        self.0
    }
}

// SAFETY: used for disjoint parts only.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}
