//! Which anchors of a head pass the threshold.
//!
//! Where anchors lie side by side, a block of them keeps its best scores in the
//! L1 cache while the planes of the classes stream past, four at a time: a load and a
//! comparison for each vector of the head. Where fields lie side by side, and where an
//! objectness decides first, only what that lets through is read at all.
//!
//! Logits are compared as they are, with the logit of the threshold moved down by
//! more than rounding; the sigmoid is left to the few that pass.

use crate::boxes::rule::round_down;
use crate::simd::{Simd, math};
use std::marker::PhantomData;

/// Anchors of a task: their best scores are 8 KB.
pub(super) const BLOCK: usize = 2048;

/// Where objectness stands.
const OBJECTNESS: usize = 4;

/// The anchor within its block and, above it, the bits of its best class score as the head has it.
pub(super) type Survivor = u64;

pub(super) fn anchor(survivor: &Survivor) -> usize {
    *survivor as u32 as usize
}

/// Anchors at one stride, each with its fields at another.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    base: *const f32,
    anchor_stride: isize,
    field_stride: isize,
    len: usize,
    fields: usize,
    head: PhantomData<&'a [f32]>,
}

impl<'a> Group<'a> {
    /// # Safety
    /// `len` anchors of `fields` numbers are readable from `base` on during `'a`.
    pub(super) unsafe fn new(
        base: *const f32,
        anchor_stride: isize,
        field_stride: isize,
        len: usize,
        fields: usize,
    ) -> Group<'a> {
        Group {
            base,
            anchor_stride,
            field_stride,
            len,
            fields,
            head: PhantomData,
        }
    }

    /// The address of a number.
    #[inline(always)]
    fn at(&self, anchor: usize, field: usize) -> *const f32 {
        let offset = anchor as isize * self.anchor_stride + field as isize * self.field_stride;
        self.base.wrapping_offset(offset)
    }

    #[inline(always)]
    pub(super) fn get(&self, anchor: usize, field: usize) -> f32 {
        assert!(anchor < self.len && field < self.fields);
        // SAFETY: an anchor and a field of the group.
        unsafe { *self.at(anchor, field) }
    }

    /// The numbers of consecutive anchors that stand side by side; those that the group lacks are 0.
    #[inline(always)]
    fn load<S: Simd>(&self, simd: S, anchor: usize, field: usize) -> S::F32 {
        debug_assert!(self.anchor_stride == 1 && anchor < self.len && field < self.fields);
        // SAFETY: as many as are left of the group.
        unsafe { simd.load_partial_ptr(self.at(anchor, field), self.len - anchor) }
    }
}

/// The rule for what passes.
pub(super) struct Scan {
    threshold: f32,
    /// What every number that passes is larger than, as the head has it.
    floor: f32,
    logits: bool,
    first_class: usize,
    classes: usize,
    multi_label: bool,
}

impl Scan {
    pub(super) fn new(
        threshold: f64,
        logits: bool,
        first_class: usize,
        classes: usize,
        multi_label: bool,
    ) -> Scan {
        // A sigmoid of more than `t` has an argument of more than its logit; the relative error of
        // either is far below 1e-6.
        let below = threshold * (1.0 - 1e-6);
        let floor = match threshold {
            _ if !logits => round_down(threshold),
            t if t <= 0.0 => f32::NEG_INFINITY,
            t if t >= 1.0 => f32::INFINITY,
            _ => round_down((below / (1.0 - below)).ln()),
        };
        Scan {
            threshold: round_down(threshold),
            floor,
            logits,
            first_class,
            classes,
            multi_label,
        }
    }

    fn has_objectness(&self) -> bool {
        self.first_class > OBJECTNESS
    }

    /// A number of the head as a probability.
    #[inline(always)]
    fn probability<S: Simd>(&self, simd: S, raw: f32) -> f32 {
        match self.logits {
            true => first(simd, math::sigmoid(simd, simd.splat(raw))),
            false => raw,
        }
    }

