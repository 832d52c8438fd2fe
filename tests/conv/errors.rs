//! Wrong arguments.

use omma::conv::{Algorithm, Conv2dParams, conv2d};
use omma::error::Status;
use omma::runtime::Context;
use omma::simd::Activation;
use omma::tensor::{View, ViewMut};

/// Every complaint names the argument and both sides.
#[test]
fn errors_name_both_sides() {
    let ctx = Context::serial().unwrap();
    let data = vec![0.5f32; 1 << 16];
    let fails = |params: &Conv2dParams<'_>,
                 x: &[usize],
                 w: &[usize],
                 bias: Option<usize>,
                 residual: Option<&[usize]>,
                 out: &[usize],
                 status: Status,
                 message: &str| {
        let take = |shape: &[usize]| View::new(&data[..shape.iter().product()], shape).unwrap();
        let mut result = vec![9.0f32; out.iter().product()];
        let bias = bias.map(|n| take(&[n]));
        let residual = residual.map(take);
        let view = ViewMut::new(&mut result, out).unwrap();
        let error = conv2d(
            ctx,
            params,
            &take(x),
            &take(w),
            bias.as_ref(),
            residual.as_ref(),
            view,
        )
        .unwrap_err();
        assert_eq!((error.status(), error.message()), (status, message));
        assert!(result.iter().all(|&v| v == 9.0));
    };
    let params = Conv2dParams::default();
    let (x, w, out) = (&[1, 4, 6, 6], &[8, 4, 3, 3], &[1, 8, 4, 4]);
    let shape = Status::ShapeMismatch;
    let invalid = Status::InvalidArgument;
    fails(
        &params,
        x,
        &[8, 64, 3, 3],
        None,
        None,
        out,
        shape,
        "conv2d: weight has 64 input channels per group, input has 4 / groups 1",
    );
    fails(
        &params,
        &[4, 6, 6],
        w,
        None,
        None,
        out,
        shape,
        "conv2d: input has 3 dimensions, expected 4",
    );
    fails(
        &params,
        x,
        &[8, 4, 9],
        None,
        None,
        out,
        shape,
        "conv2d: weight has 3 dimensions, expected 4",
    );
    fails(
        &params,
        x,
        w,
        Some(7),
        None,
        out,
        shape,
        "conv2d: bias has 7 values, weight has 8 output channels",
    );
    fails(
        &params,
        x,
        w,
        None,
        None,
        &[1, 8, 6, 4],
        shape,
        "conv2d: output has shape [1, 8, 6, 4], expected [1, 8, 4, 4] for input [1, 4, 6, 6]",
    );
    fails(
        &params,
        x,
        w,
        None,
        Some(&[1, 8, 4, 5]),
        out,
        shape,
        "conv2d: residual has shape [1, 8, 4, 5], expected [1, 8, 4, 4] for input [1, 4, 6, 6]",
    );
    fails(
        &params,
        x,
        &[8, 4, 0, 3],
        None,
        None,
        out,
        invalid,
        "conv2d: weight has a window of 0 x 3, the least is 1 x 1",
    );
    fails(
        &params,
        &[1, 4, 2, 6],
        w,
        None,
        None,
        out,
        shape,
        "conv2d: weight spans 3 in height (kernel 3, dilation 1), the padded input has 2",
    );
    let groups = |groups| Conv2dParams { groups, ..params };
    fails(
        &groups(3),
        x,
        w,
        None,
        None,
        out,
        shape,
        "conv2d: weight has 8 output channels, which groups 3 do not divide",
    );
    fails(
        &groups(2),
        x,
        w,
        None,
        None,
        out,
        shape,
        "conv2d: weight has 4 input channels per group, input has 4 / groups 2",
    );
    fails(
        &groups(0),
        x,
        w,
        None,
        None,
        out,
        invalid,
        "conv2d: groups is 0, the least is 1",
    );
    let stride = Conv2dParams {
        stride: [1, 0],
        ..params
    };
    fails(
        &stride,
        x,
        w,
        None,
        None,
        out,
        invalid,
        "conv2d: stride is 1 x 0, the least is 1",
    );
    let dilation = Conv2dParams {
        dilation: [0, 1],
        ..params
    };
    fails(
        &dilation,
        x,
        w,
        None,
        None,
        out,
        invalid,
        "conv2d: dilation is 0 x 1, the least is 1",
    );
    let dilation = Conv2dParams {
        dilation: [1, 4],
        ..params
    };
    fails(
        &dilation,
        x,
        w,
        None,
        None,
        out,
        shape,
        "conv2d: weight spans 9 in width (kernel 3, dilation 4), the padded input has 6",
    );
    let padding = Conv2dParams {
        padding: [usize::MAX, 1, 0, 0],
        ..params
    };
    fails(
        &padding,
        x,
        w,
        None,
        None,
        out,
        invalid,
        "conv2d: height 6 with padding 18446744073709551615 + 1 and a kernel of 3 with dilation 1 overflows",
    );
    let slope = [0.1f32; 5];
    let slope = Conv2dParams {
        prelu_slope: Some(View::new(&slope, &[5]).unwrap()),
        ..params
    };
    fails(
        &slope,
        x,
        w,
        None,
        None,
        out,
        shape,
        "conv2d: activation_slope has 5 values, weight has 8 output channels",
    );
    let one = [0.1f32];
    let both = Conv2dParams {
        prelu_slope: Some(View::new(&one, &[1]).unwrap()),
        activation: Activation::Relu,
        ..params
    };
    fails(
        &both,
        x,
        w,
        None,
        None,
        out,
        invalid,
        "conv2d: activation_slope is given and activation is Relu, expected one of them",
    );
    let winograd = Conv2dParams {
        algorithm: Algorithm::Winograd,
        stride: [2, 1],
        ..params
    };
    fails(
        &winograd,
        x,
        w,
        None,
        None,
        out,
        Status::Unsupported,
        "conv2d: algorithm is winograd, which takes a window of 3 x 3 with stride 1 and dilation 1, weight has 3 x 3 with stride 2 x 1 and dilation 1 x 1",
    );
}

#[test]
fn output_may_not_overlap_the_input() {
    let ctx = Context::serial().unwrap();
    let mut memory = vec![1.0f32; 200];
    let view = ViewMut::strided(&mut memory, 50, &[1, 1, 8, 8], &[64, 64, 8, 1]).unwrap();
    let address = view.ptr();
    let raw = omma::tensor::Raw::new(&"x", address.wrapping_sub(1), &[1, 1, 8, 8], None).unwrap();
    // SAFETY: inside of `memory`; the operator refuses before it reads.
    let x = unsafe { View::from_raw(raw) };
    let w = View::new(&[2.0], &[1, 1, 1, 1]).unwrap();
    let error = conv2d(ctx, &Conv2dParams::default(), &x, &w, None, None, view).unwrap_err();
    assert_eq!(error.message(), "conv2d: output overlaps input in memory");
    assert!(memory.iter().all(|&v| v == 1.0));
}
