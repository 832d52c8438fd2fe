//! Activations and softmax against f64 formulas.

mod common;
#[path = "../src/simd/tests/guard.rs"]
mod guard;

use common::{Random, cases, context, isas, quick};
use guard::Guarded;
use omma::error::Result;
use omma::nn;
use omma::runtime::Context;
use omma::tensor::{Raw, View, ViewMut};

type Softmax = fn(&Context, isize, View<'_, f32>, ViewMut<'_, f32>) -> omma::error::Result<()>;

type Apply = fn(&Context, View<'_, f32>, ViewMut<'_, f32>) -> Result<()>;
type Oracle = fn(f64) -> f64;

/// Name, operator, formula, and what its rounding may be beside a relative 4e-7.
const KINDS: [(&str, Apply, Oracle, f64); 9] = [
    (
        "relu",
        nn::relu,
        |x| if x.is_nan() { x } else { x.max(0.0) },
        0.0,
    ),
    (
        "relu6",
        nn::relu6,
        |x| if x.is_nan() { x } else { x.clamp(0.0, 6.0) },
        0.0,
    ),
    (
        "leaky_relu",
        |ctx, x, out| nn::leaky_relu(ctx, 0.3, x, out),
        |x| if x > 0.0 { x } else { f64::from(0.3f32) * x },
        0.0,
    ),
    ("sigmoid", nn::sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 0.0),
    ("tanh", nn::tanh, f64::tanh, 0.0),
    ("silu", nn::silu, |x| x / (1.0 + (-x).exp()), 0.0),
    (
        "hardswish",
        nn::hardswish,
        |x| {
            x * if x.is_nan() {
                x
            } else {
                (x + 3.0).clamp(0.0, 6.0)
            } / 6.0
        },
        2e-7,
    ),
    (
        "gelu",
        nn::gelu,
        |x| x / 2.0 * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        4e-7,
    ),
    (
        "gelu_tanh",
        nn::gelu_tanh,
        |x| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            x / 2.0 * (1.0 + inner.tanh())
        },
        4e-7,
    ),
];

fn compact(apply: Apply, ctx: &Context, x: &[f32]) -> Vec<f32> {
    let mut out = vec![7.0; x.len()];
    let (view, to) = (View::new(x, &[x.len()]), ViewMut::new(&mut out, &[x.len()]));
    apply(ctx, view.unwrap(), to.unwrap()).unwrap();
    out
}

fn bits(v: &[f32]) -> Vec<u32> {
    v.iter().map(|v| v.to_bits()).collect()
}

fn wide_numbers(random: &mut Random, n: usize) -> Vec<f32> {
    (0..n)
        .map(|_| random.float() * [1.0, 10.0, 100.0, 1e-3, 1e-30][random.range(0, 4)])
        .collect()
}

#[test]
fn every_length_in_guarded_memory() {
    let mut random = Random(1);
    for isa in isas() {
        let ctx = context(isa, 1);
        for (name, apply, oracle, rounding) in KINDS {
            for n in (0..70).chain([255, 257, 1000]) {
                let x = wide_numbers(&mut random, n);
                let expected: Vec<f64> = x.iter().map(|&v| oracle(f64::from(v))).collect();
                // Against either guard page, out of place and in place.
                for at_end in [false, true] {
                    let (mut from, mut to) = (Guarded::new(0), Guarded::new(0));
                    let (from, to) = (place(&mut from, n, at_end), place(&mut to, n, at_end));
                    // SAFETY: both have room for `n` floats and live long enough.
                    unsafe {
                        std::ptr::copy_nonoverlapping(x.as_ptr(), from, n);
                        let raw = |p| Raw::new(&"x", p, &[n], None).unwrap();
                        let out = ViewMut::from_raw(&"out", raw(to)).unwrap();
                        apply(&ctx, View::from_raw(raw(from)), out).unwrap();
                        let got = std::slice::from_raw_parts(to, n).to_vec();
                        for ((got, expected), x) in got.iter().zip(&expected).zip(&x) {
                            let error = (f64::from(*got) - expected).abs();
                            let limit = 4e-7 * expected.abs() + rounding + 1e-37;
                            assert!(
                                error <= limit,
                                "{name} {isa:?}: {x} gives {got}, not {expected}"
                            );
                        }
                        let out = ViewMut::from_raw(&"out", raw(from)).unwrap();
                        apply(&ctx, View::from_raw(raw(from)), out).unwrap();
                        let in_place = std::slice::from_raw_parts(from, n);
                        assert_eq!(bits(in_place), bits(&got), "{name} {isa:?} of {n} in place");
                    }
                }
            }
        }
    }
}

