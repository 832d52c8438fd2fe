//! Random options against the scalar oracle in f64.

use crate::case::{Array, Case, bits, contexts, dims, pick};
use crate::common::{Random, quick};
use omma::conv::{Algorithm, Conv2dParams, Layout};
use omma::simd::Activation;

/// What a family of random cases looks like.
#[derive(Clone, Copy)]
struct Family {
    depthwise: bool,
    /// The most multiply-adds.
    work: usize,
    wide: bool,
}

fn random_case(rng: &mut Random, family: Family) -> Case {
    loop {
        let layout = pick(rng, &[Layout::Nchw, Layout::Nhwc]);
        let kernel = [
            pick(rng, &[1, 2, 3, 3, 3, 4, 5, 7]),
            pick(rng, &[1, 2, 3, 3, 3, 4, 5, 7]),
        ];
        let square = rng.range(0, 1) == 0;
        let kernel = if square { [kernel[0]; 2] } else { kernel };
        let stride = match rng.range(0, 5) {
            0..3 => [1, 1],
            3 => [2, 2],
            _ => [rng.range(1, 4), rng.range(1, 4)],
        };
        let dilation = match rng.range(0, 2) {
            0 => [rng.range(1, 3), rng.range(1, 4)],
            _ => [1, 1],
        };
        let padding = match rng.range(0, 2) {
            0 => [0; 4],
            1 => {
                let (y, x) = (kernel[0] / 2 * dilation[0], kernel[1] / 2 * dilation[1]);
                [y, y, x, x]
            }
            _ => [
                rng.range(0, 4),
                rng.range(0, 4),
                rng.range(0, 5),
                rng.range(0, 5),
            ],
        };
        let groups = match (family.depthwise, rng.range(0, 2)) {
            (true, _) => pick(rng, &[2, 3, 7, 8, 9, 16, 17, 33]),
            (false, 0) => rng.range(2, 4),
            _ => 1,
        };
        let (cg, og) = match family.depthwise {
            true => (1, pick(rng, &[1, 1, 1, 2, 3])),
            false => (
                pick(rng, &[1, 2, 3, 3, 4, 5, 8, 13, 16, 31, 64]),
                pick(
                    rng,
                    &[1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 16, 17, 24, 32, 33, 64],
                ),
            ),
        };
        let n = pick(rng, &[1, 1, 2, 3]);
        let most = if family.wide { 131 } else { 23 };
        let (h, w) = (rng.range(1, most), rng.range(1, most));
        let span = |axis: usize| dilation[axis] * (kernel[axis] - 1) + 1;
        let (ph, pw) = (h + padding[0] + padding[1], w + padding[2] + padding[3]);
        if ph < span(0) || pw < span(1) {
            continue;
        }
        let oh = (ph - span(0)) / stride[0] + 1;
        let ow = (pw - span(1)) / stride[1] + 1;
        let (c, o) = (cg * groups, og * groups);
        if n * o * oh * ow * cg * kernel[0] * kernel[1] > family.work {
            continue;
        }
        let activation = pick(
            rng,
            &[
                Activation::None,
                Activation::None,
                Activation::Relu,
                Activation::Relu6,
                Activation::LeakyRelu { slope: 0.1 },
                Activation::Sigmoid,
                Activation::Tanh,
                Activation::Silu,
                Activation::HardSwish,
            ],
        );
        let algorithm = pick(
            rng,
            &[
                Algorithm::Auto,
                Algorithm::Auto,
                Algorithm::Direct,
                Algorithm::ImplicitGemm,
            ],
        );
        let prelu = activation == Activation::None && rng.range(0, 2) == 0;
        let kinds: [usize; 4] = std::array::from_fn(|_| pick(rng, &[0, 0, 0, 1, 2]));
        let x = Array::random(rng, &dims(layout, [n, c, h, w]), kinds[0]);
        let w = Array::random(rng, &dims(layout, [o, cg, kernel[0], kernel[1]]), kinds[1]);
        let shape = dims(layout, [n, o, oh, ow]);
        return Case {
            params: Conv2dParams {
                stride,
                padding,
                dilation,
                groups,
                activation,
                prelu_slope: None,
                layout,
                algorithm,
            },
            x,
            w,
            bias: (rng.range(0, 1) == 0).then(|| Array::random(rng, &[o], kinds[0])),
            slope: prelu.then(|| {
                let len = pick(rng, &[1, o]);
                Array::random(rng, &[len], kinds[1])
            }),
            residual: (rng.range(0, 2) == 0).then(|| Array::random(rng, &shape, kinds[2])),
            out: Array::random(rng, &shape, kinds[3]),
        };
    }
}

