//! Values against the oracle.

use crate::case::{Form, MEMORIES, Maps, Memory, PLAIN, align, pool, rois};
use crate::common::{Random, cases, context, isas, quick};
use crate::oracle;
use omma::roi::{RoiAlignMode, RoiAlignParams, RoiPoolParams};
use omma::tensor::Layout;

pub const MODES: [RoiAlignMode; 3] = [
    RoiAlignMode::Average,
    RoiAlignMode::MaxCorner,
    RoiAlignMode::MaxSample,
];

/// Channel counts around the lanes of every tier, and blocks of four vectors.
const CHANNELS: [usize; 14] = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33, 65, 130];

fn random_params(random: &mut Random) -> RoiAlignParams {
    RoiAlignParams {
        output_size: [random.range(1, 8), random.range(1, 8)],
        spatial_scale: [1.0, 0.25, 0.0625, 1.7][random.range(0, 3)],
        sampling_ratio: [-1, 0, 1, 2, 3, 5][random.range(0, 5)],
        aligned: random.range(0, 1) == 1,
        mode: MODES[random.range(0, 5).saturating_sub(3)],
        layout: [Layout::Nchw, Layout::Nhwc][random.range(0, 1)],
    }
}

fn random_form(random: &mut Random) -> Form {
    Form {
        input: MEMORIES[random.range(0, 3)],
        output: MEMORIES[random.range(0, 3)],
        split: random.range(0, 1) == 1,
    }
}

fn check_align(p: &RoiAlignParams, form: Form, x: &Maps, rois: &[f32]) {
    let expected = oracle::align(p, x, rois);
    for isa in isas() {
        let got = align(&context(isa, 1), p, form, x, rois).unwrap();
        for (at, (&got, &expected)) in got.data.iter().zip(&expected).enumerate() {
            assert!(
                (f64::from(got) - expected).abs() <= 2e-6,
                "{p:?} {form:?} {:?} {:?}: {got} at {at}, expected {expected}",
                x.shape,
                isa.tier()
            );
        }
    }
}

#[test]
fn random_alignments_equal_the_oracle() {
    let mut random = Random(1);
    for case in 0..cases(112) {
        let p = random_params(&mut random);
        let form = random_form(&mut random);
        let [n, h, w] = [random.range(1, 3), random.range(1, 19), random.range(1, 19)];
        let x = Maps::random(&mut random, [n, CHANNELS[case % CHANNELS.len()], h, w]);
        // Few leave the planes as they are, many have them transposed.
        let count = random.range(0, if case % 3 == 0 { 40 } else { 4 });
        let rois = rois(&mut random, count, x.shape, p.spatial_scale);
        check_align(&p, form, &x, &rois);
    }
}

/// More bins than are worked on at once, along either side or both.
#[test]
fn many_bins_equal_the_oracle() {
    let mut random = Random(2);
    for (bins, size) in [
        ([1, 700], [5, 40]),
        ([600, 2], [40, 5]),
        ([40, 37], [9, 31]),
        ([3, 3], [300, 4]),
        ([2, 3], [3, 1100]),
    ] {
        for mode in MODES {
            for layout in [Layout::Nchw, Layout::Nhwc] {
                let p = RoiAlignParams {
                    mode,
                    layout,
                    ..RoiAlignParams::new(bins)
                };
                let channels = if quick() { 3 } else { 18 };
                let x = Maps::random(&mut random, [1, channels, size[0], size[1]]);
                let all = [0.0, -1.0, 0.5, size[1] as f32, size[0] as f32 + 0.5];
                check_align(&p, PLAIN, &x, &all);
                check_align(&p, PLAIN, &x, &[0.0, 1.25, 2.5, 3.5, 4.0]);
                let p = RoiPoolParams {
                    output_size: bins,
                    spatial_scale: 1.0,
                    layout,
                };
                check_pool(&p, PLAIN, &x, &all);
            }
        }
    }
}

fn check_pool(p: &RoiPoolParams, form: Form, x: &Maps, rois: &[f32]) {
    let (values, indices) = oracle::pool(p, x, rois);
    for isa in isas() {
        let ctx = context(isa, 1);
        let what = format!("{p:?} {form:?} {:?} {:?}", x.shape, isa.tier());
        let (got, _) = pool(&ctx, p, form, x, rois, false).unwrap();
        assert_eq!(got.data, values, "{what}");
        let (got, at) = pool(&ctx, p, form, x, rois, true).unwrap();
        assert_eq!(got.data, values, "{what} with argmax");
        assert_eq!(at.unwrap().data, indices, "{what}");
    }
}

