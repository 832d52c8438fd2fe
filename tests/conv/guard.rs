//! What lies around images is not touched: memory that faults begins right behind the input and the output, or ends right before them.

#[path = "../../src/simd/tests/guard.rs"]
mod pages;

use crate::case::dims;
use crate::common::{Random, context, isas, quick};
use omma::conv::{Algorithm, Conv2dParams, Layout, conv2d};
use omma::runtime::Context;
use omma::tensor::{Raw, View, ViewMut};
use pages::Guarded;

/// Channels, height, width; output channels, side of the window, stride, groups: what fits a page, for each way to read an image, with
/// rows that fill vectors, end within them, and are shorter.
const SHAPES: [([usize; 3], usize, usize, usize, usize); 18] = [
    ([16, 8, 8], 16, 1, 1, 1),
    ([16, 3, 21], 16, 1, 1, 1),
    ([16, 3, 21], 16, 1, 2, 1),
    ([8, 4, 32], 48, 3, 2, 1),
    ([8, 4, 31], 48, 3, 2, 1),
    ([8, 7, 17], 48, 3, 2, 1),
    ([8, 3, 33], 24, 3, 1, 1),
    ([8, 11, 11], 24, 3, 1, 1),
    ([8, 7, 15], 48, 3, 2, 1),
    ([8, 7, 7], 24, 5, 1, 1),
    ([8, 2, 64], 24, 5, 2, 1),
    ([3, 9, 37], 10, 3, 1, 1),
    ([3, 15, 19], 12, 7, 2, 1),
    ([16, 7, 9], 16, 3, 1, 16),
    ([16, 7, 9], 16, 5, 2, 16),
    ([12, 5, 16], 12, 3, 2, 12),
    ([12, 5, 16], 24, 3, 1, 3),
    ([24, 5, 8], 24, 3, 1, 1),
];

#[test]
fn nothing_around_the_images_is_touched() {
    let mut random = Random(97);
    for (index, &shape) in SHAPES.iter().enumerate() {
        let ([c, h, w], outputs, kernel, stride, groups) = shape;
        if quick() && index % 3 > 0 {
            continue;
        }
        for layout in [Layout::Nchw, Layout::Nhwc] {
            for padding in [0, kernel / 2] {
                let side = |len: usize| (len + 2 * padding).checked_sub(kernel);
                let (Some(oh), Some(ow)) = (side(h), side(w)) else {
                    continue;
                };
                let (oh, ow) = (oh / stride + 1, ow / stride + 1);
                let x = random.floats(c * h * w);
                let weight = random.floats(outputs * (c / groups) * kernel * kernel);
                let mut algorithms =
                    vec![Algorithm::Auto, Algorithm::Direct, Algorithm::ImplicitGemm];
                if kernel == 3 && stride == 1 {
                    algorithms.push(Algorithm::Winograd);
                }
                for algorithm in algorithms {
                    let params = Conv2dParams {
                        stride: [stride; 2],
                        padding: [padding; 4],
                        groups,
                        layout,
                        algorithm,
                        ..Conv2dParams::default()
                    };
                    let case = Guard {
                        params,
                        x: (&x, dims(layout, [1, c, h, w])),
                        weight: (&weight, dims(layout, [outputs, c / groups, kernel, kernel])),
                        out: dims(layout, [1, outputs, oh, ow]),
                    };
                    for isa in isas() {
                        case.check(&context(isa, 1), shape);
                    }
                }
            }
        }
    }
}

struct Guard<'a> {
    params: Conv2dParams<'a>,
    x: (&'a [f32], [usize; 4]),
    weight: (&'a [f32], [usize; 4]),
    out: [usize; 4],
}

impl Guard<'_> {
    /// The result is that of ordinary memory, at either end of a page. An output that is larger than a page has none around it.
    fn check(&self, ctx: &Context, shape: impl std::fmt::Debug + Copy) {
        let len: usize = self.out.iter().product();
        let mut expected = vec![0f32; len];
        let x = View::new(self.x.0, &self.x.1).unwrap();
        let out = ViewMut::new(&mut expected, &self.out).unwrap();
        self.run(ctx, x, out);
        let (from, to) = (Guarded::new(0), Guarded::new(0));
        let mut large = vec![0f32; len];
        for at_end in [false, true] {
            let place = |memory: &Guarded, len: usize| match at_end {
                true => memory.before_end(4 * len).cast::<f32>(),
                false => memory.start().cast(),
            };
            let source = place(&from, self.x.0.len());
            let target = match 4 * len <= to.len() {
                true => place(&to, len),
                false => large.as_mut_ptr(),
            };
            // SAFETY: a page has room for the input, and for the output unless it has its own memory; they live long enough.
            let got = unsafe {
                source.copy_from_nonoverlapping(self.x.0.as_ptr(), self.x.0.len());
                let x = View::from_raw(Raw::new(&"x", source, &self.x.1, None).unwrap());
                let raw = Raw::new(&"out", target, &self.out, None).unwrap();
                self.run(ctx, x, ViewMut::from_raw(&"out", raw).unwrap());
                std::slice::from_raw_parts(target, len)
            };
            let same = got
                .iter()
                .zip(&expected)
                .all(|(a, b)| a.to_bits() == b.to_bits());
            let tier = ctx.isa().tier().name();
            assert!(same, "{shape:?} {:?} on {tier}", self.params);
        }
    }

    fn run(&self, ctx: &Context, x: View<'_, f32>, out: ViewMut<'_, f32>) {
        let weight = View::new(self.weight.0, &self.weight.1).unwrap();
        conv2d(ctx, &self.params, &x, &weight, None, None, out).unwrap();
    }
}
