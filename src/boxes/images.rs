//! `nms_per_image`: suppression in each of several images.
//!
//! An image is a task that decides all of its boxes alone; of a single image the
//! classes are tasks, as in `batched_nms`. Nothing is written to the outputs before every image is decided.

use super::nms::{Job, NmsParams, note, outcome, prepare};
use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::tensor::{
    Element, View, ViewMut, expect_rank, expect_same_shape, expect_shape, forbid_overlap,
};
use std::sync::Mutex;

/// [`nms`](super::nms()) or, with `classes` (B, N), [`batched_nms`](super::batched_nms) in each of B
/// images: of `boxes` (B, N, 4) with `scores` (B, N), the indices within the image, best first, to
/// the rows of `indices` (B, K), and how many they are to `counts` (B).
///
/// An image keeps at most K boxes, the best, and at most `max_output` where that is set; K = N
/// never cuts anything off. What is left of a row is filled with -1. The limits of the params
/// count for each image. Where images have fewer than N boxes, the rest is filled up with scores
/// that a `score_threshold` leaves out.
pub fn nms_per_image<T: Element + Into<i64>>(
    ctx: &Context,
    params: &NmsParams,
    boxes: View<'_, f32>,
    scores: View<'_, f32>,
    classes: Option<View<'_, T>>,
    mut indices: ViewMut<'_, i64>,
    mut counts: ViewMut<'_, i64>,
) -> Result<()> {
    let op = "nms_per_image";
    expect_rank(op, "boxes", &boxes, 3)?;
    ensure!(
        boxes.dim(2) == 4,
        ShapeMismatch,
        "{op}: boxes has shape {:?}, expected (B, N, 4)",
        boxes.shape()
    );
    let (images, len) = (boxes.dim(0), boxes.dim(1));
    expect_shape(op, "scores", &scores, &[images, len])?;
    if let Some(classes) = &classes {
        expect_same_shape(op, "classes", classes, "scores", &scores)?;
        forbid_overlap(op, "indices", &indices, "classes", classes)?;
        forbid_overlap(op, "counts", &counts, "classes", classes)?;
    }
    expect_rank(op, "indices", &indices, 2)?;
    ensure!(
        indices.dim(0) == images,
        ShapeMismatch,
        "{op}: indices has {} rows, boxes {images} images",
        indices.dim(0)
    );
    expect_shape(op, "counts", &counts, &[images])?;
    ensure!(
        len <= i32::MAX as usize,
        Unsupported,
        "{op}: {len} boxes an image, the most is {}",
        i32::MAX
    );
    forbid_overlap(op, "indices", &indices, "boxes", &boxes)?;
    forbid_overlap(op, "indices", &indices, "scores", &scores)?;
    forbid_overlap(op, "counts", &counts, "boxes", &boxes)?;
    forbid_overlap(op, "counts", &counts, "scores", &scores)?;
    forbid_overlap(op, "counts", &counts, "indices", &indices)?;
    let rule = prepare(op, params)?;
    let room = indices.dim(1);
    if room == 0 {
        // No limit would be 0.
        (0..images).for_each(|image| counts.set(&[image], 0));
        return Ok(());
    }
    let params = NmsParams {
        max_output: match params.max_output {
            0 => room,
            most => most.min(room),
        },
        ..*params
    };
    let boxes = boxes.contiguous(ctx)?;
    let scores = scores.contiguous(ctx)?;
    let classes = match &classes {
        Some(classes) => Some(classes.contiguous(ctx)?),
        None => None,
    };
    let mut kept = ctx.scratch::<u32>(images * len)?;
    let mut found = ctx.scratch::<u32>(images)?;
    let failure = Mutex::new(None);
    {
        let mut kept = ViewMut::new(&mut kept, &[images * len])?;
        let mut found = ViewMut::new(&mut found, &[images])?;
        let (kept, found) = (kept.writer(), found.writer());
        let run = |image: usize| {
            let part = image * len..(image + 1) * len;
            let job = Job {
                params: &params,
                rule: &rule,
                boxes: &boxes.as_chunks().0[part.clone()],
                scores: &scores[part.clone()],
                split: images == 1,
            };
            // SAFETY: the image's own part of both.
            let (kept, found) = unsafe {
                (
                    kept.slice(part.start as isize, len),
                    found.slice(image as isize, 1),
                )
            };
            let result = match &classes {
                Some(classes) => job.select_by_class(ctx, &classes[part], kept),
                None => job.select(ctx, kept),
            };
            match result {
                Ok(count) => found[0] = count as u32,
                Err(error) => note(&failure, error),
            }
        };
        match images {
            1 => run(0),
            _ => ctx.parallel_for(images, run)?,
        }
    }
    outcome(failure)?;
    for image in 0..images {
        let count = found[image] as usize;
        counts.set(&[image], count as i64);
        for at in 0..room {
            let index = match at < count {
                true => i64::from(kept[image * len + at]),
                false => -1,
            };
            indices.set(&[image, at], index);
        }
    }
    Ok(())
}
