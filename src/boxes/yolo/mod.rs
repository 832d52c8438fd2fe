//! `yolo_decode`: what the head of a YOLO puts out, to boxes, scores and classes.
//!
//! A head is large (2.8 MB for 84 x 8400) and almost nothing in it is a
//! detection, so the time is that of reading the scores once. The head is only
//! scanned: for each anchor the best class score, and whether it passes the
//! threshold ([`scan`]). What has passed is counted, and only then, when it is
//! known to fit, boxes are computed and results written, straight to the outputs.
//! Nothing else is ever materialised, and nothing is sorted.
//!
//! Heads are one vocabulary here: groups of anchors with `fields` numbers each,
//! some stride apart. A head (B, 4 + C, N) has the anchors side by side, one
//! (B, N, 5 + C) the fields; with strides every export is one of the two, and what
//! is neither is copied first. Grids have a group for each anchor shape.
//!
//! Sources: Redmon & Farhadi 2018 for the v3 boxes, Ultralytics' YOLOv5 and YOLOv8 for theirs and for
//! the rule that a v5 score is objectness times class score.

mod scan;

use crate::error::{Result, bail, ensure};
use crate::runtime::Context;
use crate::simd::{Isa, Simd, dispatch, math};
use crate::tensor::{View, ViewMut, Writer, expect_shape, forbid_overlap};
use scan::{BLOCK, Group, Scan, Survivor};

/// Fewer are written faster by one thread.
const DETECTIONS_TO_SPLIT: usize = 512;

/// What a head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum YoloHead {
    /// (B, 4 + C, N): centre and size in pixels, class scores. As YOLOv8, v9, v11 and v12 are exported.
    #[default]
    V8,
    /// (B, N, 5 + C): centre and size in pixels, objectness, class scores. As YOLOv5 and v7 are exported.
    V5,
    /// (B, A (5 + C), H, W) or (B, A, H, W, 5 + C): offsets in the cells of a grid, with A anchors;
    /// boxes as in YOLOv3 (and v4).
    GridV3,
    /// The same with boxes as in YOLOv5 (and v7).
    GridV5,
}

impl YoloHead {
    fn is_grid(self) -> bool {
        matches!(self, YoloHead::GridV3 | YoloHead::GridV5)
    }
    /// The numbers of an anchor before its class scores.
    fn first_class(self) -> usize {
        match self {
            YoloHead::V8 => 4,
            _ => 5,
        }
    }
}

/// How a head is read.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct YoloDecodeParams {
    /// What the head is.
    pub head: YoloHead,
    /// A detection has a score larger than that. Not NaN.
    pub score_threshold: f64,
    /// The scores (and, of grids, the offsets and the sizes of v5) are still to go through the
    /// sigmoid. `None`: those of grids are, those of others are not.
    pub logits: Option<bool>,
    /// Every class above the threshold is a detection of its own, not only the best.
    pub multi_label: bool,
    /// Classes of the head, 0 for all that there is room for. What comes after them (masks, key
    /// points) is ignored.
    pub num_classes: usize,
    /// Pixels from cell to cell of a grid, positive; 0 for other heads.
    pub stride: f32,
    /// How far the offset reaches beyond its cell: `scale * sigmoid(t) - (scale - 1) / 2`. 0 is the
    /// usual one, 1 of v3 and 2 of v5.
    pub scale_xy: f32,
}

/// Where the detections go.
pub struct YoloOutputs<'a> {
    /// (K, 4), as corners x1, y1, x2, y2 in pixels.
    pub boxes: ViewMut<'a, f32>,
    /// (K).
    pub scores: ViewMut<'a, f32>,
    /// (K).
    pub classes: ViewMut<'a, i64>,
    /// (K): which anchor of its image a detection is.
    pub indices: Option<ViewMut<'a, i64>>,
    /// (B): detections of each image.
    pub counts: Option<ViewMut<'a, i64>>,
}

