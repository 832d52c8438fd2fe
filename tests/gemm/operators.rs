//! `matmul`, `linear` and its plan.

use crate::common::{Random, context, isas};
use crate::matrix::*;
use omma::gemm::*;
use omma::nn::{Linear, linear, matmul};
use omma::runtime::Context;
use omma::simd::Activation;
use omma::tensor::{View, ViewMut};

fn plain_matmul(a: &[f32], b: &[f32], m: usize, n: usize, k: usize) -> Vec<f64> {
    let product = |i: usize, p: usize| f64::from(a[i / n * k + p]) * f64::from(b[p * n + i % n]);
    (0..m * n)
        .map(|i| (0..k).map(|p| product(i, p)).sum())
        .collect()
}

fn close(got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (&g, &e) in got.iter().zip(expected) {
        assert!(
            (f64::from(g) - e).abs() <= 1e-5 * (1.0 + e.abs()),
            "{g} for {e}"
        );
    }
}

#[test]
fn matmul_broadcasts_as_numpy() {
    // Batches of a and of b, and what they give.
    let batches: [(&[usize], &[usize], &[usize]); 9] = [
        (&[], &[], &[]),
        (&[3], &[], &[3]),
        (&[], &[3], &[3]),
        (&[3], &[3], &[3]),
        (&[2, 1], &[3], &[2, 3]),
        (&[2, 3], &[3], &[2, 3]),
        (&[1, 3], &[2, 1], &[2, 3]),
        (&[2, 3], &[1, 1], &[2, 3]),
        (&[0], &[1], &[0]),
    ];
    for isa in isas() {
        let ctx = context(isa, 2);
        let mut random = Random(7);
        for (ba, bb, bc) in batches {
            for (m, n, k) in [(5, 19, 12), (1, 9, 30), (20, 1, 8), (6, 4, 0), (0, 3, 3)] {
                let dims = |batch: &[usize], last: [usize; 2]| [batch, &last].concat();
                let (sa, sb, sc) = (dims(ba, [m, k]), dims(bb, [k, n]), dims(bc, [m, n]));
                let count = |shape: &[usize]| shape.iter().product::<usize>();
                let (a, b) = (random.floats(count(&sa)), random.floats(count(&sb)));
                let (va, vb) = (View::new(&a, &sa).unwrap(), View::new(&b, &sb).unwrap());

                let mut expected = vec![0.0; count(&sc)];
                for (i, part) in expected.chunks_mut((m * n).max(1)).enumerate() {
                    // The batch index, digit by digit from the right.
                    let pick = |batch: &[usize]| {
                        let (mut rest, mut index, mut step) = (i, 0, 1);
                        for (axis, &dim) in bc.iter().enumerate().rev() {
                            let digit = rest % dim;
                            rest /= dim;
                            if let Some(own) = (axis + batch.len()).checked_sub(bc.len()) {
                                index += if batch[own] == 1 { 0 } else { digit } * step;
                                step *= batch[own];
                            }
                        }
                        index
                    };
                    let (ia, ib) = (pick(ba), pick(bb));
                    let one = plain_matmul(
                        &a[ia * m * k..][..m * k],
                        &b[ib * k * n..][..k * n],
                        m,
                        n,
                        k,
                    );
                    part.copy_from_slice(&one);
                }

                let mut c = vec![f32::NAN; count(&sc)];
                matmul(&ctx, &va, &vb, ViewMut::new(&mut c, &sc).unwrap()).unwrap();
                close(&c, &expected);

                // C with its last two axes exchanged in memory, and with gaps between elements.
                let rank = sc.len();
                let mut turned = dims(bc, [n, m]);
                let mut axes: Vec<usize> = (0..rank).collect();
                axes.swap(rank - 1, rank - 2);
                let mut c = vec![f32::NAN; count(&sc)];
                let out = ViewMut::new(&mut c, &turned).unwrap().permute(&axes);
                matmul(&ctx, &va, &vb, out).unwrap();
                let mut straight = vec![0.0; c.len()];
                if !c.is_empty() {
                    for (i, v) in straight.iter_mut().enumerate() {
                        let (batch, r, j) = (i / (m * n), i / n % m, i % n);
                        *v = c[batch * m * n + j * m + r];
                    }
                }
                close(&straight, &expected);
                turned = sc.clone();
                turned.push(2);
                let mut c = vec![CANARY; 2 * count(&sc)];
                let out = ViewMut::new(&mut c, &turned).unwrap().index(rank, 0);
                matmul(&ctx, &va, &vb, out).unwrap();
                let evens: Vec<f32> = c.iter().copied().step_by(2).collect();
                close(&evens, &expected);
                assert!(c.iter().skip(1).step_by(2).all(|&v| v == CANARY));
            }
        }
    }
}

