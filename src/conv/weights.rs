//! The weight, bias and slopes of a convolution in the order in which a kernel reads them.
//!
//! Tiles want, for each term of a sum, the weights of the tile's output
//! channels side by side. The channels of a group are cut into panels of nearly equal
//! size (10 channels in tiles of at most 4 make 4 + 3 + 3, not 4 + 4 + 2), so that no
//! register is wasted on channels that do not exist and all tiles hide the
//! latency of their multiply-adds about equally well.

use super::implicit::Left;
use super::params::{Spec, axes};
use super::tile::{MAX_VECTORS, channel_rows, channel_vectors};
use super::winograd;
use crate::error::{Error, Result, Status};
use crate::gemm::{PackedMatrix, Side, Strided};
use crate::runtime::{Buffer, Context, Scratch};
use crate::simd::{Activation, Isa, Tier, dispatch};
use crate::tensor::View;
use std::ops::Range;

/// A total cut into parts that differ by one at most; the larger ones come first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    each: usize,
    more: usize,
}

impl Parts {
    /// `parts` is not zero unless nobody asks for a part.
    #[inline(always)]
    pub(super) fn new(total: usize, parts: usize) -> Parts {
        Parts {
            each: total / parts.max(1),
            more: total % parts.max(1),
        }
    }

    /// Part number `at`.
    #[inline(always)]
    pub(super) fn get(self, at: usize) -> Range<usize> {
        let start = at * self.each + at.min(self.more);
        start..start + self.each + usize::from(at < self.more)
    }

    /// The end of the run of parts that are as large as part number `at`, without an end of all parts.
    #[inline(always)]
    pub(super) fn end_of(self, at: usize) -> usize {
        if at < self.more {
            self.more
        } else {
            usize::MAX
        }
    }

    /// The size of the largest part.
    #[inline(always)]
    pub(super) fn largest(self) -> usize {
        self.each + usize::from(self.more > 0)
    }
}

/// One part of a total.
#[inline(always)]
pub(super) fn part(total: usize, parts: usize, at: usize) -> Range<usize> {
    Parts::new(total, parts).get(at)
}

/// Floats in a vector of a tier.
pub(super) const fn lanes(tier: Tier) -> usize {
    match tier {
        Tier::Portable | Tier::Neon => 4,
        Tier::Avx2 => 8,
        Tier::Avx512 => 16,
    }
}

/// What the kernels of a form expect of the order of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// NCHW: per group, per panel of channels, per term (channel, row, column), the panel's weights.
    ChannelRows,
    /// NHWC: per group, per panel of vectors, per term (row, column, channel), the panel's vectors.
    ChannelLanes,
    /// NCHW: per output channel its taps.
    DepthwiseRows,
    /// NHWC: per tap all output channels.
    DepthwiseLanes,
    /// NCHW: per group a matrix of output channels by terms; a plan has it packed for the engine too.
    Matrix,
    /// Either layout: per group, per panel of vectors, per point, per input channel, the panel's vectors.
    Winograd,
}

impl Form {
    /// Values of an output channel.
    fn depth(self, spec: &Spec) -> usize {
        match self {
            Form::Winograd => winograd::POINTS * spec.cg,
            _ => spec.depth(),
        }
    }
}

/// Memory of a plan, or of a call.
enum Storage<'c> {
    Plan(Buffer<f32>),
    Call(Scratch<'c, f32>),
}

/// Packed weights: immutable, so that threads share them.
pub(super) struct Weights<'c> {
    storage: Storage<'c>,
    /// For [`Form::Matrix`], in a call: the caller's own weight, if it is compact.
    given: Option<&'c [f32]>,
    pub form: Form,
    pub isa: Isa,
    slopes: Range<usize>,
    weights: usize,
    /// Panels in a group.
    pub panels: usize,
    /// For [`Form::Matrix`], in a plan: the matrix of each group.
    matrices: Vec<PackedMatrix>,
    /// Rows and columns of one of them.
    matrix: [usize; 2],
}

impl Weights<'static> {
    /// Packs for a plan, into memory that outlives the call.
    pub(super) fn packed(
        ctx: &Context,
        spec: &Spec,
        form: Form,
        weight: &View<'_, f32>,
        bias: Option<&View<'_, f32>>,
        slope: Option<&View<'_, f32>>,
    ) -> Result<Weights<'static>> {
        let storage = |len| Ok(Storage::Plan(ctx.buffer(len)?));
        let mut weights = Weights::new(ctx, spec, form, weight, None, bias, slope, storage)?;
        if form == Form::Matrix {
            for group in 0..spec.groups {
                let source = weights.matrix(group);
                let (lines, k) = (spec.og, spec.depth());
                let packed = PackedMatrix::new(ctx, ctx.isa(), Side::A, lines, k, source)?;
                weights.matrices.push(packed);
            }
        }
        Ok(weights)
    }
}