/// Decodes a head and leaves out all whose score is not above the threshold.
///
/// Detections come by image, within an image by anchor, and with `multi_label` by class; `count`
/// says how many they are. An anchor's index is its place in N, and `(a H + y) W + x` in a grid. A
/// score is the class score, times the objectness where there is one; an anchor whose objectness
/// alone is not above the threshold is left out. Of equal class scores the first class wins, NaN
/// is never above. With logits the class is that of the largest logit.
///
/// `anchors` (A, 2) are widths and heights in pixels, for grids only. The head may have any strides:
/// an export that has its axes the other way round is passed as a transposed view.
///
/// When K is less than the result, nothing is written but `count`, which says how much is needed,
/// and the error is `BufferTooSmall`.
pub fn yolo_decode(
    ctx: &Context,
    params: &YoloDecodeParams,
    head: View<'_, f32>,
    anchors: Option<View<'_, f32>>,
    outputs: YoloOutputs<'_>,
    count: &mut usize,
) -> Result<()> {
    let op = "yolo_decode";
    check_params(op, params)?;
    let shape = Shape::new(op, params, &head, anchors.as_ref())?;
    check_outputs(op, &shape, &head, anchors.as_ref(), &outputs)?;
    let packed = match shape.is_fast(&head) {
        true => None,
        false => Some(head.contiguous(ctx)?),
    };
    let view = match &packed {
        None => head,
        Some(packed) => View::new(packed, head.shape())?,
    };
    let decoder = Decoder {
        params,
        shape: &shape,
        head: &view,
        anchors: anchors.as_ref(),
        isa: ctx.isa(),
        logits: params.logits.unwrap_or(params.head.is_grid()),
    };
    // First what survives, block by block …
    let blocks_each = shape.anchors.div_ceil(BLOCK);
    let blocks = shape.images * shape.groups * blocks_each;
    let mut survivors = ctx.scratch::<Survivor>(shape.images * shape.groups * shape.anchors)?;
    let mut found = ctx.scratch::<u32>(2 * blocks)?;
    {
        let (len, words) = (survivors.len(), found.len());
        let mut survivors = ViewMut::new(&mut survivors, &[len])?;
        let mut found = ViewMut::new(&mut found, &[words])?;
        let (survivors, found) = (survivors.writer(), found.writer());
        ctx.parallel_for(blocks, |block| {
            let part = shape.part(block, blocks_each);
            // SAFETY: the block's own anchors and numbers.
            let (out, found) = unsafe {
                (
                    survivors.slice(part.place as isize, part.len),
                    found.slice(2 * block as isize, 2),
                )
            };
            let (anchors, detections) = decoder.scan(&part, out);
            found.copy_from_slice(&[anchors as u32, detections as u32]);
        })?;
    }
    // … then, when there is room for all of it, the detections.
    let mut starts = ctx.scratch::<u64>(blocks + 1)?;
    starts[0] = 0;
    for block in 0..blocks {
        starts[block + 1] = starts[block] + u64::from(found[2 * block + 1]);
    }
    let total = starts[blocks] as usize;
    *count = total;
    let YoloOutputs {
        mut boxes,
        mut scores,
        mut classes,
        mut indices,
        counts,
    } = outputs;
    if total > boxes.dim(0) {
        bail!(
            BufferTooSmall,
            "{op}: boxes has room for {}, the result has {total}",
            boxes.dim(0)
        );
    }
    let out = Out {
        boxes: boxes.writer(),
        scores: scores.writer(),
        classes: classes.writer(),
        indices: indices.as_mut().map(ViewMut::writer),
    };
    let run = |block: usize| {
        let part = shape.part(block, blocks_each);
        let survivors = &survivors[part.place..][..found[2 * block] as usize];
        let end = decoder.emit(&part, survivors, &out, starts[block] as usize);
        debug_assert_eq!(end as u64, starts[block + 1]);
    };
    match total < DETECTIONS_TO_SPLIT {
        true => (0..blocks).for_each(run),
        false => ctx.parallel_for(blocks, run)?,
    }
    if let Some(mut counts) = counts {
        let per_image = shape.groups * blocks_each;
        for image in 0..shape.images {
            let bounds = [image, image + 1].map(|i| starts[i * per_image]);
            counts.set(&[image], (bounds[1] - bounds[0]) as i64);
        }
    }
    Ok(())
}