    /// What the class scores of an anchor are multiplied with, or `None` when that rules it out.
    #[inline(always)]
    fn weight<S: Simd>(&self, simd: S, group: &Group<'_>, anchor: usize) -> Option<f32> {
        if !self.has_objectness() {
            return Some(1.0);
        }
        let weight = self.probability(simd, group.get(anchor, OBJECTNESS));
        (weight > self.threshold).then_some(weight)
    }

    /// The score, if it is one.
    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, weight: f32, raw: f32) -> Option<f32> {
        let score = weight * self.probability(simd, raw);
        (score > self.threshold).then_some(score)
    }

    /// Writes the anchors that pass, in order; returns how many, and how many detections they are.
    #[inline(always)]
    pub(super) fn run<S: Simd>(
        &self,
        simd: S,
        group: &Group<'_>,
        out: &mut [Survivor],
    ) -> (usize, usize) {
        let mut sink = Sink {
            out,
            anchors: 0,
            detections: 0,
        };
        match (group.anchor_stride == 1, self.has_objectness()) {
            (true, false) => self.planes(simd, group, &mut sink),
            (true, true) => self.objectness(simd, group, &mut sink),
            (false, _) => self.rows(simd, group, &mut sink),
        }
        (sink.anchors, sink.detections)
    }

    /// Anchors side by side, scores alone.
    #[inline(always)]
    fn planes<S: Simd>(&self, simd: S, group: &Group<'_>, sink: &mut Sink<'_>) {
        let mut memory = [f32::NEG_INFINITY; BLOCK];
        let best = &mut memory[..group.len];
        let (start, end) = (self.first_class, self.first_class + self.classes);
        let mut class = start;
        while class + 4 <= end {
            best_of::<S, 4>(simd, group, class, best);
            class += 4;
        }
        while class < end {
            best_of::<S, 1>(simd, group, class, best);
            class += 1;
        }
        let floor = simd.splat(self.floor);
        for (i, part) in best.chunks(S::LANES).enumerate() {
            let mask = simd.gt(simd.load_partial(part), floor);
            self.offer(simd, group, i * S::LANES, part, simd.mask_bits(mask), sink);
        }
    }

    /// Anchors side by side, objectness first.
    #[inline(always)]
    fn objectness<S: Simd>(&self, simd: S, group: &Group<'_>, sink: &mut Sink<'_>) {
        let floor = simd.splat(self.floor);
        let mut memory = [0f32; crate::simd::MAX_LANES];
        for at in (0..group.len).step_by(S::LANES) {
            let mask = simd.gt(group.load(simd, at, OBJECTNESS), floor);
            if !simd.any(mask) {
                continue;
            }
            let mut best = simd.splat(f32::NEG_INFINITY);
            for class in self.first_class..self.first_class + self.classes {
                // Of a NaN the other side stays.
                best = simd.max(group.load(simd, at, class), best);
            }
            let part = &mut memory[..S::LANES.min(group.len - at)];
            simd.store_partial(part, best);
            self.offer(simd, group, at, part, simd.mask_bits(mask), sink);
        }
    }

    /// Fields side by side.
    #[inline(always)]
    fn rows<S: Simd>(&self, simd: S, group: &Group<'_>, sink: &mut Sink<'_>) {
        assert!(group.field_stride == 1 && self.first_class + self.classes <= group.fields);
        let nothing = simd.splat(f32::NEG_INFINITY);
        for anchor in 0..group.len {
            if self.has_objectness() {
                let objectness = group.get(anchor, OBJECTNESS);
                // NaN does not pass.
                if objectness <= self.floor || objectness.is_nan() {
                    continue;
                }
            }
            // SAFETY: the class scores of an anchor of the group, side by side.
            let scores = unsafe {
                std::slice::from_raw_parts(group.at(anchor, self.first_class), self.classes)
            };
            let mut best = nothing;
            let mut parts = scores.chunks_exact(S::LANES);
            for part in &mut parts {
                best = simd.max(simd.load(part), best);
            }
            let last = parts.remainder();
            let more = simd.max(simd.load_partial(last), best);
            best = simd.select(simd.first(last.len()), more, best);
            let best = [simd.reduce_max(best)];
            let mask = u32::from(self.has_objectness() || best[0] > self.floor);
            self.offer(simd, group, anchor, &best, mask, sink);
        }
    }

    /// Takes those anchors from `at` on whose bit is set and that do pass.
    #[inline(always)]
    fn offer<S: Simd>(
        &self,
        simd: S,
        group: &Group<'_>,
        at: usize,
        best: &[f32],
        mut mask: u32,
        sink: &mut Sink<'_>,
    ) {
        while mask != 0 {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            // Lanes beyond the last anchor hold nothing.
            let Some(&raw) = best.get(lane) else { return };
            let anchor = at + lane;
            let Some(weight) = self.weight(simd, group, anchor) else {
                continue;
            };
            if self.score(simd, weight, raw).is_none() {
                continue;
            }
            sink.out[sink.anchors] = u64::from(raw.to_bits()) << 32 | anchor as u64;
            sink.anchors += 1;
            if !self.multi_label {
                sink.detections += 1;
                continue;
            }
            for class in 0..self.classes {
                let raw = group.get(anchor, self.first_class + class);
                sink.detections += usize::from(self.score(simd, weight, raw).is_some());
            }
        }
    }

    /// The classes and scores of a survivor.
    #[inline(always)]
    pub(super) fn detections<S: Simd>(
        &self,
        simd: S,
        group: &Group<'_>,
        survivor: &Survivor,
        mut detection: impl FnMut(usize, f32),
    ) {
        let anchor = anchor(survivor);
        let best = f32::from_bits((survivor >> 32) as u32);
        let Some(weight) = self.weight(simd, group, anchor) else {
            return;
        };
        for class in 0..self.classes {
            let raw = group.get(anchor, self.first_class + class);
            if !self.multi_label && raw != best {
                continue;
            }
            if let Some(score) = self.score(simd, weight, raw) {
                detection(class, score);
                if !self.multi_label {
                    return;
                }
            }
        }
    }
}

