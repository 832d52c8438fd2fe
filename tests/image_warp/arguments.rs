//! Errors say what was wrong, and nothing is touched.

use crate::image_support::*;
use omma::error::{Result, Status};
use omma::image::*;
use omma::runtime::Context;
use omma::tensor::View;

fn fails(result: Result<()>, status: Status, words: &str) {
    let error = result.unwrap_err();
    assert!(
        error.status() == status && error.to_string().contains(words),
        "{error}"
    );
}

#[test]
fn arguments() {
    let ctx = Context::serial().unwrap();
    let options = Warp::default();
    let one = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let x = [0u8; 60];
    let mut y = [7u8; 60];
    let mut go = |m: &[f64; 6], from: &[usize], to: &[usize]| {
        let len = |shape: &[usize]| shape.iter().product::<usize>();
        let image = view(&x[..len(from)], from);
        warp_affine(
            ctx,
            &options,
            m,
            false,
            image,
            view_mut(&mut y[..len(to)], to),
        )
    };
    let (bad, shape) = (Status::InvalidArgument, Status::ShapeMismatch);
    fails(go(&[0.0; 6], &[3, 4], &[3, 4]), bad, "no inverse");
    fails(go(&[f64::NAN; 6], &[3, 4], &[3, 4]), bad, "not finite");
    fails(
        go(&one, &[3, 4, 2], &[3, 4, 3]),
        shape,
        "output has 3 channels, image has 2",
    );
    fails(
        go(&one, &[2, 2, 5], &[2, 2, 5]),
        Status::Unsupported,
        "5 channels",
    );
    fails(go(&one, &[0, 4], &[3, 4]), bad, "no pixels");
    fails(go(&one, &[4], &[3, 4]), shape, "image has 1 dimensions");
    go(&one, &[0, 4], &[0, 3]).unwrap();
    go(&one, &[3, 4], &[5, 0]).unwrap();
    assert!(y.iter().all(|&v| v == 7));
    let area = Warp {
        interpolation: Interpolation::Area,
        ..options
    };
    let map = [0.0f32; 12];
    let maps = |shape: &[usize]| View::new(&map[..shape.iter().product()], shape).unwrap();
    let image = view(&x[..12], &[3, 4]);
    let mut out = [0u8; 12];
    let mut run = |options: &Warp, a: &[usize], b: &[usize], to: &[usize]| {
        let out = view_mut(&mut out[..to.iter().product()], to);
        remap(ctx, options, image, maps(a), maps(b), out)
    };
    fails(
        run(&area, &[3, 4], &[3, 4], &[3, 4]),
        bad,
        "interpolation is area",
    );
    fails(
        run(&options, &[3, 4], &[4, 3], &[3, 4]),
        shape,
        "map_y has shape",
    );
    fails(
        run(&options, &[3, 4], &[3, 4], &[4, 3]),
        shape,
        "output is 4 x 3",
    );
    fails(
        run(&options, &[12], &[12], &[3, 4]),
        shape,
        "map_x has 1 dimensions",
    );
    fails(
        rotate(
            ctx,
            &options,
            f64::INFINITY,
            image,
            view_mut(&mut y[..12], &[3, 4]),
        ),
        bad,
        "degrees is inf",
    );
}
