//! Layer and RMS normalization against f64, on every tier.

mod common;

use common::{Random, cases, context, isas};
use omma::nn::{Norm, layer_norm, rms_norm};
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};

/// A row in f64, and what its deviations are multiplied by.
fn oracle(
    rms: bool,
    row: &[f64],
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    eps: f32,
) -> (Vec<f64>, f64) {
    let n = row.len() as f64;
    let mean = if rms {
        0.0
    } else {
        row.iter().sum::<f64>() / n
    };
    let square = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let scale = 1.0 / (square + f64::from(eps)).sqrt();
    let at = |values: Option<&[f32]>, i: usize, none: f64| values.map_or(none, |v| f64::from(v[i]));
    let y = |(i, x): (usize, &f64)| (x - mean) * scale * at(weight, i, 1.0) + at(bias, i, 0.0);
    (row.iter().enumerate().map(y).collect(), scale)
}

/// Both operators under one signature.
fn apply(
    ctx: &Context,
    rms: bool,
    norm: &Norm,
    x: &View<'_, f32>,
    residual: Option<&View<'_, f32>>,
    weight: Option<&View<'_, f32>>,
    bias: Option<&View<'_, f32>>,
    out: ViewMut<'_, f32>,
    sum: Option<ViewMut<'_, f32>>,
) {
    match rms {
        true => rms_norm(ctx, norm, x, residual, weight, out, sum),
        false => layer_norm(ctx, norm, x, residual, weight, bias, out, sum),
    }
    .unwrap();
}

#[test]
fn random_options_match_the_oracle() {
    for isa in isas() {
        let (ctx, mut random) = (context(isa, 2), Random(1));
        for case in 0..cases(300) {
            let sizes = [1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 100, 129, 257];
            let (rows, inner) = (random.range(0, 9), random.range(1, 3));
            let outer = sizes[random.range(0, sizes.len() - 1)];
            let shape = [rows, outer, inner];
            let axis = random.range(1, 2);
            let rms = case % 2 == 1;
            let len: usize = shape[axis..].iter().product();
            let count = rows * outer * inner;
            let offset = [0.0, 100.0][random.range(0, 1)];
            let x: Vec<f32> = random
                .floats(count)
                .iter()
                .map(|x| x + offset as f32)
                .collect();
            let residual = random.floats(count);
            let (weight, bias) = (random.floats(len), random.floats(len));
            let norm = Norm {
                axis: axis as isize - 3 * (case % 2) as isize,
                eps: 1e-5,
            };
            let has = [0, 1, 2, 3].map(|_| random.range(0, 1) == 1);
            // Backwards, every second element, or compact.
            let step = [1isize, 2, -2][random.range(0, 2)];
            let spread = |values: &[f32]| -> Vec<f32> {
                let mut all = vec![f32::NAN; values.len() * 2];
                for (i, v) in values.iter().enumerate() {
                    let at = if step < 0 { values.len() - 1 - i } else { i };
                    all[at * step.unsigned_abs()] = *v;
                }
                all
            };
            let dims = shape.map(|dim| dim as isize);
            let strides = [dims[1] * dims[2] * step, dims[2] * step, step];
            let start = if step < 0 {
                2 * count.saturating_sub(1)
            } else {
                0
            };
            let (xs, rs) = (spread(&x), spread(&residual));
            let (mut out, mut sum) = (vec![7.0; 2 * count], vec![7.0; 2 * count]);
            let view = |data| View::strided(data, start, &shape, &strides).unwrap();
            let line = |data| View::new(data, &shape[axis..]).unwrap();
            let (r, w, b) = (view(&rs), line(&weight), line(&bias));
            let to = ViewMut::strided(&mut out, start, &shape, &strides).unwrap();
            let also = ViewMut::strided(&mut sum, start, &shape, &strides).unwrap();
            apply(
                &ctx,
                rms,
                &norm,
                &view(&xs),
                has[0].then_some(&r),
                has[1].then_some(&w),
                has[2].then_some(&b),
                to,
                has[3].then_some(also),
            );
            for row in 0..count / len {
                let s: Vec<f64> = (0..len)
                    .map(|i| {
                        let i = row * len + i;
                        f64::from(if has[0] { x[i] + residual[i] } else { x[i] })
                    })
                    .collect();
                let bias = (has[2] && !rms).then_some(&bias[..]);
                let (want, scale) = oracle(rms, &s, has[1].then_some(&weight), bias, norm.eps);
                for i in 0..len {
                    let at = (start as isize + (row * len + i) as isize * step) as usize;
                    // A mean is rounded to a float, which small deviations from it show.
                    let limit = 2e-6 + 2e-7 * offset * scale;
                    let near =
                        (f64::from(out[at]) - want[i]).abs() <= limit * want[i].abs().max(1.0);
                    assert!(
                        near,
                        "{isa:?} {shape:?} {norm:?} rms {rms} row {row}: {} {}",
                        out[at], want[i]
                    );
                    assert!(!has[3] || f64::from(sum[at]) == s[i]);
                }
            }
        }
    }
}

