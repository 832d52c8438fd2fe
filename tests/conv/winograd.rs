//! Winograd's algorithm: every way through it, and how far its rounding goes.

use crate::case::{Array, Case, bits, contexts, dims, pick};
use crate::common::{Random, context, isas, quick};
use omma::conv::{Algorithm, Conv2d, Conv2dParams, Layout, conv2d};
use omma::runtime::Context;
use omma::simd::Activation;

fn case(
    rng: &mut Random,
    layout: Layout,
    [n, cg, og, groups]: [usize; 4],
    [h, w]: [usize; 2],
    padding: [usize; 4],
) -> Case {
    let (oh, ow) = (
        h + padding[0] + padding[1] - 2,
        w + padding[2] + padding[3] - 2,
    );
    let shape = dims(layout, [n, og * groups, oh, ow]);
    let kinds: [usize; 4] = std::array::from_fn(|_| pick(rng, &[0, 0, 1, 2]));
    let activation = pick(
        rng,
        &[
            Activation::None,
            Activation::Relu,
            Activation::LeakyRelu { slope: 0.2 },
            Activation::Silu,
        ],
    );
    Case {
        params: Conv2dParams {
            padding,
            groups,
            activation,
            layout,
            algorithm: Algorithm::Winograd,
            ..Conv2dParams::default()
        },
        x: Array::random(rng, &dims(layout, [n, cg * groups, h, w]), kinds[0]),
        w: Array::random(rng, &dims(layout, [og * groups, cg, 3, 3]), kinds[1]),
        bias: (rng.range(0, 1) == 0).then(|| Array::random(rng, &[og * groups], 0)),
        slope: None,
        residual: (rng.range(0, 2) == 0).then(|| Array::random(rng, &shape, kinds[2])),
        out: Array::random(rng, &shape, kinds[3]),
    }
}

/// All sizes around a tile, with and without padding; channels around a vector; groups, strides, epilogues.
#[test]
fn every_shape_matches_the_oracle() {
    let mut rng = Random(363);
    let count = if quick() { 30 } else { 300 };
    for i in 0..count {
        let layout = pick(&mut rng, &[Layout::Nchw, Layout::Nhwc]);
        let padding = match rng.range(0, 2) {
            0 => [0; 4],
            1 => [1; 4],
            _ => std::array::from_fn(|_| rng.range(0, 5)),
        };
        let size: [usize; 2] = std::array::from_fn(|axis| {
            let padded = padding[2 * axis] + padding[2 * axis + 1];
            let least = 3usize.saturating_sub(padded).max(1);
            pick(&mut rng, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17, 31]).max(least)
        });
        let channels = [1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 33];
        let shape = [
            rng.range(1, 3),
            pick(&mut rng, &channels),
            pick(&mut rng, &channels),
            pick(&mut rng, &[1, 1, 2, 3]),
        ];
        let case = case(&mut rng, layout, shape, size, padding);
        let expected = case.expected();
        for ctx in contexts() {
            let what = format!("case {i} on {}", ctx.isa().tier().name());
            let once = case.check(&ctx, &expected, false, &what);
            let planned = case.run(&ctx, true);
            assert_eq!(bits(&once), bits(&planned), "{what}\n{}", case.describe());
        }
    }
}

/// Many blocks, few blocks (whose panels are tasks), and depths that are summed in chunks.
#[test]
fn large_shapes_match_the_oracle() {
    let mut rng = Random(364);
    let shapes: &[([usize; 4], [usize; 2])] = match quick() {
        true => &[([1, 17, 35, 1], [19, 70]), ([1, 270, 9, 1], [9, 9])],
        false => &[
            ([1, 16, 16, 1], [61, 203]),
            ([2, 33, 50, 2], [57, 41]),
            ([1, 270, 70, 1], [14, 14]),
            ([1, 517, 130, 1], [7, 7]),
            ([40, 28, 48, 1], [11, 11]),
        ],
    };
    for &(channels, size) in shapes {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let case = case(&mut rng, layout, channels, size, [1, 1, 1, 1]);
            let expected = case.expected();
            for isa in isas() {
                let what = isa.tier().name();
                let once = case.check(&context(isa, 1), &expected, false, what);
                for threads in [2, 7] {
                    let other = case.run(&context(isa, threads), true);
                    assert_eq!(bits(&once), bits(&other), "{threads} threads");
                }
            }
        }
    }
}