fn random_cases(seed: u64, mut count: usize, mut family: Family) {
    if quick() {
        (count, family.work) = (count / 5, family.work / 4);
    }
    let contexts = contexts();
    let mut rng = Random(seed);
    for i in 0..count {
        let case = random_case(&mut rng, family);
        let expected = case.expected();
        for ctx in &contexts {
            let what = format!("case {i} on {}", ctx.isa().tier().name());
            let once = case.check(ctx, &expected, false, &what);
            let planned = case.run(ctx, true);
            assert_eq!(
                bits(&once),
                bits(&planned),
                "{what}: plan and call\n{}",
                case.describe()
            );
        }
    }
}

#[test]
fn random_options_match_the_oracle() {
    random_cases(
        0x1234_5678_9ABC,
        400,
        Family {
            depthwise: false,
            work: 1 << 20,
            wide: false,
        },
    );
}

#[test]
fn wide_images_match_the_oracle() {
    random_cases(
        0xFEED_5678_9ABC,
        60,
        Family {
            depthwise: false,
            work: 1 << 22,
            wide: true,
        },
    );
}

#[test]
fn depthwise_matches_the_oracle() {
    random_cases(
        0xBEEF_5678_9ABC,
        300,
        Family {
            depthwise: true,
            work: 1 << 20,
            wide: false,
        },
    );
    random_cases(
        0xBEEF_5678_9ABD,
        30,
        Family {
            depthwise: true,
            work: 1 << 22,
            wide: true,
        },
    );
}

/// Deep sums over small images, which are cut between channels and unfolded.
#[test]
fn deep_sums_match_the_oracle() {
    let mut rng = Random(77);
    for (layout, c, o, side, k) in [
        (Layout::Nchw, 300, 70, 5, 3),
        (Layout::Nhwc, 300, 70, 5, 3),
        (Layout::Nchw, 517, 130, 3, 2),
        (Layout::Nhwc, 517, 130, 3, 2),
        (Layout::Nchw, 1030, 40, 2, 1),
    ] {
        let (n, out) = (if quick() { 1 } else { 2 }, side + 3 - k);
        let mut case = Case {
            params: Conv2dParams {
                padding: [1; 4],
                layout,
                algorithm: Algorithm::Direct,
                ..Conv2dParams::default()
            },
            x: Array::random(&mut rng, &dims(layout, [n, c, side, side]), 0),
            w: Array::random(&mut rng, &dims(layout, [o, c, k, k]), 0),
            bias: Some(Array::random(&mut rng, &[o], 0)),
            slope: None,
            residual: None,
            out: Array::random(&mut rng, &dims(layout, [n, o, out, out]), 0),
        };
        let sums = case.expected();
        for algorithm in [Algorithm::Auto, Algorithm::Direct, Algorithm::ImplicitGemm] {
            case.params.algorithm = algorithm;
            let mut expected = sums.clone();
            case.widen(&mut expected);
            for ctx in contexts() {
                case.check(&ctx, &expected, true, "deep");
            }
        }
    }
}

/// A dilation so large that the rows in between do not fit the cache.
#[test]
fn far_dilation_matches_the_oracle() {
    let mut rng = Random(78);
    for (layout, groups) in [
        (Layout::Nchw, 1),
        (Layout::Nhwc, 1),
        (Layout::Nchw, 64),
        (Layout::Nhwc, 64),
    ] {
        let dilation = if groups == 1 { 100 } else { 5000 };
        let case = Case {
            params: Conv2dParams {
                dilation: [dilation, dilation],
                padding: [dilation; 4],
                groups,
                layout,
                ..Conv2dParams::default()
            },
            x: Array::random(&mut rng, &dims(layout, [1, 64, 9, 10]), 0),
            w: Array::random(&mut rng, &dims(layout, [64, 64 / groups, 3, 3]), 0),
            bias: None,
            slope: None,
            residual: None,
            out: Array::random(&mut rng, &dims(layout, [1, 64, 9, 10]), 0),
        };
        let expected = case.expected();
        for ctx in contexts() {
            case.check(&ctx, &expected, false, "far");
        }
    }
}

/// A window of 1 x 1 takes the image as one row, unless rows have gaps: of the input, of the output
/// or of the residual.
#[test]
fn pointwise_rows_with_gaps() {
    let mut rng = Random(17);
    for (n, c, o) in [(1, 64, 32), (3, 50, 25)] {
        for kinds in 0..27 {
            let kinds = [kinds % 3, kinds / 3 % 3, kinds / 9];
            let case = Case {
                params: Conv2dParams {
                    algorithm: pick(&mut rng, &[Algorithm::Auto, Algorithm::ImplicitGemm]),
                    ..Conv2dParams::default()
                },
                x: Array::random(&mut rng, &[n, c, 5, 9], kinds[0]),
                w: Array::random(&mut rng, &[o, c, 1, 1], 0),
                bias: None,
                slope: None,
                residual: (kinds[2] > 0).then(|| Array::random(&mut rng, &[n, o, 5, 9], kinds[2])),
                out: Array::random(&mut rng, &[n, o, 5, 9], kinds[1]),
            };
            let expected = case.expected();
            for ctx in contexts() {
                case.check(&ctx, &expected, true, ctx.isa().tier().name());
            }
        }
    }
}
