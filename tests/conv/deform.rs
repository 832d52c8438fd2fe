//! deform_conv2d against its definition in f64, and against ONNX's cases and torchvision's values.

use crate::case::{Array, bits, contexts, pick};
use crate::common::{Random, context, isas, quick};
use omma::conv::{DeformConv2dParams, deform_conv2d};
use omma::error::Status;
use omma::tensor::{View, ViewMut};

struct Case {
    params: DeformConv2dParams,
    x: Array,
    offset: Array,
    w: Array,
    bias: Option<Array>,
    mask: Option<Array>,
    out: Array,
}

impl Case {
    fn random(rng: &mut Random) -> Case {
        loop {
            let kernel = [pick(rng, &[1, 2, 3, 3, 5]), pick(rng, &[1, 2, 3, 3, 4])];
            let stride = [pick(rng, &[1, 1, 2, 3]), pick(rng, &[1, 1, 2])];
            let dilation = [pick(rng, &[1, 1, 2]), pick(rng, &[1, 1, 3])];
            let padding = [0; 4].map(|_| rng.range(0, 3));
            let (n, h, w) = (rng.range(1, 3), rng.range(1, 19), rng.range(1, 23));
            let size = |axis: usize, extent: usize| {
                let padded = extent + padding[2 * axis] + padding[2 * axis + 1];
                let window = (kernel[axis] - 1) * dilation[axis] + 1;
                padded
                    .checked_sub(window)
                    .map(|rest| rest / stride[axis] + 1)
            };
            let (Some(oh), Some(ow)) = (size(0, h), size(1, w)) else {
                continue;
            };
            let unit = pick(rng, &[1, 2, 3, 8, 9]);
            let groups = pick(rng, &[1, 1, 2, 3]);
            let offset_groups = pick(rng, &[1, 1, 2, 4]);
            // Channels that both numbers of groups divide.
            let channels = unit * groups * offset_groups;
            let outputs = groups * pick(rng, &[1, 2, 5, 17]);
            let taps = kernel[0] * kernel[1];
            if n * outputs * oh * ow * channels / groups * taps > 300_000 {
                continue;
            }
            let kinds = [0; 6].map(|_| rng.range(0, 2));
            let mut offset = Array::random(rng, &[n, 2 * offset_groups * taps, oh, ow], kinds[0]);
            for value in &mut offset.data {
                *value *= pick(rng, &[0.0, 1.0, 1.0, 2.0, 4.0, 30.0]);
                if rng.range(0, 9) == 0 {
                    *value = value.round();
                }
            }
            return Case {
                params: DeformConv2dParams {
                    stride,
                    padding,
                    dilation,
                },
                x: Array::random(rng, &[n, channels, h, w], kinds[1]),
                offset,
                w: Array::random(
                    rng,
                    &[outputs, channels / groups, kernel[0], kernel[1]],
                    kinds[2],
                ),
                bias: (rng.range(0, 1) == 0).then(|| Array::random(rng, &[outputs], 2)),
                mask: (rng.range(0, 1) == 0)
                    .then(|| Array::random(rng, &[n, offset_groups * taps, oh, ow], kinds[3])),
                out: Array::random(rng, &[n, outputs, oh, ow], kinds[4]),
            };
        }
    }

    /// What a tap reads.
    fn sample(&self, n: usize, c: usize, y: f32, x: f32) -> f64 {
        let (h, w) = (self.x.shape[2], self.x.shape[3]);
        if y.is_nan() || x.is_nan() {
            return f64::NAN;
        }
        if y <= -1.0 || y >= h as f32 || x <= -1.0 || x >= w as f32 {
            return 0.0;
        }
        let (top, left) = (y.floor(), x.floor());
        let (ly, lx) = (f64::from(y - top), f64::from(x - left));
        let mut sum = 0.0;
        for (dy, wy) in [(0, 1.0 - ly), (1, ly)] {
            for (dx, wx) in [(0, 1.0 - lx), (1, lx)] {
                let (y, x) = (top as isize + dy, left as isize + dx);
                if y >= 0 && y < h as isize && x >= 0 && x < w as isize {
                    let pixel = self.x.view().get(&[n, c, y as usize, x as usize]);
                    sum += wy * wx * f64::from(pixel);
                }
            }
        }
        sum
    }