/// A value that is not finite spoils the tiles that see it, and no other.
#[test]
fn nan_stays_in_its_tiles() {
    for layout in [Layout::Nchw, Layout::Nhwc] {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = Array::compact(vec![1.0; 16 * 400], &dims(layout, [1, 16, 20, 20]));
            x.view_mut().set(&dims(layout, [0, 5, 9, 9]), bad);
            let w = Array::compact(vec![1.0; 16 * 16 * 9], &dims(layout, [16, 16, 3, 3]));
            let params = Conv2dParams {
                padding: [1; 4],
                layout,
                algorithm: Algorithm::Winograd,
                ..Conv2dParams::default()
            };
            for ctx in contexts() {
                let mut out = Array::compact(vec![0.0; 16 * 400], &dims(layout, [1, 16, 20, 20]));
                let to = out.view_mut();
                conv2d(&ctx, &params, &x.view(), &w.view(), None, None, to).unwrap();
                for y in 0..20 {
                    for x in 0..20 {
                        let value = out.at(layout, [0, 7, y, x]);
                        let near = (8..=10).contains(&y) && (8..=10).contains(&x);
                        let tile = (8..12).contains(&y) && (8..12).contains(&x);
                        assert!(!near || !value.is_finite(), "{y} {x} {value}");
                        assert!(tile || value.is_finite(), "{y} {x} {value}");
                    }
                }
            }
        }
    }
}

/// The largest error, in units of the largest error of the direct sums in f32.
fn error_ratio(ctx: &Context, rng: &mut Random, c: usize, o: usize, scale: f32) -> f64 {
    let mut case = case(rng, Layout::Nhwc, [1, c, o, 1], [18, 18], [1; 4]);
    (case.bias, case.residual) = (None, None);
    case.params.activation = Activation::None;
    case.x.data.iter_mut().for_each(|v| *v *= scale);
    let expected = case.expected();
    let worst = |case: &Case| {
        let out = case.run(ctx, true);
        let mut at = expected.iter();
        let mut worst = 0f64;
        for i in 0..o {
            for y in 0..18 {
                for x in 0..18 {
                    let (value, _) = at.next().unwrap();
                    let got = f64::from(out.at(Layout::Nhwc, [0, i, y, x]));
                    worst = worst.max((got - value).abs());
                }
            }
        }
        worst
    };
    let winograd = worst(&case);
    case.params.algorithm = Algorithm::Direct;
    winograd / worst(&case)
}

/// Rounding stays within a small multiple of that of a plain sum, for few channels and for many, small
/// values and large ones (ARCHITECTURE.md has the figures).
#[test]
fn error_is_a_small_multiple_of_the_direct_one() {
    let mut rng = Random(365);
    let channels: &[usize] = if quick() { &[16] } else { &[16, 64, 256, 1024] };
    for ctx in contexts() {
        for &c in channels {
            for scale in [1.0, 1e3] {
                let ratio = error_ratio(&ctx, &mut rng, c, 16, scale);
                println!(
                    "{}: {c} channels, |x| <= {scale}: {ratio:.2}",
                    ctx.isa().tier().name()
                );
                assert!(ratio < 8.0, "{c} channels, scale {scale}: {ratio}");
            }
        }
    }
}

#[test]
fn plans_say_so() {
    let ctx = Context::serial().unwrap();
    let describe = |channels: usize, algorithm: Algorithm| {
        let w = Array::compact(
            vec![1.0; channels * channels * 9],
            &[channels, channels, 3, 3],
        );
        let params = Conv2dParams {
            algorithm,
            ..Conv2dParams::default()
        };
        Conv2d::new(ctx, &params, &w.view(), None)
            .unwrap()
            .describe()
    };
    let isa = ctx.isa().tier().name();
    assert_eq!(
        describe(8, Algorithm::Winograd),
        format!("winograd F(4x4, 3x3), {isa}")
    );
    assert_eq!(
        describe(32, Algorithm::Auto),
        format!("winograd F(4x4, 3x3) or implicit_gemm, {isa}")
    );
    assert_eq!(describe(32, Algorithm::Direct), format!("direct, {isa}"));
    assert_eq!(describe(8, Algorithm::Auto), format!("direct, {isa}"));
}