/// Room for `n` floats against the page before or the page behind.
fn place(memory: &mut Guarded, n: usize, at_end: bool) -> *mut f32 {
    match at_end {
        true => memory.before_end(4 * n).cast(),
        false => memory.start().cast(),
    }
}

#[test]
fn an_element_does_not_depend_on_its_place() {
    let mut random = Random(2);
    for isa in isas() {
        let ctx = context(isa, 1);
        for (name, apply, _, _) in KINDS {
            let x = wide_numbers(&mut random, 997);
            let whole = compact(apply, &ctx, &x);
            for start in [1, 2, 3, 5, 7, 11, 990] {
                let part = compact(apply, &ctx, &x[start..]);
                assert_eq!(
                    bits(&part),
                    bits(&whole[start..]),
                    "{name} {isa:?} from {start}"
                );
            }
            // Every third element, backwards, to every second.
            let n = 300;
            let mut out = vec![7.0; 2 * n];
            apply(
                &ctx,
                View::strided(&x, 3 * (n - 1), &[n], &[-3]).unwrap(),
                ViewMut::strided(&mut out, 1, &[n], &[2]).unwrap(),
            )
            .unwrap();
            for i in 0..n {
                assert_eq!(out[2 * i].to_bits(), 7f32.to_bits());
                assert_eq!(out[2 * i + 1].to_bits(), whole[3 * (n - 1 - i)].to_bits());
            }
            // Transposed, with a gap behind each row, repeated along a new axis.
            let mut out = vec![7.0; 4 * 5 * 12];
            apply(
                &ctx,
                View::strided(&x, 0, &[4, 5, 11], &[0, 1, 20]).unwrap(),
                ViewMut::strided(&mut out, 0, &[4, 5, 11], &[60, 12, 1]).unwrap(),
            )
            .unwrap();
            for (i, got) in out.iter().enumerate() {
                let (row, col) = (i / 12 % 5, i % 12);
                let expected = if col < 11 { whole[col * 20 + row] } else { 7.0 };
                assert_eq!(got.to_bits(), expected.to_bits(), "{name} {isa:?}");
            }
        }
    }
}

#[test]
fn numbers_that_are_not_finite_as_torch() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let x = [inf, -inf, nan, 0.0, -1e30, 1e30, -3e38, 3e38];
    // torch 2.15: relu … gelu_tanh of these (1e30 and beyond as the functions have it).
    let table: [(&str, [f32; 8]); 9] = [
        ("relu", [inf, 0.0, nan, 0.0, 0.0, 1e30, 0.0, 3e38]),
        ("relu6", [6.0, 0.0, nan, 0.0, 0.0, 6.0, 0.0, 6.0]),
        (
            "leaky_relu",
            [inf, -inf, nan, 0.0, -3e29, 1e30, -9e37, 3e38],
        ),
        ("sigmoid", [1.0, 0.0, nan, 0.5, 0.0, 1.0, 0.0, 1.0]),
        ("tanh", [1.0, -1.0, nan, 0.0, -1.0, 1.0, -1.0, 1.0]),
        ("silu", [inf, nan, nan, 0.0, 0.0, 1e30, 0.0, 3e38]),
        ("hardswish", [inf, nan, nan, 0.0, 0.0, 1e30, 0.0, 3e38]),
        ("gelu", [inf, nan, nan, 0.0, 0.0, 1e30, 0.0, 3e38]),
        ("gelu_tanh", [inf, nan, nan, 0.0, 0.0, 1e30, 0.0, 3e38]),
    ];
    for isa in isas() {
        let ctx = context(isa, 1);
        for ((name, apply, _, _), (_, expected)) in KINDS.into_iter().zip(table) {
            // Long enough for bodies and tails of every tier.
            for repeat in [1, 3, 5] {
                let x = x.repeat(repeat);
                let got = compact(apply, &ctx, &x);
                for ((got, expected), x) in got.iter().zip(expected.repeat(repeat)).zip(&x) {
                    let same = (got.is_nan() && expected.is_nan())
                        || *got == expected
                        || (got - expected).abs() <= 1e-6 * expected.abs();
                    assert!(same, "{name} {isa:?}: {x} gives {got}, not {expected}");
                }
            }
        }
    }
}