/// What passes.
struct Sink<'a> {
    out: &'a mut [Survivor],
    anchors: usize,
    detections: usize,
}

/// The largest of `best` and of as many planes from `class` on, to `best`.
#[inline(always)]
fn best_of<S: Simd, const PLANES: usize>(
    simd: S,
    group: &Group<'_>,
    class: usize,
    best: &mut [f32],
) {
    assert!(group.anchor_stride == 1 && best.len() <= group.len && class + PLANES <= group.fields);
    let planes: [*const f32; PLANES] = std::array::from_fn(
        #[inline(always)]
        |plane| group.at(0, class + plane),
    );
    let whole = best.len() - best.len() % S::LANES;
    let mut at = 0;
    while at < whole {
        // SAFETY: `LANES` anchors from `at` on, of these planes.
        unsafe {
            let place = best.as_mut_ptr().add(at);
            let mut most = simd.load_ptr(place);
            for plane in planes {
                // Of a NaN the other side stays.
                most = simd.max(simd.load_ptr(plane.add(at)), most);
            }
            simd.store_ptr(place, most);
        }
        at += S::LANES;
    }
    if at < best.len() {
        let rest = &mut best[at..];
        let mut most = simd.load_partial(rest);
        for plane in 0..PLANES {
            most = simd.max(group.load(simd, at, class + plane), most);
        }
        simd.store_partial(rest, most);
    }
}

/// The first lane.
#[inline(always)]
pub(super) fn first<S: Simd>(simd: S, v: S::F32) -> f32 {
    let mut lane = [0f32];
    simd.store_partial(&mut lane, v);
    lane[0]
}