fn check_params(op: &str, params: &YoloDecodeParams) -> Result<()> {
    ensure!(
        !params.score_threshold.is_nan(),
        InvalidArgument,
        "{op}: score_threshold is NaN"
    );
    if params.head.is_grid() {
        ensure!(
            params.stride > 0.0 && params.stride.is_finite(),
            InvalidArgument,
            "{op}: stride is {}, a grid needs a positive one",
            params.stride
        );
    } else {
        ensure!(
            params.stride == 0.0 && params.scale_xy == 0.0,
            InvalidArgument,
            "{op}: stride is {} and scale_xy {}, which only grids have",
            params.stride,
            params.scale_xy
        );
    }
    ensure!(
        params.scale_xy >= 0.0 && params.scale_xy.is_finite(),
        InvalidArgument,
        "{op}: scale_xy is {}",
        params.scale_xy
    );
    Ok(())
}

fn check_outputs(
    op: &str,
    shape: &Shape,
    head: &View<'_, f32>,
    anchors: Option<&View<'_, f32>>,
    out: &YoloOutputs<'_>,
) -> Result<()> {
    let boxes = &out.boxes;
    ensure!(
        boxes.rank() == 2 && boxes.dim(1) == 4,
        ShapeMismatch,
        "{op}: boxes has shape {:?}, expected (K, 4)",
        boxes.shape()
    );
    let room = [boxes.dim(0)];
    expect_shape(op, "scores", &out.scores, &room)?;
    expect_shape(op, "classes", &out.classes, &room)?;
    if let Some(indices) = &out.indices {
        expect_shape(op, "indices", indices, &room)?;
    }
    if let Some(counts) = &out.counts {
        expect_shape(op, "counts", counts, &[shape.images])?;
    }
    // Every output with every input, and with the outputs after it.
    let floats = [("boxes", boxes), ("scores", &out.scores)];
    let integers = [
        ("classes", Some(&out.classes)),
        ("indices", out.indices.as_ref()),
        ("counts", out.counts.as_ref()),
    ];
    let integers = || {
        integers
            .iter()
            .filter_map(|&(name, array)| Some((name, array?)))
    };
    for (input_name, input) in [("head", Some(head)), ("anchors", anchors)] {
        let Some(input) = input else { continue };
        for (name, output) in floats {
            forbid_overlap(op, name, output, input_name, input)?;
        }
        for (name, output) in integers() {
            forbid_overlap(op, name, output, input_name, input)?;
        }
    }
    forbid_overlap(op, "scores", &out.scores, "boxes", boxes)?;
    for (i, (name, output)) in integers().enumerate() {
        for (other, float) in floats {
            forbid_overlap(op, name, output, other, float)?;
        }
        for (other, earlier) in integers().take(i) {
            forbid_overlap(op, name, output, other, earlier)?;
        }
    }
    Ok(())
}

/// The axes of a head.
struct Shape {
    images: usize,
    /// Shapes of anchors in a grid, else 1.
    groups: usize,
    /// Anchors of a group.
    anchors: usize,
    /// Cells along a row of the grid.
    width: usize,
    first_class: usize,
    classes: usize,
    /// Which axes of the head the images, groups, fields and anchors are on; a grid's anchors
    /// are on two. `None`: there are A (5 + C) channels, groups and fields on one axis.
    group_axis: Option<usize>,
    field_axis: usize,
    anchor_axis: usize,
    fields: usize,
}

/// A block of anchors of one group of an image.
struct Part {
    image: usize,
    group: usize,
    /// The first anchor, within the group.
    first: usize,
    len: usize,
    /// The first anchor, within all of the head.
    place: usize,
}