#[test]
fn prelu_of_every_channel_axis() {
    let mut random = Random(3);
    for isa in isas() {
        let ctx = context(isa, 1);
        for _ in 0..cases(60) {
            let shape: [usize; 4] = std::array::from_fn(|_| random.range(1, 21));
            let x = random.floats(shape.iter().product());
            for axis in [-4isize, -3, -1, 0, 1, 2, 3] {
                let front = axis.rem_euclid(4) as usize;
                let slope = random.floats(shape[front]);
                let step: usize = shape[front + 1..].iter().product();
                let expected: Vec<f32> = x
                    .iter()
                    .enumerate()
                    .map(|(i, &v)| {
                        if v > 0.0 {
                            v
                        } else {
                            slope[i / step % shape[front]] * v
                        }
                    })
                    .collect();
                let mut out = vec![7.0; x.len()];
                nn::prelu(
                    &ctx,
                    axis,
                    View::new(&x, &shape).unwrap(),
                    View::new(&slope, &[slope.len()]).unwrap(),
                    ViewMut::new(&mut out, &shape).unwrap(),
                )
                .unwrap();
                assert_eq!(bits(&out), bits(&expected), "{isa:?} {shape:?} axis {axis}");
                // The same numbers with the axes reversed in memory.
                let [a, b, c, d] = shape.map(|v| v as isize);
                let strides = [1, a, a * b, a * b * c];
                let mut turned = vec![0.0; x.len()];
                let mut back = vec![7.0; x.len()];
                let at = |i: usize| {
                    let index = [
                        i / (shape[1] * shape[2] * shape[3]),
                        i / (shape[2] * shape[3]) % shape[1],
                        i / shape[3] % shape[2],
                        i % shape[3],
                    ];
                    index
                        .iter()
                        .zip(strides)
                        .map(|(&i, s)| i * s as usize)
                        .sum::<usize>()
                };
                (0..x.len()).for_each(|i| turned[at(i)] = x[i]);
                nn::prelu(
                    &ctx,
                    axis,
                    View::strided(&turned, 0, &shape, &strides).unwrap(),
                    View::new(&slope, &[slope.len()]).unwrap(),
                    ViewMut::strided(&mut back, 0, &shape, &strides).unwrap(),
                )
                .unwrap();
                (0..x.len()).for_each(|i| assert_eq!(back[at(i)].to_bits(), expected[i].to_bits()));
                let _ = d;
            }
        }
        // One slope for all; a slope per element of part of the axes.
        let x = [-1.0, 2.0, -3.0, -4.0, f32::NAN, -6.0];
        let run = |slope: &[f32], shape: &[usize]| {
            let mut out = [7.0; 6];
            nn::prelu(
                &ctx,
                1,
                View::new(&x, &[2, 3]).unwrap(),
                View::new(slope, shape).unwrap(),
                ViewMut::new(&mut out, &[2, 3]).unwrap(),
            )
            .unwrap();
            assert!(out[4].is_nan());
            [out[0], out[1], out[2], out[3], out[5]]
        };
        assert_eq!(run(&[0.5], &[1]), [-0.5, 2.0, -1.5, -2.0, -3.0]);
        assert_eq!(run(&[0.5], &[]), [-0.5, 2.0, -1.5, -2.0, -3.0]);
        assert_eq!(run(&[1.0, 2.0, 3.0], &[3]), [-1.0, 2.0, -9.0, -4.0, -18.0]);
        assert_eq!(run(&[1.0, 2.0], &[2, 1]), [-1.0, 2.0, -3.0, -8.0, -12.0]);
    }
}

// ---- softmax --------------------------------------------------------------

