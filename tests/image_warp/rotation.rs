//! Turns by multiples of 90 degrees, which are copies.

use crate::INTERPOLATIONS;
use crate::common::{Random, cases, context, isas};
use crate::image_support::*;
use crate::oracle::Pixel;
use omma::image::*;

/// Counter-clockwise, as numpy's `rot90`.
fn rot90<T: Copy>(image: &[T], [h, w, c]: [usize; 3]) -> Vec<T> {
    let pixel = |y: usize, x: usize| (0..c).map(move |k| image[(y * w + x) * c + k]);
    (0..w)
        .flat_map(|y| (0..h).flat_map(move |x| pixel(x, w - 1 - y)))
        .collect()
}

fn quarters<T: Pixel>() {
    let mut random = Random(3);
    for _ in 0..cases(40) {
        let mut size = [0; 3].map(|_: usize| random.range(1, 70));
        size[2] = random.range(1, 4);
        let image = T::noise(size.iter().product(), random.bits() >> 40);
        for isa in isas() {
            let ctx = context(isa, 1);
            let (mut expected, mut turned) = (image.clone(), size);
            for quarter in 0..8 {
                let degrees = 90.0 * f64::from(quarter) - 360.0 * f64::from(quarter % 3);
                let extent = rotated_size((size[0], size[1]), degrees).unwrap();
                assert_eq!(extent, (turned[0], turned[1]));
                let mut out = vec![T::default(); image.len()];
                let options = Warp {
                    interpolation: INTERPOLATIONS[quarter as usize % 3],
                    ..Warp::default()
                };
                rotate(
                    &ctx,
                    &options,
                    degrees,
                    view(&image, &size),
                    view_mut(&mut out, &turned),
                )
                .unwrap();
                assert!(out == expected);
                // Framed by even margins, pixels still fall on pixels.
                let framed = [turned[0] + 2, turned[1] + 4, turned[2]];
                let mut frame = vec![T::default(); framed.iter().product()];
                rotate(
                    &ctx,
                    &options,
                    degrees,
                    view(&image, &size),
                    view_mut(&mut frame, &framed),
                )
                .unwrap();
                let row = turned[1] * turned[2];
                for (y, line) in frame.chunks(framed[1] * framed[2]).enumerate() {
                    let inner = &line[2 * turned[2]..][..row];
                    match y.checked_sub(1).filter(|y| *y < turned[0]) {
                        Some(y) => assert!(inner == &expected[y * row..][..row]),
                        None => assert!(line.iter().all(|v| *v == T::default())),
                    }
                }
                expected = rot90(&expected, turned);
                turned.swap(0, 1);
            }
        }
    }
}

#[test]
fn quarters_are_exact() {
    quarters::<u8>();
    quarters::<f32>();
}