impl Shape {
    fn new(
        op: &str,
        params: &YoloDecodeParams,
        head: &View<'_, f32>,
        anchors: Option<&View<'_, f32>>,
    ) -> Result<Shape> {
        let (kind, dims) = (params.head, head.shape());
        let mut shape = Shape {
            images: head.shape().first().copied().unwrap_or(0),
            groups: 1,
            anchors: 0,
            width: 0,
            first_class: kind.first_class(),
            classes: 0,
            group_axis: None,
            field_axis: 1,
            anchor_axis: 2,
            fields: 0,
        };
        let rank = head.rank();
        if kind.is_grid() {
            let Some(anchors) = anchors else {
                bail!(
                    InvalidArgument,
                    "{op}: anchors are missing, a grid needs them"
                );
            };
            ensure!(
                anchors.rank() == 2 && anchors.dim(1) == 2 && anchors.dim(0) > 0,
                ShapeMismatch,
                "{op}: anchors has shape {:?}, expected (A, 2)",
                anchors.shape()
            );
            shape.groups = anchors.dim(0);
            match rank {
                4 => {
                    ensure!(
                        dims[1] % shape.groups == 0,
                        ShapeMismatch,
                        "{op}: head has {} channels, not a multiple of {} anchors",
                        dims[1],
                        shape.groups
                    );
                    shape.fields = dims[1] / shape.groups;
                }
                5 => {
                    ensure!(
                        dims[1] == shape.groups,
                        ShapeMismatch,
                        "{op}: head has {} anchors, anchors {}",
                        dims[1],
                        shape.groups
                    );
                    shape.fields = dims[4];
                    (shape.group_axis, shape.field_axis) = (Some(1), 4);
                }
                _ => bail!(
                    ShapeMismatch,
                    "{op}: head has {rank} dimensions, expected 4 or 5 of a grid"
                ),
            }
            shape.width = dims[3];
            shape.anchors = dims[2] * dims[3];
        } else {
            ensure!(
                anchors.is_none(),
                InvalidArgument,
                "{op}: anchors are given, which only grids have"
            );
            ensure!(
                rank == 3,
                ShapeMismatch,
                "{op}: head has {rank} dimensions, expected 3"
            );
            if kind == YoloHead::V5 {
                (shape.field_axis, shape.anchor_axis) = (2, 1);
            }
            shape.fields = dims[shape.field_axis];
            shape.anchors = dims[shape.anchor_axis];
        }
        let room = shape.fields.saturating_sub(shape.first_class);
        ensure!(
            room > 0 && params.num_classes <= room,
            ShapeMismatch,
            "{op}: head has {} numbers an anchor, expected {} and {} class scores",
            shape.fields,
            shape.first_class,
            match params.num_classes {
                0 => "some".to_string(),
                n => n.to_string(),
            }
        );
        shape.classes = match params.num_classes {
            0 => room,
            n => n,
        };
        ensure!(
            shape.groups * shape.anchors <= i32::MAX as usize
                && shape.classes <= i32::MAX as usize
                && BLOCK * shape.classes <= u32::MAX as usize,
            Unsupported,
            "{op}: head has {} anchors with {} classes, more than 2^31",
            shape.groups * shape.anchors,
            shape.classes
        );
        Ok(shape)
    }

    /// Anchors one after the other at one stride, and either they or the fields side by side.
    fn is_fast(&self, head: &View<'_, f32>) -> bool {
        let one_run = self.width <= 1
            || head.dim(2) <= 1
            || head.stride(2) == head.stride(3) * self.width as isize;
        one_run && (self.anchor_stride(head) == 1 || head.stride(self.field_axis) == 1)
    }

    fn anchor_stride(&self, head: &View<'_, f32>) -> isize {
        match self.width {
            0 => head.stride(self.anchor_axis),
            // A single column has its rows as anchors.
            1 => head.stride(2),
            _ => head.stride(3),
        }
    }

    /// A block of `blocks_each` in a group.
    fn part(&self, block: usize, blocks_each: usize) -> Part {
        let (which, at) = (block / blocks_each, block % blocks_each);
        let first = at * BLOCK;
        Part {
            image: which / self.groups,
            group: which % self.groups,
            first,
            len: BLOCK.min(self.anchors - first),
            place: which * self.anchors + first,
        }
    }

    /// The anchors of a block.
    fn group<'a>(&self, head: &View<'a, f32>, part: &Part) -> Group<'a> {
        let field_stride = head.stride(self.field_axis);
        let anchor_stride = self.anchor_stride(head);
        let group_stride = match self.group_axis {
            Some(axis) => head.stride(axis),
            None => field_stride * self.fields as isize,
        };
        let offset = part.image as isize * head.stride(0)
            + part.group as isize * group_stride
            + part.first as isize * anchor_stride;
        // SAFETY: the first anchor of the block, inside of the head.
        let base = unsafe { head.ptr().offset(offset) };
        // SAFETY: the shape has been taken from the head.
        unsafe { Group::new(base, anchor_stride, field_stride, part.len, self.fields) }
    }
}

/// The writers of the outputs.
struct Out<'a> {
    boxes: Writer<'a, f32>,
    scores: Writer<'a, f32>,
    classes: Writer<'a, i64>,
    indices: Option<Writer<'a, i64>>,
}