/// The rows of an array along an axis: index of the first element, distance of neighbours.
fn rows(shape: &[usize], axis: usize) -> (Vec<usize>, usize) {
    let step: usize = shape[axis + 1..].iter().product();
    let len: usize = shape.iter().product();
    let firsts = (0..len)
        .filter(|i| (i / step).is_multiple_of(shape[axis]))
        .collect();
    (firsts, step)
}

/// Softmax and its logarithm in f64.
fn softmax_oracle(x: &[f32], shape: &[usize], axis: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut p, mut log) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (firsts, step) = rows(shape, axis);
    for first in firsts {
        let at = |i: usize| first + i * step;
        let row: Vec<f64> = (0..shape[axis]).map(|i| f64::from(x[at(i)])).collect();
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|v| (v - max).exp()).sum();
        for (i, v) in row.iter().enumerate() {
            p[at(i)] = (v - max).exp() / sum;
            log[at(i)] = v - max - sum.ln();
        }
    }
    (p, log)
}

fn check_softmax(ctx: &Context, x: &[f32], shape: &[usize], axis: usize) {
    let (p, log) = softmax_oracle(x, shape, axis);
    for (f, expected, is_log) in [
        (nn::softmax as Softmax, p, false),
        (nn::log_softmax, log, true),
    ] {
        let mut out = vec![7.0; x.len()];
        let to = ViewMut::new(&mut out, shape).unwrap();
        f(ctx, axis as isize, View::new(x, shape).unwrap(), to).unwrap();
        for (i, (got, expected)) in out.iter().zip(&expected).enumerate() {
            if expected.is_nan() || expected.is_infinite() {
                assert!(got.is_nan() && expected.is_nan() || f64::from(*got) == *expected);
                continue;
            }
            let error = (f64::from(*got) - expected).abs();
            let limit = match is_log {
                true => 5e-7 * (1.0 + expected.abs()) + 6e-8 * (shape[axis] as f64).sqrt(),
                // x - max is rounded, and exp makes the absolute error of it a relative one; the
                // roundings of a sum of n terms walk at random, half a unit times sqrt(n).
                false => {
                    let rounding = expected.ln().abs() + (shape[axis] as f64).sqrt();
                    expected * (1e-6 + 6e-8 * rounding) + 1e-37
                }
            };
            assert!(
                error <= limit,
                "{:?} {shape:?} axis {axis} element {i}: {got}, not {expected}",
                ctx.isa()
            );
        }
        // In place; the same bits.
        let mut here = x.to_vec();
        // SAFETY: the memory outlives the views; both are the same array, which is allowed.
        unsafe {
            let raw = Raw::new(&"x", here.as_mut_ptr(), shape, None).unwrap();
            let to = ViewMut::from_raw(&"out", raw).unwrap();
            f(
                ctx,
                -((shape.len() - axis) as isize),
                View::from_raw(raw),
                to,
            )
            .unwrap();
        }
        assert_eq!(bits(&here), bits(&out), "{shape:?} axis {axis} in place");
        // Every second element, with other strides for the output; the same bits.
        let mut wide = vec![f32::NAN; 2 * x.len()];
        x.iter().enumerate().for_each(|(i, v)| wide[2 * i] = *v);
        let mut wide_out = vec![7.0; 3 * x.len()];
        let strides = |gap: isize| {
            let mut strides = vec![gap; shape.len()];
            for a in (1..shape.len()).rev() {
                strides[a - 1] = strides[a] * shape[a] as isize;
            }
            strides
        };
        let from = View::strided(&wide, 0, shape, &strides(2)).unwrap();
        let to = ViewMut::strided(&mut wide_out, 1, shape, &strides(3)).unwrap();
        f(ctx, axis as isize, from, to).unwrap();
        for (i, v) in out.iter().enumerate() {
            assert_eq!(
                v.to_bits(),
                wide_out[3 * i + 1].to_bits(),
                "{shape:?} axis {axis}"
            );
            assert_eq!(wide_out[3 * i], 7.0);
        }
    }
}

