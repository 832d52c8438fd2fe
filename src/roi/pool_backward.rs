//! The gradient of RoIPool: every bin gives its gradient to the pixel that was its maximum.
//!
//! A task owns some channels of one image and goes through the RoIs in their order, so that nothing is
//! shared and sums do not depend on the number of threads.

use super::align::Shape;
use super::forward::Bins;
use super::pool::{RoiPoolParams, expect_indexable};
use super::regions::Regions;
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::tensor::{Element, Layout, View, ViewMut, expect_same_shape, forbid_overlap};
use std::sync::atomic::{AtomicBool, Ordering};

/// Channels of a task, where they are apart and where they are neighbours.
const CHANNELS: [usize; 2] = [16, 64];
/// Indices that are checked by a task.
const CHECKED: usize = 1 << 18;

/// The gradient of [`roi_pool`](super::roi_pool) with respect to `x`, to `dx`.
///
/// `dy` and `argmax` have the shape of the output, `dx` that of the input. Of `rois` only the images count. An index
/// of -1 (or less) gives nothing. `dx` overlaps no input.
pub fn roi_pool_backward<B: Element + Into<i64>>(
    ctx: &Context,
    params: &RoiPoolParams,
    dy: View<'_, f32>,
    rois: View<'_, f32>,
    batch_indices: Option<View<'_, B>>,
    argmax: View<'_, i32>,
    dx: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "roi_pool_backward";
    let shape = Shape::new(
        op,
        params.layout,
        params.output_size,
        params.spatial_scale,
        ("dx", &dx),
        ("dy", &dy),
        &rois,
    )?;
    expect_same_shape(op, "argmax", &argmax, "dy", &dy)?;
    expect_indexable(op, "dx", shape.size)?;
    forbid_overlap(op, "dx", &dx, "dy", &dy)?;
    forbid_overlap(op, "dx", &dx, "rois", &rois)?;
    forbid_overlap(op, "dx", &dx, "argmax", &argmax)?;
    if let Some(indices) = &batch_indices {
        forbid_overlap(op, "dx", &dx, "batch_indices", indices)?;
    }
    let regions = Regions::new(ctx, op, &rois, batch_indices.as_ref(), ("dx", shape.images))?;
    let (dy, argmax) = (dy.contiguous(ctx)?, argmax.contiguous(ctx)?);
    let pixels = shape.size[0] * shape.size[1];
    check(ctx, op, &argmax, pixels, shape.size)?;
    if dx.is_empty() {
        return Ok(());
    }
    let dys = Bins::new(
        dy.as_ptr().cast_mut(),
        params.layout,
        shape.channels,
        shape.bins,
    );
    let indices = Bins::new(
        argmax.as_ptr().cast_mut(),
        params.layout,
        shape.channels,
        shape.bins,
    );
    let mut compact = dx.contiguous(ctx)?;
    // The maps as bins of one RoI each: the same strides.
    let maps = Bins::new(
        compact.as_mut_ptr(),
        params.layout,
        shape.channels,
        shape.size,
    );
    let each = CHANNELS[usize::from(params.layout == Layout::Nhwc)];
    let parts = shape.channels.div_ceil(each);
    let count = (shape.bins[0] * shape.bins[1]) as isize;
    ctx.parallel_for(shape.images * parts, |task| {
        let (image, first) = (task / parts, task % parts * each);
        let channels = (first + each).min(shape.channels) - first;
        let (to, to_channel, to_pixel) = maps.at(image, first, 0, 0);
        // SAFETY: pixels of the image's own channels, which are this task's; bins of the arrays.
        unsafe {
            if to_pixel == 1 {
                for c in 0..channels as isize {
                    to.offset(c * to_channel).write_bytes(0, pixels);
                }
            } else {
                for pixel in 0..pixels as isize {
                    to.offset(pixel * to_pixel).write_bytes(0, channels);
                }
            }
            for k in (0..regions.len()).filter(|&k| regions.image(k) == image) {
                let (dy, channel, bin) = dys.at(k, first, 0, 0);
                let (index, ..) = indices.at(k, first, 0, 0);
                let add = |c: isize, at: isize| {
                    let place = c * channel + at * bin;
                    if let Ok(pixel) = u32::try_from(*index.offset(place)) {
                        *to.offset(c * to_channel + pixel as isize * to_pixel) += *dy.offset(place);
                    }
                };
                // As neighbours lie.
                if bin == 1 {
                    for c in 0..channels as isize {
                        (0..count).for_each(|at| add(c, at));
                    }
                } else {
                    for at in 0..count {
                        (0..channels as isize).for_each(|c| add(c, at));
                    }
                }
            }
        }
    })?;
    compact.finish();
    Ok(())
}

/// No index is outside of the map.
fn check(
    ctx: &Context,
    op: &str,
    argmax: &[i32],
    pixels: usize,
    [rows, cols]: [usize; 2],
) -> Result<()> {
    let bad = AtomicBool::new(false);
    ctx.parallel_for(argmax.len().div_ceil(CHECKED), |task| {
        let part = &argmax[task * CHECKED..((task + 1) * CHECKED).min(argmax.len())];
        let largest = part.iter().fold(-1, |largest, &index| index.max(largest));
        if i64::from(largest) >= pixels as i64 {
            bad.store(true, Ordering::Relaxed);
        }
    })?;
    if bad.into_inner() {
        let at = argmax
            .iter()
            .position(|&index| i64::from(index) >= pixels as i64);
        let at = at.unwrap_or_default();
        ensure!(
            false,
            InvalidArgument,
            "{op}: argmax has {} at element {at}, dx is {rows} x {cols}",
            argmax[at]
        );
    }
    Ok(())
}