impl<'c> Weights<'c> {
    /// Packs for one call, into scratch.
    pub(super) fn lent(
        ctx: &'c Context,
        spec: &Spec,
        form: Form,
        weight: &'c View<'_, f32>,
        bias: Option<&View<'_, f32>>,
        slope: Option<&View<'_, f32>>,
    ) -> Result<Weights<'c>> {
        let storage = |len| Ok(Storage::Call(ctx.scratch(len)?));
        let given = match form {
            Form::Matrix => weight.as_slice(),
            _ => None,
        };
        Weights::new(ctx, spec, form, weight, given, bias, slope, storage)
    }

    fn new(
        ctx: &Context,
        spec: &Spec,
        form: Form,
        weight: &View<'_, f32>,
        given: Option<&'c [f32]>,
        bias: Option<&View<'_, f32>>,
        slope: Option<&View<'_, f32>>,
        storage: impl Fn(usize) -> Result<Storage<'c>>,
    ) -> Result<Weights<'c>> {
        let isa = ctx.isa();
        let lanes = lanes(isa.tier());
        let outputs = spec.outputs();
        let panels = match form {
            Form::ChannelRows => spec.og.div_ceil(channel_rows(isa.tier())),
            Form::ChannelLanes | Form::Winograd => spec
                .og
                .div_ceil(lanes)
                .div_ceil(channel_vectors(isa.tier())),
            Form::DepthwiseRows | Form::DepthwiseLanes | Form::Matrix => 1,
        };
        let slope_values = match (slope, spec.activation) {
            (None, Activation::LeakyRelu { .. }) | (Some(_), _) => outputs,
            _ => 0,
        };
        // Vectors of a panel may reach beyond the last channel.
        let pad = MAX_VECTORS * lanes;
        let group = match form {
            Form::ChannelLanes | Form::Winograd => spec.og.checked_next_multiple_of(lanes),
            _ => Some(spec.og),
        };
        let group = if given.is_some() { Some(0) } else { group };
        let len = group
            .and_then(|group| group.checked_mul(spec.groups))
            .and_then(|all| all.checked_mul(form.depth(spec)))
            .and_then(|all| all.checked_add(2 * outputs + 3 * pad))
            .ok_or_else(|| {
                Error::new(Status::OutOfMemory, "conv2d: the packed weight overflows")
            })?;
        let slopes_at = outputs + pad;
        let weights_at = (slopes_at + slope_values).next_multiple_of(16);
        let mut storage = storage(len)?;
        let data: &mut [f32] = match &mut storage {
            Storage::Plan(buffer) => buffer,
            Storage::Call(scratch) => scratch,
        };
        let (head, body) = data.split_at_mut(weights_at);
        head.fill(0.0);
        if let Some(bias) = bias {
            for (o, value) in head[..outputs].iter_mut().enumerate() {
                *value = bias.get(&[o]);
            }
        }
        for (o, value) in head[slopes_at..slopes_at + slope_values]
            .iter_mut()
            .enumerate()
        {
            *value = match (slope, spec.activation) {
                (Some(slope), _) => slope.get(&[if slope.dim(0) == 1 { 0 } else { o }]),
                (None, Activation::LeakyRelu { slope }) => slope,
                _ => 1.0,
            };
        }
        if given.is_none() {
            pack(ctx, spec, form, panels, lanes, weight, body)?;
        }
        Ok(Weights {
            storage,
            given,
            form,
            isa,
            slopes: slopes_at..slopes_at + slope_values,
            weights: weights_at,
            panels,
            matrices: Vec::new(),
            matrix: [spec.og, spec.depth()],
        })
    }

    fn data(&self) -> &[f32] {
        match &self.storage {
            Storage::Plan(buffer) => buffer,
            Storage::Call(scratch) => scratch,
        }
    }

    /// A value per output channel (zero where there is no bias), and some vectors more.
    pub(super) fn bias(&self) -> &[f32] {
        &self.data()[..self.slopes.start]
    }

    /// A factor per output channel, or nothing.
    pub(super) fn slopes(&self) -> &[f32] {
        &self.data()[self.slopes.clone()]
    }

    /// The matrix of a group.
    pub(super) fn matrix(&self, group: usize) -> Left<'_> {
        if let Some(matrix) = self.matrices.get(group) {
            return Left::Packed(matrix);
        }
        let [rows, columns] = self.matrix;
        let len = rows * columns;
        Left::Strided(Strided::compact(
            &self.given.unwrap_or(self.weights())[group * len..][..len],
            columns,
        ))
    }

    /// The packed weights.
    pub(super) fn weights(&self) -> &[f32] {
        &self.data()[self.weights..]
    }
}