    /// Results and how far each may be off.
    fn expected(&self) -> Vec<(f64, f64)> {
        let p = &self.params;
        let [n, channels] = [self.x.shape[0], self.x.shape[1]];
        let [outputs, cg, kh, kw] = self.w.shape[..] else {
            unreachable!()
        };
        let (oh, ow) = (self.out.shape[2], self.out.shape[3]);
        let (groups, taps) = (channels / cg, kh * kw);
        let sharing = channels / (self.offset.shape[1] / (2 * taps));
        let (offset, w) = (self.offset.view(), self.w.view());
        let mask = self.mask.as_ref().map(|m| m.view());
        let mut results = Vec::new();
        for n in 0..n {
            // samples[pixel][channel][tap]
            let mut samples = vec![0.0; oh * ow * channels * taps];
            for (i, to) in samples.iter_mut().enumerate() {
                let (p_, c, tap) = (i / (channels * taps), i / taps % channels, i % taps);
                let (y, x) = (p_ / ow, p_ % ow);
                let at = c / sharing * taps + tap;
                let place = |axis: usize, at: usize, tap: usize, offset: f32| {
                    let origin = (at * p.stride[axis]) as f32 - p.padding[2 * axis] as f32;
                    origin + (tap * p.dilation[axis]) as f32 + offset
                };
                let sy = place(0, y, tap / kw, offset.get(&[n, 2 * at, y, x]));
                let sx = place(1, x, tap % kw, offset.get(&[n, 2 * at + 1, y, x]));
                let factor = mask.map_or(1.0, |m| f64::from(m.get(&[n, at, y, x])));
                *to = self.sample(n, c, sy, sx) * factor;
            }
            for o in 0..outputs {
                let first = o / (outputs / groups) * cg;
                let bias = self.bias.as_ref();
                let bias = bias.map_or(0.0, |b| f64::from(b.view().get(&[o])));
                for pixel in 0..oh * ow {
                    let (mut sum, mut size) = (bias, bias.abs());
                    for (c, tap) in (0..cg * taps).map(|i| (i / taps, i % taps)) {
                        let sample = samples[(pixel * channels + first + c) * taps + tap];
                        let term = sample * f64::from(w.get(&[o, c, tap / kw, tap % kw]));
                        sum += term;
                        size += term.abs();
                    }
                    let terms = (cg * taps + 5) as f64;
                    let bound = f64::from(f32::EPSILON) * (2.0 * terms.sqrt() + 8.0) * size;
                    results.push((sum, bound + 1e-6));
                }
            }
        }
        results
    }

    fn run(&mut self, ctx: &omma::runtime::Context) -> Result<(), omma::error::Error> {
        let (bias, mask) = (
            self.bias.as_ref().map(|b| b.view()),
            self.mask.as_ref().map(|m| m.view()),
        );
        deform_conv2d(
            ctx,
            &self.params,
            &self.x.view(),
            &self.offset.view(),
            &self.w.view(),
            bias.as_ref(),
            mask.as_ref(),
            self.out.view_mut(),
        )
    }

    fn results(&self) -> Vec<f32> {
        let (out, mut values) = (self.out.view(), Vec::new());
        let [n, c, h, w] = self.out.shape[..] else {
            unreachable!()
        };
        for i in 0..n * c * h * w {
            values.push(out.get(&[i / (c * h * w), i / (h * w) % c, i / w % h, i % w]));
        }
        values
    }
}

#[test]
fn random_cases_match_the_definition() {
    let mut rng = Random(41);
    for round in 0..if quick() { 30 } else { 250 } {
        let mut case = Case::random(&mut rng);
        let expected = case.expected();
        for ctx in contexts() {
            case.run(&ctx).unwrap();
            for (i, (got, (want, bound))) in case.results().iter().zip(&expected).enumerate() {
                let off = (f64::from(*got) - want).abs();
                assert!(
                    off <= *bound,
                    "round {round}, {:?}: at {i} {got}, expected {want} within {bound}, {:?}",
                    ctx.isa().tier(),
                    case.params
                );
            }
        }
    }
}