#[test]
fn linear_and_its_plan() {
    for isa in isas() {
        let contexts = [1, 2, 7].map(|threads| context(isa, threads));
        let mut random = Random(8);
        for (lead, inputs, outputs) in [
            (vec![], 33, 17),
            (vec![1], 300, 65),
            (vec![7], 20, 40),
            (vec![3, 5], 64, 31),
            (
                vec![2, 2, if crate::common::quick() { 9 } else { 50 }],
                256,
                300,
            ),
            (vec![0], 4, 4),
            (vec![4], 0, 9),
            (vec![4], 5, 0),
        ] {
            let rows: usize = lead.iter().product();
            let (x, w) = (
                random.floats(rows * inputs),
                random.floats(outputs * inputs),
            );
            let bias = random.floats(outputs);
            let (sx, sy) = (
                [&lead[..], &[inputs]].concat(),
                [&lead[..], &[outputs]].concat(),
            );
            let (vx, vw) = (
                View::new(&x, &sx).unwrap(),
                View::new(&w, &[outputs, inputs]).unwrap(),
            );
            let vb = View::new(&bias, &[outputs]).unwrap();
            let turned: Vec<f32> = (0..inputs * outputs)
                .map(|i| w[i % outputs * inputs + i / outputs])
                .collect();
            for (bias, activation) in [
                (None, Activation::None),
                (Some(&vb), Activation::Relu),
                (Some(&vb), Activation::Tanh),
            ] {
                let mut expected = plain_matmul(&x, &turned, rows, outputs, inputs);
                for (i, v) in expected.iter_mut().enumerate() {
                    let b = bias.map_or(0.0, |b| f64::from(b.get(&[i % outputs])));
                    *v = activate(activation, *v + b);
                }
                let plan = Linear::new(&contexts[0], &vw, bias, activation).unwrap();
                assert!(plan.describe().contains(isa.tier().name()));
                let results = contexts.each_ref().map(|ctx| {
                    let mut direct = vec![f32::NAN; rows * outputs];
                    let out = ViewMut::new(&mut direct, &sy).unwrap();
                    linear(ctx, &vx, &vw, bias, activation, out).unwrap();
                    close(&direct, &expected);
                    let mut planned = vec![f32::NAN; rows * outputs];
                    plan.run(ctx, &vx, None, ViewMut::new(&mut planned, &sy).unwrap())
                        .unwrap();
                    close(&planned, &expected);
                    [direct, planned]
                });
                for other in &results[1..] {
                    assert!(same_bits(&results[0][0], &other[0]));
                    assert!(same_bits(&results[0][1], &other[1]));
                }
            }
        }
    }
}

/// Features that are not contiguous, rows that cannot be merged, and gaps in the output.
#[test]
fn linear_takes_any_strides() {
    for isa in isas() {
        let ctx = context(isa, 1);
        let mut random = Random(9);
        let x = random.floats(6 * 5 * 4 * 2);
        let w = random.floats(9 * 4);
        let vw = View::new(&w, &[9, 4]).unwrap();
        let whole = View::new(&x, &[6, 5, 4, 2]).unwrap();
        // (6, 5, 4) with gaps, then with the first two axes exchanged and cut.
        let gaps = whole.index(3, 1);
        let cut = gaps.permute(&[1, 0, 2]).narrow(1, 1, 3);
        for view in [gaps, cut] {
            let shape = [view.dim(0), view.dim(1), 9];
            let mut expected = vec![];
            for i in 0..shape[0] * shape[1] {
                for o in 0..9 {
                    let at = [i / shape[1], i % shape[1]];
                    let term =
                        |p| f64::from(view.get(&[at[0], at[1], p])) * f64::from(vw.get(&[o, p]));
                    expected.push((0..4).map(term).sum::<f64>());
                }
            }
            let mut y = vec![CANARY; expected.len() * 2];
            let out = ViewMut::new(&mut y, &[shape[0], shape[1], 9, 2])
                .unwrap()
                .index(3, 0);
            linear(&ctx, &view, &vw, None, Activation::None, out).unwrap();
            close(&y.iter().copied().step_by(2).collect::<Vec<_>>(), &expected);
            assert!(y.iter().skip(1).step_by(2).all(|&v| v == CANARY));
        }
    }
}