/// A pointer that tasks share to write disjoint parts.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

impl Shared {
    fn get(self) -> *mut f32 {
        self.0
    }
}

// SAFETY: panels are disjoint, see `pack`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

fn pack(
    ctx: &Context,
    spec: &Spec,
    form: Form,
    panels: usize,
    lanes: usize,
    weight: &View<'_, f32>,
    body: &mut [f32],
) -> Result<()> {
    let depth = spec.depth();
    let (og, groups) = (spec.og, spec.groups);
    if weight.is_empty() {
        body.fill(0.0);
        return Ok(());
    }
    match form {
        Form::DepthwiseRows | Form::Matrix => {
            for o in 0..spec.outputs() {
                copy_terms(weight, o, &mut body[o * depth..], 1);
            }
            Ok(())
        }
        Form::DepthwiseLanes => {
            let outputs = spec.outputs();
            for o in 0..outputs {
                copy_terms(weight, o, &mut body[o..], outputs);
            }
            body[depth * outputs..].fill(0.0);
            Ok(())
        }
        Form::ChannelRows => {
            let base = Shared(body.as_mut_ptr());
            ctx.parallel_for(groups * panels, |task| {
                let (g, p) = (task / panels, task % panels);
                let rows = part(og, panels, p);
                // SAFETY: the panels of all groups follow one another without overlap,
                // groups * og * depth floats in all.
                let panel = unsafe {
                    std::slice::from_raw_parts_mut(
                        base.get().add((g * og + rows.start) * depth),
                        rows.len() * depth,
                    )
                };
                for (m, o) in rows.clone().enumerate() {
                    copy_terms(weight, g * og + o, &mut panel[m..], rows.len());
                }
            })
        }
        Form::Winograd => {
            let vectors = og.div_ceil(lanes);
            let depth = form.depth(spec);
            let [_, c, y, x] = axes(spec.layout);
            let base = Shared(body.as_mut_ptr());
            ctx.parallel_for(groups * panels, |task| {
                let (g, p) = (task / panels, task % panels);
                let own = part(vectors, panels, p);
                // SAFETY: the panels of all groups follow one another without overlap, og
                // rounded up to whole vectors of them.
                let panel = unsafe {
                    std::slice::from_raw_parts_mut(
                        base.get().add((g * vectors + own.start) * lanes * depth),
                        own.len() * lanes * depth,
                    )
                };
                let channels = g * og + own.start * lanes..g * og + own.end * lanes;
                let end = (g + 1) * og;
                let (axes, inputs) = ([c, y, x], spec.cg);
                dispatch!(ctx.isa(), simd => {
                    winograd::pack(simd, weight, axes, inputs, channels, end, panel);
                });
            })
        }
        Form::ChannelLanes => {
            let vectors = og.div_ceil(lanes);
            let base = Shared(body.as_mut_ptr());
            ctx.parallel_for(groups * panels, |task| {
                let (g, p) = (task / panels, task % panels);
                let own = part(vectors, panels, p);
                let width = own.len() * lanes;
                // SAFETY: as above, with og rounded up to whole vectors.
                let panel = unsafe {
                    std::slice::from_raw_parts_mut(
                        base.get().add((g * vectors + own.start) * lanes * depth),
                        width * depth,
                    )
                };
                for lane in 0..width {
                    let o = own.start * lanes + lane;
                    if o < og {
                        copy_terms(weight, g * og + o, &mut panel[lane..], width);
                    } else {
                        panel[lane..]
                            .iter_mut()
                            .step_by(width)
                            .for_each(|v| *v = 0.0);
                    }
                }
            })
        }
    }
}

/// Copies the terms of output channel `o` to every `step`th place of `to`, in the
/// order of the weight's axes, which is (channel, row, column) in NCHW and (row, column,
/// channel) in NHWC.
fn copy_terms(weight: &View<'_, f32>, o: usize, to: &mut [f32], step: usize) {
    let terms = weight.index(0, o);
    if let Some(run) = terms.as_slice() {
        for (value, to) in run.iter().zip(to.iter_mut().step_by(step)) {
            *to = *value;
        }
        return;
    }
    let mut to = to.iter_mut().step_by(step);
    for a in 0..terms.dim(0) {
        for b in 0..terms.dim(1) {
            for c in 0..terms.dim(2) {
                if let Some(to) = to.next() {
                    *to = terms.get(&[a, b, c]);
                }
            }
        }
    }
}