#[test]
fn random_pools_equal_the_oracle() {
    let mut random = Random(3);
    for case in 0..cases(200) {
        let p = RoiPoolParams {
            output_size: [random.range(1, 8), random.range(1, 8)],
            spatial_scale: [1.0, 0.25, 0.0625, 1.7][random.range(0, 3)],
            layout: [Layout::Nchw, Layout::Nhwc][random.range(0, 1)],
        };
        let form = random_form(&mut random);
        let [n, h, w] = [random.range(1, 3), random.range(1, 19), random.range(1, 19)];
        let mut x = Maps::random(&mut random, [n, CHANNELS[case % CHANNELS.len()], h, w]);
        for v in &mut x.data {
            // Ties, numbers below all floats, and such as are none.
            *v = match random.range(0, 40) {
                0..=30 => (*v * 8.0).round(),
                31 => f32::NAN,
                32 => f32::NEG_INFINITY,
                33 => f32::INFINITY,
                _ => *v,
            };
        }
        let count = random.range(0, if case % 3 == 0 { 40 } else { 4 });
        let rois = rois(&mut random, count, x.shape, p.spatial_scale);
        check_pool(&p, form, &x, &rois);
    }
}

#[test]
fn pools_of_nothing_but_nan_and_minus_infinity() {
    let p = RoiPoolParams {
        output_size: [1, 2],
        spatial_scale: 1.0,
        layout: Layout::Nchw,
    };
    let x = Maps {
        shape: [1, 1, 1, 4],
        data: vec![f32::NAN, f32::NEG_INFINITY, f32::MIN, -1.0],
    };
    for isa in isas() {
        let (y, at) = pool(
            &context(isa, 1),
            &p,
            PLAIN,
            &x,
            &[0.0, 0.0, 0.0, 3.0, 0.0],
            true,
        )
        .unwrap();
        assert_eq!(y.data, [f32::MIN, -1.0]);
        assert_eq!(at.unwrap().data, [-1, 3]);
    }
}

/// What is there in the bins whose pixels hold it, and nowhere else.
#[test]
fn nan_and_infinity_stay_in_their_bins() {
    let mut random = Random(4);
    for (mode, bad) in MODES
        .into_iter()
        .flat_map(|m| [(m, f32::NAN), (m, f32::INFINITY)])
    {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            for channels in [1, 8, 37] {
                let mut x = Maps::random(&mut random, [1, channels, 8, 8]);
                for plane in x.data.chunks_exact_mut(64) {
                    plane[8 * 2 + 5] = bad;
                }
                let p = RoiAlignParams {
                    mode,
                    layout,
                    sampling_ratio: 1,
                    aligned: true,
                    ..RoiAlignParams::new([4, 4])
                };
                for isa in isas() {
                    // A sample in the middle of every square of four pixels.
                    let y =
                        align(&context(isa, 1), &p, PLAIN, &x, &[0.0, 0.0, 0.0, 8.0, 8.0]).unwrap();
                    for plane in y.data.chunks_exact(16) {
                        for (at, v) in plane.iter().enumerate() {
                            let holds = at == 4 + 2;
                            assert_eq!(v.is_nan(), holds && bad.is_nan(), "{mode:?} {at}");
                            assert_eq!(
                                v.is_infinite(),
                                holds && bad.is_infinite(),
                                "{mode:?} {at}"
                            );
                        }
                    }
                }
            }
        }
    }
}

/// RoIs that no peer survives: not numbers, beyond all bounds, with grids of 1e18 samples.
#[test]
fn hostile_rois_are_done_at_once() {
    let (nan, inf, most) = (f32::NAN, f32::INFINITY, f32::MAX);
    let mut random = Random(5);
    let values = [
        nan, inf, -inf, most, -most, 1e30, -1e30, 1e9, -1e9, 3e5, -3e5, 0.0, 4.5, -0.0,
    ];
    let mut rois = Vec::new();
    for _ in 0..cases(400) {
        rois.push(0.0);
        rois.extend([0; 4].map(|_| values[random.range(0, values.len() - 1)]));
    }
    let x = Maps {
        shape: [1, 5, 9, 7],
        data: vec![1.0; 5 * 9 * 7],
    };
    for isa in isas() {
        let ctx = context(isa, 1);
        for (ratio, aligned) in [(-1, false), (-1, true), (2, false), (1024, true)] {
            for mode in MODES {
                if ratio == 1024 && mode != RoiAlignMode::Average {
                    continue;
                }
                let p = RoiAlignParams {
                    sampling_ratio: ratio,
                    aligned,
                    mode,
                    ..RoiAlignParams::new([3, 2])
                };
                let y = align(&ctx, &p, PLAIN, &x, &rois).unwrap();
                for (roi, bins) in rois.chunks(5).zip(y.data.chunks(5 * 6)) {
                    let sound = roi.iter().all(|v| v.is_finite());
                    for &v in bins {
                        assert!((0.0..=1.000_01).contains(&v), "{roi:?}: {v}");
                        assert!(sound || v == 0.0, "{roi:?}: {v}");
                    }
                }
                let dx = crate::case::align_backward(&ctx, &p, PLAIN, &y, &rois, &x).unwrap();
                assert!(dx.data.iter().all(|v| v.is_finite()));
            }
        }
        let p = RoiPoolParams {
            output_size: [3, 2],
            spatial_scale: 1.0,
            layout: Layout::Nchw,
        };
        let (y, _) = pool(&ctx, &p, PLAIN, &x, &rois, true).unwrap();
        assert!(y.data.iter().all(|&v| v == 0.0 || v == 1.0));
    }
}