#[test]
fn softmax_of_every_length_and_axis() {
    let mut random = Random(4);
    for isa in isas() {
        let ctx = context(isa, 1);
        let long = [127, 1000, 4097, 4095, 4096, 10_000];
        let long = &long[..if quick() { 3 } else { 6 }];
        for n in (1..70).chain(long.iter().copied()) {
            let x: Vec<f32> = random.floats(3 * n).iter().map(|v| v * 20.0).collect();
            check_softmax(&ctx, &x, &[3, n], 1);
            check_softmax(&ctx, &x, &[n, 3], 0);
        }
        for _ in 0..cases(60) {
            let shape: Vec<usize> = (0..random.range(1, 4))
                .map(|_| random.range(1, 40))
                .collect();
            let x = random.floats(shape.iter().product());
            let axis = random.range(0, shape.len() - 1);
            check_softmax(&ctx, &x, &shape, axis);
        }
        // Columns too long to be staged, a number of them that is no whole vector.
        let columns = if quick() { 19 } else { 37 };
        let x = random.floats(5000 * columns);
        check_softmax(&ctx, &x, &[5000, columns], 0);
    }
}

#[test]
fn softmax_in_guarded_memory() {
    let mut random = Random(5);
    for isa in isas() {
        let ctx = context(isa, 1);
        for n in [1usize, 2, 3, 7, 25, 26, 33, 100] {
            for (shape, axis) in [([3, n], 1), ([n, 5], 0)] {
                let len = shape.iter().product();
                let x = random.floats(len);
                let mut memory = [Guarded::new(0), Guarded::new(0)];
                for at_end in [false, true] {
                    let [from, to] = memory.each_mut().map(|m| place(m, len, at_end));
                    // SAFETY: both have room for the array and live long enough.
                    unsafe {
                        std::ptr::copy_nonoverlapping(x.as_ptr(), from, len);
                        let raw = |p| Raw::new(&"x", p, &shape, None).unwrap();
                        let out = ViewMut::from_raw(&"out", raw(to)).unwrap();
                        nn::softmax(&ctx, axis, View::from_raw(raw(from)), out).unwrap();
                    }
                }
            }
        }
    }
}