#[test]
fn in_place_and_residual_in_place() {
    for isa in isas() {
        let (ctx, mut random) = (context(isa, 1), Random(2));
        for len in [1, 7, 8, 31, 64, 100] {
            let norm = Norm {
                axis: -1,
                eps: 1e-5,
            };
            let (x, residual) = (random.floats(3 * len), random.floats(3 * len));
            let shape = [3, len];
            let (mut want, mut sum) = (vec![0.0; 3 * len], vec![0.0; 3 * len]);
            let view = |data| View::new(data, &shape).unwrap();
            let (vx, vr) = (view(&x), view(&residual));
            let to = ViewMut::new(&mut want, &shape).unwrap();
            let also = ViewMut::new(&mut sum, &shape).unwrap();
            apply(
                &ctx,
                false,
                &norm,
                &vx,
                Some(&vr),
                None,
                None,
                to,
                Some(also),
            );
            // The output is the input, the sum is the residual.
            let (mut a, mut b) = (x.clone(), residual.clone());
            // SAFETY: the very arrays, which the operator allows.
            let (va, vb) = unsafe {
                let raw = |p: *mut f32| omma::tensor::Raw::new(&"x", p, &shape, None).unwrap();
                (
                    View::from_raw(raw(a.as_mut_ptr())),
                    View::from_raw(raw(b.as_mut_ptr())),
                )
            };
            let to = ViewMut::new(&mut a, &shape).unwrap();
            let also = ViewMut::new(&mut b, &shape).unwrap();
            apply(
                &ctx,
                false,
                &norm,
                &va,
                Some(&vb),
                None,
                None,
                to,
                Some(also),
            );
            assert_eq!((a, b), (want, sum));
        }
    }
}

#[test]
fn nan_and_infinity_stay_in_their_row() {
    for isa in isas() {
        let ctx = context(isa, 1);
        for poison in [f32::NAN, f32::INFINITY] {
            let mut x = Random(3).floats(3 * 20);
            x[27] = poison;
            let mut out = vec![0.0; 60];
            let norm = Norm {
                axis: -1,
                eps: 1e-5,
            };
            let to = ViewMut::new(&mut out, &[3, 20]).unwrap();
            let view = View::new(&x, &[3, 20]).unwrap();
            apply(&ctx, false, &norm, &view, None, None, None, to, None);
            for (at, y) in out.iter().enumerate() {
                assert_eq!(y.is_nan(), at / 20 == 1);
            }
        }
    }
}

#[test]
fn errors_name_both_sides() {
    let ctx = context(isas()[0], 1);
    let x = vec![0.0; 24];
    let mut out = vec![7.0; 24];
    let view = View::new(&x, &[4, 6]).unwrap();
    let short = View::new(&x[..5], &[5]).unwrap();
    let mut fail = |axis, weight, shape: [usize; 2]| {
        let to = ViewMut::new(&mut out, &shape).unwrap();
        let norm = Norm { axis, eps: 1e-5 };
        let error = layer_norm(&ctx, &norm, &view, None, weight, None, to, None).unwrap_err();
        error.message().to_string()
    };
    assert_eq!(
        fail(-1, Some(&short), [4, 6]),
        "layer_norm: gamma has shape [5], expected [6]"
    );
    assert_eq!(
        fail(2, None, [4, 6]),
        "layer_norm: axis is 2, input has 2 dimensions"
    );
    assert_eq!(
        fail(-1, None, [6, 4]),
        "layer_norm: output has shape [6, 4], input has [4, 6]"
    );
}
