//! Affine and perspective matrices and maps of coordinates, random and odd, to the bit.

use crate::common::{Random, cases, context, isas};
use crate::image_support::*;
use crate::oracle::{Pixel, Setup, affine_place};
use omma::image::*;

fn matrices<T: Pixel>() {
    let mut random = Random(7);
    for case in 0..cases(120) {
        let setup = Setup::random::<T>(&mut random);
        let mut number = |scale: f64| f64::from(random.float()) * scale;
        let mut m = [
            number(1.5),
            number(1.5),
            number(20.0),
            number(1.5),
            number(1.5),
            number(20.0),
            0.0,
            0.0,
            1.0,
        ];
        if case % 7 == 0 {
            m = [
                1.0,
                0.0,
                m[2].round(),
                0.0,
                1.0,
                m[5].round(),
                0.0,
                0.0,
                1.0,
            ];
        }
        if case % 2 == 0 {
            let affine = [m[0], m[1], m[2], m[3], m[4], m[5]];
            let place = |fma, y, x| {
                let [x, y, _] = affine_place(fma, &m, y, x);
                (x, y)
            };
            setup.check::<T>(&mut random, place, |ctx, options, image, output| {
                warp_affine(ctx, options, &affine, true, image, output)
            });
        } else {
            (m[6], m[7]) = (number(0.05), number(0.05));
            if case % 5 == 0 {
                // The divisor is zero in a column, and everywhere in the last case.
                (m[6], m[7], m[8]) = (1.0, 0.0, -3.0);
            }
            let place = |fma, y, x| {
                let [x, y, w] = affine_place(fma, &m, y, x);
                (x / w, y / w)
            };
            setup.check::<T>(&mut random, place, |ctx, options, image, output| {
                warp_perspective(ctx, options, &m, true, image, output)
            });
        }
    }
}

#[test]
fn matrices_of_bytes() {
    matrices::<u8>();
}

#[test]
fn matrices_of_floats() {
    matrices::<f32>();
}

fn maps<T: Pixel>() {
    const ODD: [f32; 14] = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        2147483648.0,
        -2147483648.0,
        1073741824.0,
        1e10,
        -1e10,
        16777216.0,
        -0.0,
        -0.5,
        f32::MIN_POSITIVE,
    ];
    let mut random = Random(11);
    for case in 0..cases(120) {
        let setup = Setup::random::<T>(&mut random);
        let ([h, w, _], [h1, w1]) = (setup.src, setup.dst);
        let mut map = |n: usize| -> Vec<f32> {
            (0..h1 * w1)
                .map(|_| match (case % 3, random.range(0, 9)) {
                    (0, 0) => ODD[random.range(0, ODD.len() - 1)],
                    (1, _) => random.range(0, 2 * n) as f32 / 2.0 - 1.0,
                    _ => (random.float() + 1.0) / 2.0 * (n + 8) as f32 - 4.0,
                })
                .collect()
        };
        let (x, y) = (map(w), map(h));
        let place = |_, i: usize, j: usize| (x[i * w1 + j], y[i * w1 + j]);
        setup.check::<T>(&mut random, place, |ctx, options, image, mut output| {
            let (x, y) = (view(&x, &[h1, w1]), view(&y, &[h1, w1]));
            remap(ctx, options, image, x, y, output.reborrow())?;
            // The plan has the same bits.
            let plan = Remap::new(ctx, options, x, y)?;
            assert_eq!(plan.output_size(), (h1, w1));
            let shape = [h1, w1, output.dim(2)];
            let mut again = vec![T::default(); shape.iter().product()];
            plan.run(ctx, image, view_mut(&mut again, &shape))?;
            let first = output.as_slice_mut().unwrap();
            assert!(first.iter().zip(&again).all(|(&a, &b)| T::same(a, b)));
            Ok(())
        });
    }
}

#[test]
fn maps_of_bytes() {
    maps::<u8>();
}

#[test]
fn maps_of_floats() {
    maps::<f32>();
}

#[test]
fn threads_change_nothing() {
    let image = u8::noise(130 * 170 * 3, 5);
    let m = [0.9, 0.3, -20.0, -0.3, 0.9, 30.0];
    for isa in isas() {
        let outputs = [1, 2, 3].map(|threads| {
            let mut out = vec![0u8; 150 * 140 * 3];
            let ctx = context(isa, threads);
            let (image, out_view) = (
                view(&image, &[130, 170, 3]),
                view_mut(&mut out, &[150, 140, 3]),
            );
            warp_affine(&ctx, &Warp::default(), &m, false, image, out_view).unwrap();
            out
        });
        assert!(outputs[0] == outputs[1] && outputs[0] == outputs[2]);
    }
}