/// A mean over far more than the map: the share of the map in it.
#[test]
fn huge_adaptive_grids_are_means() {
    for (side, bins) in [(5000.0f32, 1), (40_000.0, 1), (1e6, 1), (20_000.0, 3)] {
        let (h, w) = (50, 70);
        let x = Maps {
            shape: [1, 2, h, w],
            data: vec![1.0; 2 * h * w],
        };
        let p = RoiAlignParams {
            aligned: true,
            ..RoiAlignParams::new([bins, bins])
        };
        let roi = [0.0, -side / 2.0, -side / 2.0, side / 2.0, side / 2.0];
        // Samples a pixel apart; those within a pixel of the map count as on its border.
        let bin = f64::from(side) / bins as f64;
        let expected = (h as f64 + 1.0) / bin * (w as f64 + 1.0) / bin;
        for isa in isas() {
            let y = align(&context(isa, 1), &p, PLAIN, &x, &roi).unwrap();
            let middle = f64::from(y.data[bins * bins / 2]);
            assert!(
                (middle / expected - 1.0).abs() < 0.05,
                "{side}: {middle}, {expected}"
            );
        }
    }
}

#[test]
fn nothing_is_legal() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let p = RoiAlignParams::new([2, 3]);
        let pooling = RoiPoolParams {
            output_size: [2, 3],
            spatial_scale: 1.0,
            layout: Layout::Nchw,
        };
        let roi = [0.0, 0.0, 0.0, 4.0, 4.0];
        for (shape, rois) in [
            ([1, 3, 4, 4], &[][..]),
            ([0, 3, 4, 4], &[]),
            ([1, 0, 4, 4], &roi),
            ([1, 3, 0, 4], &roi),
            ([1, 3, 4, 0], &roi),
            ([1, 3, 0, 0], &roi),
        ] {
            let x = Maps {
                shape,
                data: vec![1.0; shape.iter().product()],
            };
            for mode in MODES {
                let p = RoiAlignParams { mode, ..p };
                let y = align(&ctx, &p, PLAIN, &x, rois).unwrap();
                assert_eq!(y.data, vec![0.0; rois.len() / 5 * shape[1] * 6]);
                let dx = crate::case::align_backward(&ctx, &p, PLAIN, &y, rois, &x).unwrap();
                assert!(dx.data.iter().all(|&v| v == 0.0));
            }
            for indexed in [false, true] {
                let (y, at) = pool(&ctx, &pooling, PLAIN, &x, rois, indexed).unwrap();
                assert_eq!(y.data, vec![0.0; rois.len() / 5 * shape[1] * 6]);
                if let Some(at) = at {
                    assert!(at.data.iter().all(|&v| v == -1));
                    let dx =
                        crate::case::pool_backward(&ctx, &pooling, PLAIN, &y, rois, &at, shape);
                    assert!(dx.unwrap().data.iter().all(|&v| v == 0.0));
                }
            }
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let mut random = Random(6);
    for channels in [3, 70] {
        let x = Maps::random(&mut random, [2, channels, 21, 17]);
        let rois = rois(&mut random, cases(30), x.shape, 0.5);
        for isa in isas() {
            let (one, three) = (context(isa, 1), context(isa, 3));
            for mode in MODES {
                let p = RoiAlignParams {
                    mode,
                    spatial_scale: 0.5,
                    ..RoiAlignParams::new([7, 7])
                };
                let y = [&one, &three].map(|ctx| align(ctx, &p, PLAIN, &x, &rois).unwrap());
                assert_eq!(y[0], y[1]);
                let dx = [&one, &three].map(|ctx| {
                    crate::case::align_backward(ctx, &p, PLAIN, &y[0], &rois, &x).unwrap()
                });
                assert_eq!(dx[0], dx[1]);
            }
            let p = RoiPoolParams {
                output_size: [7, 7],
                spatial_scale: 0.5,
                layout: Layout::Nchw,
            };
            let y = [&one, &three].map(|ctx| pool(ctx, &p, PLAIN, &x, &rois, true).unwrap());
            assert_eq!(y[0], y[1]);
            let (y, at) = &y[0];
            let at = at.as_ref().unwrap();
            let dx = [&one, &three].map(|ctx| {
                crate::case::pool_backward(ctx, &p, PLAIN, y, &rois, at, x.shape).unwrap()
            });
            assert_eq!(dx[0], dx[1]);
        }
    }
}

/// A permuted view of the other layout gives the same bits, and so does one with gaps where channels stay apart.
#[test]
fn memory_does_not_change_a_bit() {
    let mut random = Random(8);
    let x = Maps::random(&mut random, [1, 45, 12, 13]);
    let rois = rois(&mut random, 9, x.shape, 1.0);
    for isa in isas() {
        let ctx = context(isa, 1);
        let p = RoiAlignParams::new([5, 4]);
        let plain = align(&ctx, &p, PLAIN, &x, &rois).unwrap();
        for memory in MEMORIES {
            let form = Form {
                input: memory,
                output: Memory::Permuted,
                split: true,
            };
            assert_eq!(
                align(&ctx, &p, form, &x, &rois).unwrap(),
                plain,
                "{memory:?}"
            );
        }
    }
}
