//! Arrays (N, C, H, W), the ways they may lie in memory, and calls of the operators on them.

use crate::common::Random;
use omma::error::Result;
use omma::roi::*;
use omma::runtime::Context;
use omma::tensor::{Element, Layout, View, ViewMut};

/// An array (N, C, H, W) in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Maps<T = f32> {
    pub shape: [usize; 4],
    pub data: Vec<T>,
}

impl<T: Copy> Maps<T> {
    pub fn get(&self, n: usize, c: usize, y: usize, x: usize) -> T {
        let [_, cs, h, w] = self.shape;
        self.data[((n * cs + c) * h + y) * w + x]
    }
}

impl Maps {
    pub fn random(random: &mut Random, shape: [usize; 4]) -> Maps {
        Maps {
            shape,
            data: random.floats(shape.iter().product()),
        }
    }
}

/// How an array lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Memory {
    Compact,
    /// As the other layout would be.
    Permuted,
    /// Every stride doubled, and one element off.
    Gaps,
    /// Rows and columns backwards.
    Backwards,
}

pub const MEMORIES: [Memory; 4] = [
    Memory::Compact,
    Memory::Permuted,
    Memory::Gaps,
    Memory::Backwards,
];

/// A strided array and its memory; the shape is that of the layout.
pub struct Lying<T> {
    data: Vec<T>,
    start: usize,
    shape: [usize; 4],
    strides: [isize; 4],
    axes: [usize; 4],
}

impl<T: Element + PartialEq + std::fmt::Debug> Lying<T> {
    /// Memory of `fill` for (N, C, H, W).
    pub fn new(memory: Memory, layout: Layout, [n, c, h, w]: [usize; 4], fill: T) -> Lying<T> {
        let channels_last = (layout == Layout::Nhwc) != (memory == Memory::Permuted);
        let [ci, hi, wi] = [c, h, w].map(|v| v as isize);
        let mut of = match channels_last {
            true => [ci * hi * wi, 1, wi * ci, ci],
            false => [ci * hi * wi, hi * wi, wi, 1],
        };
        let (mut start, mut len) = (0, n * c * h * w);
        if memory == Memory::Gaps {
            of = of.map(|s| 2 * s);
            (start, len) = (1, 2 * len + 1);
        }
        if memory == Memory::Backwards && len > 0 {
            start = ((hi - 1) * of[2] + (wi - 1) * of[3]) as usize;
            (of[2], of[3]) = (-of[2], -of[3]);
        }
        let (axes, sizes) = (layout.axes(), [n, c, h, w]);
        let (mut shape, mut strides) = ([0; 4], [0; 4]);
        for k in 0..4 {
            (shape[axes[k]], strides[axes[k]]) = (sizes[k], of[k]);
        }
        Lying {
            data: vec![fill; len],
            start,
            shape,
            strides,
            axes,
        }
    }

    fn each(&self, mut f: impl FnMut(usize)) {
        let size = self.axes.map(|axis| self.shape[axis]);
        let step = self.axes.map(|axis| self.strides[axis]);
        for n in 0..size[0] as isize {
            for c in 0..size[1] as isize {
                for y in 0..size[2] as isize {
                    for x in 0..size[3] as isize {
                        let at = n * step[0] + c * step[1] + y * step[2] + x * step[3];
                        f((self.start as isize + at) as usize);
                    }
                }
            }
        }
    }

    pub fn of(memory: Memory, layout: Layout, maps: &Maps<T>, fill: T) -> Lying<T> {
        let mut lying = Lying::new(memory, layout, maps.shape, fill);
        let (mut values, mut places) = (maps.data.iter(), Vec::new());
        lying.each(|at| places.push(at));
        for at in places {
            lying.data[at] = *values.next().unwrap();
        }
        lying
    }

    pub fn view(&self) -> View<'_, T> {
        View::strided(&self.data, self.start, &self.shape, &self.strides).unwrap()
    }

    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut::strided(&mut self.data, self.start, &self.shape, &self.strides).unwrap()
    }

    /// What is in it; asserts that nothing was written between the elements.
    pub fn take(&self, fill: T) -> Maps<T> {
        let mut data = Vec::new();
        let mut inside = vec![false; self.data.len()];
        self.each(|at| {
            data.push(self.data[at]);
            inside[at] = true;
        });
        for (at, inside) in inside.into_iter().enumerate() {
            assert!(
                inside || self.data[at] == fill,
                "written between elements, at {at}"
            );
        }
        Maps {
            shape: self.axes.map(|axis| self.shape[axis]),
            data,
        }
    }
}

/// RoIs as rows of five; `split` hands the images over by themselves.
pub fn with_rois<R>(
    rois: &[f32],
    split: bool,
    call: impl FnOnce(View<'_, f32>, Option<View<'_, i64>>) -> R,
) -> R {
    let count = rois.len() / 5;
    if !split {
        return call(View::new(rois, &[count, 5]).unwrap(), None);
    }
    let images: Vec<i64> = rois.chunks(5).map(|r| r[0] as i64).collect();
    let boxes: Vec<f32> = rois.chunks(5).flat_map(|r| r[1..].to_vec()).collect();
    let boxes = View::new(&boxes, &[count, 4]).unwrap();
    call(boxes, Some(View::new(&images, &[count]).unwrap()))
}

