//! Gradients against the oracle, as adjoints, and by finite differences.

use crate::case::{Form, MEMORIES, Maps, PLAIN, align, align_backward, pool, pool_backward, rois};
use crate::common::{Random, cases, context, isas};
use crate::forward::MODES;
use crate::oracle;
use omma::roi::{RoiAlignMode, RoiAlignParams, RoiPoolParams};
use omma::tensor::Layout;

fn random_case(random: &mut Random) -> (RoiAlignParams, Form, Maps, Vec<f32>) {
    let p = RoiAlignParams {
        output_size: [random.range(1, 7), random.range(1, 7)],
        spatial_scale: [1.0, 0.25, 1.7][random.range(0, 2)],
        sampling_ratio: [-1, 1, 2, 3][random.range(0, 3)],
        aligned: random.range(0, 1) == 1,
        mode: MODES[random.range(0, 2)],
        layout: [Layout::Nchw, Layout::Nhwc][random.range(0, 1)],
    };
    let form = Form {
        input: MEMORIES[random.range(0, 3)],
        output: MEMORIES[random.range(0, 3)],
        split: random.range(0, 1) == 1,
    };
    let channels = [1, 2, 3, 5, 8, 9, 17, 35, 70][random.range(0, 8)];
    let [n, h, w] = [random.range(1, 3), random.range(1, 15), random.range(1, 15)];
    let x = Maps::random(random, [n, channels, h, w]);
    let count = random.range(0, 12);
    let rois = rois(random, count, x.shape, p.spatial_scale);
    (p, form, x, rois)
}

#[test]
fn gradients_of_alignments_equal_the_oracle() {
    let mut random = Random(11);
    for _ in 0..cases(100) {
        let (p, form, x, rois) = random_case(&mut random);
        let shape = [
            rois.len() / 5,
            x.shape[1],
            p.output_size[0],
            p.output_size[1],
        ];
        let dy = Maps::random(&mut random, shape);
        let expected = oracle::align_backward(&p, &dy, &rois, &x);
        for isa in isas() {
            let dx = align_backward(&context(isa, 1), &p, form, &dy, &rois, &x).unwrap();
            for (at, (&got, &expected)) in dx.data.iter().zip(&expected).enumerate() {
                assert!(
                    (f64::from(got) - expected).abs() <= 2e-5,
                    "{p:?} {form:?} {:?} {:?}: {got} at {at}, expected {expected}",
                    x.shape,
                    isa.tier()
                );
            }
        }
    }
}

/// The mean is linear: what is given to bins is taken from pixels. On maps too large for one part too.
#[test]
fn the_gradient_of_a_mean_is_its_adjoint() {
    let mut random = Random(12);
    for shape in [[2, 40, 30, 21], [1, 3, 400, 300], [1, 33, 130, 90]] {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let x = Maps::random(&mut random, shape);
            let rois = rois(&mut random, 10, x.shape, 0.5);
            let p = RoiAlignParams {
                spatial_scale: 0.5,
                layout,
                ..RoiAlignParams::new([7, 6])
            };
            let dy = Maps::random(&mut random, [10, shape[1], 7, 6]);
            for isa in isas() {
                let ctx = context(isa, 2);
                let y = align(&ctx, &p, PLAIN, &x, &rois).unwrap();
                let dx = align_backward(&ctx, &p, PLAIN, &dy, &rois, &x).unwrap();
                let dot = |a: &Maps, b: &Maps| -> f64 {
                    let products = a.data.iter().zip(&b.data);
                    products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                };
                let (given, taken) = (dot(&y, &dy), dot(&x, &dx));
                assert!(
                    (given - taken).abs() < 1e-4,
                    "{shape:?}: {given} and {taken}"
                );
            }
        }
    }
}

#[test]
fn finite_differences_agree() {
    let mut random = Random(13);
    for mode in MODES {
        for isa in isas() {
            let ctx = context(isa, 1);
            let p = RoiAlignParams {
                mode,
                sampling_ratio: 2,
                ..RoiAlignParams::new([3, 2])
            };
            let x = Maps::random(&mut random, [1, 3, 6, 5]);
            let rois = [0.0, 0.3, 0.2, 4.1, 3.9, 0.0, 1.2, 2.3, 6.0, 7.0];
            let dy = Maps::random(&mut random, [2, 3, 3, 2]);
            let dx = align_backward(&ctx, &p, PLAIN, &dy, &rois, &x).unwrap();
            let loss = |x: &Maps| -> f64 {
                let y = align(&ctx, &p, PLAIN, x, &rois).unwrap();
                let products = y.data.iter().zip(&dy.data);
                products.map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum()
            };
            let step = 1.0 / 1024.0;
            for at in 0..x.data.len() {
                let moved = |by: f32| {
                    let mut x = x.clone();
                    x.data[at] += by;
                    loss(&x)
                };
                let (up, down, middle) = (moved(step), moved(-step), moved(0.0));
                // Where a maximum changes there is no slope.
                if mode != RoiAlignMode::Average && (up + down - 2.0 * middle).abs() > 1e-6 {
                    continue;
                }
                let slope = (up - down) / f64::from(2.0 * step);
                let got = f64::from(dx.data[at]);
                assert!(
                    (slope - got).abs() < 1e-3,
                    "{mode:?} {at}: {got}, slope {slope}"
                );
            }
        }
    }
}

#[test]
fn gradients_of_pools_go_to_the_maxima() {
    let mut random = Random(14);
    for _ in 0..cases(100) {
        let (align, form, mut x, rois) = random_case(&mut random);
        for v in &mut x.data {
            *v = (*v * 8.0).round();
        }
        let p = RoiPoolParams {
            output_size: align.output_size,
            spatial_scale: align.spatial_scale,
            layout: align.layout,
        };
        let [n, channels, h, w] = x.shape;
        let shape = [rois.len() / 5, channels, p.output_size[0], p.output_size[1]];
        let dy = Maps::random(&mut random, shape);
        let bins = p.output_size[0] * p.output_size[1];
        for isa in isas() {
            let ctx = context(isa, 1);
            let (_, argmax) = pool(&ctx, &p, form, &x, &rois, true).unwrap();
            let argmax = argmax.unwrap();
            let mut expected = vec![0f32; n * channels * h * w];
            for (at, (&index, &dy)) in argmax.data.iter().zip(&dy.data).enumerate() {
                let (roi, c) = (at / (bins * channels), at / bins % channels);
                if index >= 0 {
                    let plane = rois[5 * roi] as usize * channels + c;
                    expected[plane * h * w + index as usize] += dy;
                }
            }
            let dx = pool_backward(&ctx, &p, form, &dy, &rois, &argmax, x.shape).unwrap();
            assert_eq!(dx.data, expected);
        }
    }
}