#[test]
fn softmax_of_numbers_that_are_not_finite() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    for isa in isas() {
        let ctx = context(isa, 1);
        for n in [2, 5, 24, 25, 40, 5000, 9000] {
            for axis in [0, 1] {
                let shape = if axis == 1 { [2, n] } else { [n, 2] };
                let at = |row: usize, i: usize| if axis == 1 { row * n + i } else { i * 2 + row };
                let run = |fill: f32, odd: &[(usize, f32)]| {
                    let mut x = vec![0.5; 2 * n];
                    (0..n).for_each(|i| x[at(0, i)] = fill);
                    odd.iter().for_each(|&(i, v)| x[at(0, i)] = v);
                    let (mut p, mut log) = (vec![7.0; 2 * n], vec![7.0; 2 * n]);
                    let view = View::new(&x, &shape).unwrap();
                    nn::softmax(&ctx, axis, view, ViewMut::new(&mut p, &shape).unwrap()).unwrap();
                    nn::log_softmax(&ctx, axis, view, ViewMut::new(&mut log, &shape).unwrap())
                        .unwrap();
                    // The other row does not notice.
                    for i in 0..n {
                        assert!((p[at(1, i)] * n as f32 - 1.0).abs() < 1e-5);
                    }
                    let row = |v: &[f32]| (0..n).map(|i| v[at(0, i)]).collect::<Vec<_>>();
                    (row(&p), row(&log))
                };
                let what = format!("{isa:?} {shape:?}");
                for (fill, odd) in [
                    (-inf, vec![]),
                    (inf, vec![]),
                    (nan, vec![]),
                    (0.0, vec![(n - 1, nan)]),
                    (0.0, vec![(0, inf)]),
                    (-inf, vec![(n - 1, inf)]),
                ] {
                    let (p, log) = run(fill, &odd);
                    assert!(
                        p.iter().chain(&log).all(|v| v.is_nan()),
                        "{what} {fill} {odd:?}"
                    );
                }
                // All but one are -inf, wherever that one is, whatever its size.
                for place in [0, n / 2, n - 1] {
                    for value in [0.0, -200.0, 200.0, 3e38] {
                        let (p, log) = run(-inf, &[(place, value)]);
                        for i in 0..n {
                            let (one, zero) = if i == place { (1.0, 0.0) } else { (0.0, -inf) };
                            assert_eq!((p[i], log[i]), (one, zero), "{what} {place} {value}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn same_bits_at_any_thread_count() {
    let mut random = Random(6);
    let x = random.floats(120_000);
    for isa in isas() {
        let run = |threads: usize| {
            let ctx = context(isa, threads);
            let mut results: Vec<Vec<u32>> = KINDS
                .iter()
                .map(|kind| bits(&compact(kind.1, &ctx, &x)))
                .collect();
            for (shape, axis) in [([120, 1000], 1), ([1000, 120], 0), ([60_000, 2], 1)] {
                let mut out = vec![7.0; x.len()];
                let view = View::new(&x, &shape).unwrap();
                nn::softmax(&ctx, axis, view, ViewMut::new(&mut out, &shape).unwrap()).unwrap();
                results.push(bits(&out));
            }
            results
        };
        let one = run(1);
        assert_eq!(run(2), one);
        assert_eq!(run(7), one);
    }
}

/// Results larger than the caches are stored past them, from the first aligned vector on.
#[test]
fn large_arrays_are_no_different() {
    const PIECE: usize = 1 << 20;
    let len = 4 * PIECE + 13;
    let x: Vec<f32> = (0..len).map(|i| (i % 1013) as f32 / 100.0 - 5.0).collect();
    for isa in isas() {
        let ctx = context(isa, 2);
        for (name, apply) in [("relu", nn::relu as Apply), ("silu", nn::silu)] {
            let mut want = vec![];
            for piece in x.chunks(PIECE) {
                want.extend(compact(apply, &ctx, piece));
            }
            for offset in [0, 1, 7] {
                let mut memory = vec![7.0; len + 8];
                let out = ViewMut::new(&mut memory[offset..offset + len], &[len]).unwrap();
                apply(&ctx, View::new(&x, &[len]).unwrap(), out).unwrap();
                let same = bits(&memory[offset..offset + len]) == bits(&want);
                assert!(same, "{name} at {offset} on {}", isa.tier().name());
                assert!(
                    memory[..offset]
                        .iter()
                        .chain(&memory[offset + len..])
                        .all(|v| *v == 7.0)
                );
            }
        }
    }
}

#[test]
fn errors_name_the_argument_and_touch_nothing() {
    let ctx = context(isas()[0], 1);
    let mut memory = [1.0f32; 64];
    let message = |result: Result<()>| result.unwrap_err().to_string();
    let x = View::new(&memory[..6], &[2, 3]).unwrap();
    let mut out = [7.0; 6];
    let to = ViewMut::new(&mut out, &[3, 2]).unwrap();
    assert_eq!(
        message(nn::relu(&ctx, x, to)),
        "relu: output has shape [3, 2], input has [2, 3]"
    );
    let to = ViewMut::new(&mut out, &[2, 3]).unwrap();
    assert_eq!(
        message(nn::softmax(&ctx, 2, x, to)),
        "softmax: axis is 2, input has 2 dimensions"
    );
    let to = ViewMut::new(&mut out, &[2, 3]).unwrap();
    let slope = [1.0; 2];
    let slope = View::new(&slope, &[2]).unwrap();
    assert_eq!(
        message(nn::prelu(&ctx, 1, x, slope, to)),
        "prelu: slope has 2 values, input has 3 channels along axis 1"
    );
    assert_eq!(out, [7.0; 6]);
    // Overlap that is not the very same array.
    let base = memory.as_mut_ptr();
    for (shift, stride) in [(1, 1), (0, 2), (2, 1)] {
        // SAFETY: inside of `memory`, which nothing else uses; the operator refuses.
        unsafe {
            let from = View::from_raw(Raw::new(&"x", base, &[10], None).unwrap());
            let raw = Raw::new(&"out", base.add(shift), &[10], Some(&[stride])).unwrap();
            let to = ViewMut::from_raw(&"out", raw).unwrap();
            assert!(message(nn::gelu(&ctx, from, to)).starts_with("gelu: output overlaps input"));
            let to = ViewMut::from_raw(&"out", raw).unwrap();
            assert!(
                message(nn::softmax(&ctx, 0, from, to)).starts_with("softmax: output overlaps")
            );
        }
    }
    assert_eq!(memory, [1.0; 64]);
}