/// What an untouched element of an output is.
const UNTOUCHED: f32 = -7.5;

/// How the arrays of a call lie, and how RoIs are handed over.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub input: Memory,
    pub output: Memory,
    pub split: bool,
}

pub const PLAIN: Form = Form {
    input: Memory::Compact,
    output: Memory::Compact,
    split: false,
};

pub fn align(
    ctx: &Context,
    p: &RoiAlignParams,
    form: Form,
    x: &Maps,
    rois: &[f32],
) -> Result<Maps> {
    let shape = [
        rois.len() / 5,
        x.shape[1],
        p.output_size[0],
        p.output_size[1],
    ];
    let x = Lying::of(form.input, p.layout, x, f32::NAN);
    let mut out = Lying::new(form.output, p.layout, shape, UNTOUCHED);
    with_rois(rois, form.split, |rois, images| {
        roi_align(ctx, p, x.view(), rois, images, out.view_mut())
    })?;
    Ok(out.take(UNTOUCHED))
}

pub fn align_backward(
    ctx: &Context,
    p: &RoiAlignParams,
    form: Form,
    dy: &Maps,
    rois: &[f32],
    x: &Maps,
) -> Result<Maps> {
    let dy = Lying::of(form.input, p.layout, dy, f32::NAN);
    let mut dx = Lying::new(form.output, p.layout, x.shape, UNTOUCHED);
    let x = Lying::of(form.input, p.layout, x, f32::NAN);
    let x = (p.mode != RoiAlignMode::Average).then(|| x.view());
    with_rois(rois, form.split, |rois, images| {
        roi_align_backward(ctx, p, dy.view(), rois, images, x, dx.view_mut())
    })?;
    Ok(dx.take(UNTOUCHED))
}

/// With `indexed`, the argmax too.
pub fn pool(
    ctx: &Context,
    p: &RoiPoolParams,
    form: Form,
    x: &Maps,
    rois: &[f32],
    indexed: bool,
) -> Result<(Maps, Option<Maps<i32>>)> {
    let shape = [
        rois.len() / 5,
        x.shape[1],
        p.output_size[0],
        p.output_size[1],
    ];
    let x = Lying::of(form.input, p.layout, x, f32::NAN);
    let mut out = Lying::new(form.output, p.layout, shape, UNTOUCHED);
    let mut at = Lying::new(form.output, p.layout, shape, -9);
    with_rois(rois, form.split, |rois, images| {
        let at = indexed.then(|| at.view_mut());
        roi_pool(ctx, p, x.view(), rois, images, out.view_mut(), at)
    })?;
    Ok((out.take(UNTOUCHED), indexed.then(|| at.take(-9))))
}

pub fn pool_backward(
    ctx: &Context,
    p: &RoiPoolParams,
    form: Form,
    dy: &Maps,
    rois: &[f32],
    argmax: &Maps<i32>,
    map: [usize; 4],
) -> Result<Maps> {
    let dy = Lying::of(form.input, p.layout, dy, f32::NAN);
    let argmax = Lying::of(form.input, p.layout, argmax, i32::MAX);
    let mut dx = Lying::new(form.output, p.layout, map, UNTOUCHED);
    with_rois(rois, form.split, |rois, images| {
        roi_pool_backward(
            ctx,
            p,
            dy.view(),
            rois,
            images,
            argmax.view(),
            dx.view_mut(),
        )
    })?;
    Ok(dx.take(UNTOUCHED))
}

/// RoIs of every kind for maps of that size: inside, across borders, outside, empty, inverted, whole
/// pixels, larger than the map.
pub fn rois(random: &mut Random, count: usize, [n, _, h, w]: [usize; 4], scale: f64) -> Vec<f32> {
    let mut rois = Vec::new();
    for _ in 0..count {
        let mut unit = || f64::from(random.float()) * 0.5 + 0.5;
        let (w, h) = (w as f64, h as f64);
        let mut low = [unit() * (w + 2.0) - 2.0, unit() * (h + 2.0) - 2.0];
        let mut size = [unit() * 0.8 * w, unit() * 0.8 * h];
        match random.range(0, 9) {
            0 => (low, size) = (low.map(f64::round), size.map(f64::round)),
            1 => (low, size) = ([-0.8 * w, -0.3 * h], [w * 2.1, h * 1.4]),
            2 => size = [0.0; 2],
            3 => size = size.map(|s| -0.3 * s),
            4 => (low, size) = ([-3.0 * w, -2.0 * h], [7.0 * w, 6.0 * h]),
            5 => low[0] += 2.0 * w,
            6 => (low, size) = ([-1.0; 2], [w + 1.0, h + 1.0]),
            _ => {}
        }
        rois.push(random.range(0, n - 1) as f32);
        let corners = [low[0], low[1], low[0] + size[0], low[1] + size[1]];
        rois.extend(corners.map(|v| (v / scale) as f32));
    }
    rois
}