#[test]
fn errors_name_both_sides() {
    let ctx = Context::serial().unwrap();
    let data = [0.0f32; 24];
    let view = |shape: &[usize]| View::new(&data[..shape.iter().product()], shape).unwrap();
    let fails = |a: &[usize], b: &[usize], c: &[usize], words: &str| {
        let mut out = vec![CANARY; c.iter().product()];
        let target = ViewMut::new(&mut out, c).unwrap();
        let error = matmul(ctx, &view(a), &view(b), target).unwrap_err();
        assert_eq!(error.message(), words);
        assert!(out.iter().all(|&v| v == CANARY));
    };
    fails(
        &[2, 3],
        &[4, 2],
        &[2, 2],
        "matmul: a has 3 columns, b has 4 rows",
    );
    fails(
        &[3],
        &[3, 2],
        &[2],
        "matmul: a has 1 dimensions, expected 2 or more",
    );
    fails(
        &[2, 3],
        &[3, 2],
        &[2, 3],
        "matmul: output has shape [2, 3], expected [2, 2]",
    );
    fails(
        &[2, 2, 3],
        &[3, 3, 2],
        &[2, 2, 2],
        "matmul: a has shape [2, 2, 3], b has [3, 3, 2]: 2 and 3 batches do not broadcast",
    );

    let fails = |x: &[usize], w: &[usize], b: &[usize], y: &[usize], words: &str| {
        let mut out = vec![CANARY; y.iter().product()];
        let target = ViewMut::new(&mut out, y).unwrap();
        let bias = view(b);
        let error = linear(
            ctx,
            &view(x),
            &view(w),
            Some(&bias),
            Activation::None,
            target,
        );
        assert_eq!(error.unwrap_err().message(), words);
        assert!(out.iter().all(|&v| v == CANARY));
    };
    fails(
        &[2, 3],
        &[4, 5],
        &[4],
        &[2, 4],
        "linear: input has 3 features, weight has 5",
    );
    fails(
        &[2, 3],
        &[4, 3],
        &[3],
        &[2, 4],
        "linear: bias has shape [3], expected [4]",
    );
    fails(
        &[2, 3],
        &[4, 3],
        &[4],
        &[2, 3],
        "linear: output has shape [2, 3], expected [2, 4]",
    );
    fails(
        &[2, 3],
        &[12],
        &[4],
        &[2, 4],
        "linear: weight has 1 dimensions, expected 2 (out, in)",
    );

    // A square whose rows are also the input.
    let mut square = vec![1.0f32; 9];
    let input = View::new(&data[..9], &[3, 3]).unwrap();
    // SAFETY: never written: the overlap is refused.
    let same = unsafe { View::from_raw(*ViewMut::new(&mut square, &[3, 3]).unwrap()) };
    let out = ViewMut::new(&mut square, &[3, 3]).unwrap();
    let error = matmul(ctx, &input, &same, out).unwrap_err();
    assert_eq!(error.message(), "matmul: output overlaps b in memory");
}

/// A dimension that does not fit the address space is refused, not computed with.
#[test]
fn huge_dimensions() {
    let ctx = Context::serial().unwrap();
    let one = [1.0f32];
    // Broadcast by strides of zero: 2^40 columns of k for nothing, since there are no rows.
    let wide = View::strided(&one, 0, &[0, 1 << 40], &[0, 0]).unwrap();
    let tall = View::strided(&one, 0, &[1 << 40, 3], &[0, 0]).unwrap();
    matmul(ctx, &wide, &tall, ViewMut::new(&mut [], &[0, 3]).unwrap()).unwrap();
    let source = Strided::rows(tall);
    let error = PackedMatrix::new(ctx, ctx.isa(), Side::A, 1 << 40, 1 << 40, source);
    assert!(error.is_err());
}