/// Samples at, before and behind each edge; pixels that count with weight zero are not read.
#[test]
fn edges_and_what_is_not_a_number() {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    // Where it reads, in an image of 2 x 3, and what is there.
    let places = [
        (0.0, 0.0, 1.0),
        (-1.0, 0.0, 0.0),
        (-0.5, 0.0, 0.5),
        (1.5, 2.0, 3.0),
        (2.0, 0.0, 0.0),
        (1.0, 2.5, 3.0),
        (1.0, 3.0, 0.0),
        (0.5, 0.5, 3.0),
        (0.0, -0.75, 0.25),
        (1e30, 0.0, 0.0),
        (0.0, -1e30, 0.0),
        (infinity, 1.0, 0.0),
        (1.0, -infinity, 0.0),
        (nan, 0.0, nan),
        (0.0, nan, nan),
        (infinity, nan, nan),
    ];
    let n = places.len();
    for ctx in contexts() {
        let mut offset = vec![0.0; 2 * n];
        for (i, (y, x, _)) in places.iter().enumerate() {
            offset[i] = *y;
            // Output i stands at column i.
            offset[n + i] = *x - i as f32;
        }
        // Seen from an output of one row, `n` wide: padding on the right makes room for it.
        let params = DeformConv2dParams {
            padding: [0, 0, 0, n - 3],
            stride: [2, 1],
            ..DeformConv2dParams::default()
        };
        let mut out = vec![7.0; n];
        deform_conv2d(
            &ctx,
            &params,
            &View::new(&x, &[1, 1, 2, 3]).unwrap(),
            &View::new(&offset, &[1, 2, 1, n]).unwrap(),
            &View::new(&[1.0], &[1, 1, 1, 1]).unwrap(),
            None,
            None,
            ViewMut::new(&mut out, &[1, 1, 1, n]).unwrap(),
        )
        .unwrap();
        for (got, (y, x, want)) in out.iter().zip(&places) {
            assert!(
                (got - want).abs() <= 1e-5 || (got.is_nan() && want.is_nan()),
                "at ({y}, {x}): {got}, expected {want}"
            );
        }
    }
    // A pixel that is infinite is read by those beside it only.
    let mut image = [1.0; 25];
    image[12] = infinity;
    for ctx in contexts() {
        let mut out = [0.0; 25];
        deform_conv2d(
            &ctx,
            &DeformConv2dParams::default(),
            &View::new(&image, &[1, 1, 5, 5]).unwrap(),
            &View::new(&[0.25; 50], &[1, 2, 5, 5]).unwrap(),
            &View::new(&[1.0], &[1, 1, 1, 1]).unwrap(),
            None,
            None,
            ViewMut::new(&mut out, &[1, 1, 5, 5]).unwrap(),
        )
        .unwrap();
        let infinite: Vec<usize> = (0..25).filter(|&i| out[i] == infinity).collect();
        assert_eq!(infinite, [6, 7, 11, 12]);
        assert!(out.iter().all(|v| !v.is_nan()));
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let mut rng = Random(43);
    for _ in 0..4 {
        let mut case = Case::random(&mut rng);
        for isa in isas() {
            let mut first = None;
            for threads in [1, 2, 7] {
                case.run(&context(isa, threads)).unwrap();
                let got = bits(&case.out);
                assert_eq!(*first.get_or_insert(got.clone()), got);
            }
        }
    }
}

/// ONNX's node tests of DeformConv and torchvision's values (`fixtures/deform.py`).
#[test]
fn peers_agree() {
    let text = include_str!("../fixtures/deform.txt");
    let mut lines = text.lines();
    let mut count = 0;
    while let Some(name) = lines.next() {
        let mut numbers = || -> Vec<f32> {
            let line = lines.next().unwrap();
            line.split_whitespace()
                .map(|v| v.parse().unwrap())
                .collect()
        };
        let o: Vec<usize> = numbers().iter().map(|&v| v as usize).collect();
        let [x, offset, w, bias, mask, y] = std::array::from_fn(|_| {
            let shape: Vec<usize> = numbers().iter().map(|&v| v as usize).collect();
            Array::compact(numbers(), &shape)
        });
        let mut case = Case {
            params: DeformConv2dParams {
                stride: [o[0], o[1]],
                padding: [o[2], o[3], o[4], o[5]],
                dilation: [o[6], o[7]],
            },
            x,
            offset,
            w,
            bias: (bias.shape[0] > 0).then_some(bias),
            mask: (mask.shape[0] > 0).then_some(mask),
            out: y.clone(),
        };
        for ctx in contexts() {
            case.out.data.fill(f32::NAN);
            case.run(&ctx).unwrap();
            for (got, want) in case.out.data.iter().zip(&y.data) {
                assert!(
                    (got - want).abs() <= 2e-5 * (1.0 + want.abs()),
                    "{name}: {got}, {want}"
                );
            }
        }
        count += 1;
    }
    assert!(count >= 12, "{count}");
}

#[test]
fn errors_name_both_sides() {
    let ctx = context(isas()[0], 1);
    let call = |params: DeformConv2dParams, shapes: [&[usize]; 6]| {
        let data = vec![0.0; 4096];
        let views: Vec<View<'_, f32>> = shapes[..5]
            .iter()
            .map(|shape| View::new(&data[..shape.iter().product()], shape).unwrap())
            .collect();
        let mut out = vec![7.0; shapes[5].iter().product()];
        let given = |i: usize| (!shapes[i].is_empty()).then_some(&views[i]);
        let result = deform_conv2d(
            &ctx,
            &params,
            &views[0],
            &views[1],
            &views[2],
            given(3),
            given(4),
            ViewMut::new(&mut out, shapes[5]).unwrap(),
        );
        if result.is_err() {
            assert!(out.iter().all(|&v| v == 7.0));
        }
        result.map_err(|e| (e.status(), e.message().to_string()))
    };
    let plain = DeformConv2dParams::default();
    let with = |change: fn(&mut DeformConv2dParams)| {
        let mut params = DeformConv2dParams::default();
        change(&mut params);
        params
    };
    let good: [&[usize]; 6] = [
        &[1, 4, 5, 6],
        &[1, 36, 3, 4],
        &[6, 2, 3, 3],
        &[6],
        &[1, 18, 3, 4],
        &[1, 6, 3, 4],
    ];
    assert_eq!(call(plain, good), Ok(()));
    let but = |i: usize, shape: &'static [usize]| {
        let mut shapes = good;
        shapes[i] = shape;
        shapes
    };
    use Status::{InvalidArgument, ShapeMismatch, Unsupported};
    for (params, shapes, status, words) in [
        (
            plain,
            but(0, &[1, 5, 5, 6]),
            ShapeMismatch,
            "2 input channels per group",
        ),
        (
            plain,
            but(0, &[4, 5, 6]),
            ShapeMismatch,
            "input has 3 dimensions",
        ),
        (
            plain,
            but(0, &[1, 0, 5, 6]),
            ShapeMismatch,
            "the 0 of input",
        ),
        (plain, but(2, &[5, 2, 3, 3]), ShapeMismatch, "groups 2"),
        (
            plain,
            but(2, &[6, 2, 0, 3]),
            InvalidArgument,
            "window of 0 x 3",
        ),
        (
            plain,
            but(2, &[6, 2, 6, 3]),
            ShapeMismatch,
            "weight spans 6",
        ),
        (
            plain,
            but(1, &[1, 35, 3, 4]),
            ShapeMismatch,
            "multiple of 2 x 3 x 3",
        ),
        (
            plain,
            but(1, &[1, 54, 3, 4]),
            ShapeMismatch,
            "offset has 3 groups",
        ),
        (
            plain,
            but(1, &[1, 36, 3, 5]),
            ShapeMismatch,
            "offset has shape",
        ),
        (plain, but(3, &[5]), ShapeMismatch, "bias has shape"),
        (
            plain,
            but(4, &[1, 9, 3, 4]),
            ShapeMismatch,
            "mask has shape",
        ),
        (
            plain,
            but(5, &[1, 6, 4, 3]),
            ShapeMismatch,
            "output has shape",
        ),
        (
            with(|p| p.stride = [0, 1]),
            good,
            InvalidArgument,
            "stride is 0",
        ),
        (
            with(|p| p.dilation = [1, 0]),
            good,
            InvalidArgument,
            "dilation is 1 x 0",
        ),
        (
            with(|p| p.padding[2] = usize::MAX),
            good,
            Unsupported,
            "too large",
        ),
        (
            with(|p| p.dilation[0] = usize::MAX),
            good,
            Unsupported,
            "too large",
        ),
    ] {
        let (got, message) = call(params, shapes).unwrap_err();
        assert_eq!(got, status, "{message}");
        assert!(
            message.starts_with("deform_conv2d: ") && message.contains(words),
            "{message}"
        );
    }
}
