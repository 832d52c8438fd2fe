//! The exports of `capi/image.rs`.

use super::{Arg, Case, Type, params_bytes};
use omma::capi::*;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 37 % 251) as u8).collect()
}

fn floats(len: usize) -> Vec<f32> {
    bytes(len).iter().map(|&b| f32::from(b)).collect()
}

fn resize(interpolation: i32, image: Arg, output: Arg) -> Case {
    Case {
        export: "omma_resize",
        op: "resize",
        params: params_bytes(&OmmaResizeParams {
            struct_size: size_of::<OmmaResizeParams>() as u32,
            interpolation,
            coordinates: OMMA_COORDINATES_DEFAULT,
            flags: 0,
        }),
        args: vec![image.any_shape(), output.any_shape()],
        // SAFETY: the harness passes pointers as the export wants them, or NULL.
        call: Box::new(|ctx, params, t| unsafe { omma_resize(ctx, params.cast(), t[0], t[1]) }),
        in_place: false,
    }
}

fn tensor(flags: u32, layout: i32, image: Arg, output: Arg) -> Case {
    Case {
        export: "omma_image_to_tensor",
        op: "image_to_tensor",
        params: params_bytes(&OmmaImageToTensorParams {
            struct_size: size_of::<OmmaImageToTensorParams>() as u32,
            flags,
            layout,
            coordinates: OMMA_COORDINATES_HALF_PIXEL,
            scale: 0.0,
            pad_value: 3.0,
            mean: [0.5; 4],
            std: [0.25, 0.5, 0.0, 2.0],
            interpolation: OMMA_INTERPOLATION_LINEAR,
        }),
        args: vec![image.any_shape(), output.any_shape()],
        // SAFETY: the harness passes pointers as the export wants them, or NULL.
        call: Box::new(|ctx, params, t| unsafe {
            omma_image_to_tensor(ctx, params.cast(), t[0], t[1])
        }),
        in_place: false,
    }
}

fn median(ksize: i32, border: i32, image: Arg, output: Arg) -> Case {
    Case {
        export: "omma_median_blur",
        op: "median_blur",
        params: params_bytes(&OmmaMedianBlurParams {
            struct_size: size_of::<OmmaMedianBlurParams>() as u32,
            ksize,
            border,
        }),
        args: vec![image.any_shape(), output.any_shape()],
        // SAFETY: the harness passes pointers as the export wants them, or NULL.
        call: Box::new(|ctx, params, t| unsafe {
            omma_median_blur(ctx, params.cast(), t[0], t[1])
        }),
        in_place: false,
    }
}

pub fn cases() -> Vec<Case> {
    let image = |h: i64, w: i64, c: i64| {
        let data = bytes((h * w * c) as usize);
        Arg::input_bytes("image", Type::U8, &[h, w, c], data).any_type()
    };
    let output = |ty, shape: &[i64]| Arg::output("output", ty, shape);
    vec![
        resize(
            OMMA_INTERPOLATION_LINEAR,
            image(9, 7, 3),
            output(Type::U8, &[5, 11, 3]),
        ),
        resize(
            OMMA_INTERPOLATION_NEAREST,
            image(6, 8, 2),
            output(Type::U8, &[7, 3, 2]),
        ),
        resize(
            OMMA_INTERPOLATION_LINEAR,
            Arg::input("image", &[6, 8], &floats(48)).any_type(),
            output(Type::F32, &[7, 3]),
        ),
        resize(
            OMMA_INTERPOLATION_CUBIC,
            image(9, 7, 3),
            output(Type::U8, &[5, 11, 3]),
        ),
        resize(
            OMMA_INTERPOLATION_CUBIC,
            Arg::input("image", &[6, 8], &floats(48)).any_type(),
            output(Type::F32, &[7, 3]),
        ),
        median(
            3,
            OMMA_MEDIAN_BORDER_REPLICATE,
            image(6, 8, 3),
            output(Type::U8, &[6, 8, 3]),
        ),
        median(
            11,
            OMMA_MEDIAN_BORDER_CONSTANT,
            image(5, 6, 2),
            output(Type::U8, &[5, 6, 2]),
        ),
        median(
            5,
            OMMA_MEDIAN_BORDER_REPLICATE,
            Arg::input("image", &[6, 8], &floats(48)).any_type(),
            output(Type::F32, &[6, 8]),
        ),
        tensor(
            OMMA_IMAGE_LETTERBOX | OMMA_IMAGE_SWAP_RB | OMMA_IMAGE_PAD_VALUE,
            OMMA_LAYOUT_NCHW,
            image(9, 7, 3),
            output(Type::F32, &[3, 6, 8]),
        ),
        tensor(
            0,
            OMMA_LAYOUT_NHWC,
            Arg::input("image", &[4, 5, 4], &floats(80)).any_type(),
            output(Type::F32, &[4, 5, 4]),
        ),
    ]
}