/// Writes an element.
///
/// # Safety
/// The index is inside of the array, and nobody else writes it.
unsafe fn put<T: crate::tensor::Element>(to: &Writer<'_, T>, index: &[usize], value: T) {
    let strides = to.strides().iter();
    let offset = index.iter().zip(strides).map(|(&i, &s)| i as isize * s);
    // SAFETY: the caller's promise.
    unsafe { to.slice(offset.sum(), 1)[0] = value };
}

/// What all blocks share.
struct Decoder<'a> {
    params: &'a YoloDecodeParams,
    shape: &'a Shape,
    head: &'a View<'a, f32>,
    anchors: Option<&'a View<'a, f32>>,
    isa: Isa,
    logits: bool,
}

impl Decoder<'_> {
    fn rule(&self) -> Scan {
        Scan::new(
            self.params.score_threshold,
            self.logits,
            self.shape.first_class,
            self.shape.classes,
            self.params.multi_label,
        )
    }

    /// The anchors of a block that pass, in order, and how many detections they are.
    fn scan(&self, part: &Part, out: &mut [Survivor]) -> (usize, usize) {
        let group = self.shape.group(self.head, part);
        let rule = self.rule();
        dispatch!(self.isa, simd => rule.run(simd, &group, out))
    }

    /// Writes the detections of a block from place `at` on; returns the place after them.
    fn emit(&self, part: &Part, survivors: &[Survivor], out: &Out<'_>, mut at: usize) -> usize {
        let group = self.shape.group(self.head, part);
        let rule = self.rule();
        for survivor in survivors {
            let anchor = scan::anchor(survivor);
            let corners = self.corners(&group, part, anchor);
            let index = (part.group * self.shape.anchors + part.first + anchor) as i64;
            let mut detection = |class: usize, score: f32| {
                // SAFETY: there is room for as many as were counted.
                unsafe {
                    for (k, &corner) in corners.iter().enumerate() {
                        put(&out.boxes, &[at, k], corner);
                    }
                    put(&out.scores, &[at], score);
                    put(&out.classes, &[at], class as i64);
                    if let Some(indices) = &out.indices {
                        put(indices, &[at], index);
                    }
                }
                at += 1;
            };
            dispatch!(self.isa, simd => rule.detections(simd, &group, survivor, &mut detection));
        }
        at
    }

    /// The box of an anchor.
    fn corners(&self, group: &Group<'_>, part: &Part, anchor: usize) -> [f32; 4] {
        let mut b: [f32; 4] = std::array::from_fn(|field| group.get(anchor, field));
        if let Some(anchors) = self.anchors {
            let place = part.first + anchor;
            let cell = [place % self.shape.width, place / self.shape.width];
            let stride = self.params.stride;
            let v5 = self.params.head == YoloHead::GridV5;
            let scale = match self.params.scale_xy {
                0.0 if v5 => 2.0,
                0.0 => 1.0,
                scale => scale,
            };
            let squashed = match self.logits {
                true => dispatch!(self.isa, simd => sigmoids(simd, b)),
                false => b,
            };
            let exponentials = dispatch!(self.isa, simd => exponentials(simd, b));
            for axis in 0..2 {
                let offset = squashed[axis] * scale - 0.5 * (scale - 1.0);
                b[axis] = (offset + cell[axis] as f32) * stride;
                let size = match v5 {
                    true => (2.0 * squashed[axis + 2]) * (2.0 * squashed[axis + 2]),
                    false => exponentials[axis + 2],
                };
                b[axis + 2] = size * anchors.get(&[part.group, axis]);
            }
        }
        super::BoxFormat::Cxcywh.corners(b)
    }
}

/// The sigmoid of four numbers.
#[inline(always)]
fn sigmoids<S: Simd>(simd: S, b: [f32; 4]) -> [f32; 4] {
    b.map(
        #[inline(always)]
        |v| scan::first(simd, math::sigmoid(simd, simd.splat(v))),
    )
}

/// The exponential of four numbers.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, b: [f32; 4]) -> [f32; 4] {
    b.map(
        #[inline(always)]
        |v| scan::first(simd, math::exp(simd, simd.splat(v))),
    )
}
