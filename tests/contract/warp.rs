//! The exports of `capi/warp.rs`.

use super::{Arg, Case, Type, params_bytes};
use omma::capi::*;
use std::ptr::{null, null_mut};

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 37 % 251) as u8).collect()
}

fn floats(len: usize) -> Vec<f32> {
    bytes(len).iter().map(|&b| f32::from(b) / 32.0).collect()
}

fn bytes_image(h: i64, w: i64, c: i64) -> Arg {
    let data = bytes((h * w * c) as usize);
    Arg::input_bytes("image", Type::U8, &[h, w, c], data)
        .any_type()
        .any_shape()
}

fn floats_image(shape: &[i64]) -> Arg {
    let len: i64 = shape.iter().product();
    Arg::input("image", shape, &floats(len as usize))
        .any_type()
        .any_shape()
}

fn output(ty: Type, shape: &[i64]) -> Arg {
    Arg::output("output", ty, shape)
}

fn map(name: &'static str) -> Arg {
    Arg::input(name, &[5, 6], &floats(30))
}

const REMAP: OmmaRemapParams = OmmaRemapParams {
    struct_size: size_of::<OmmaRemapParams>() as u32,
    interpolation: OMMA_INTERPOLATION_LINEAR,
    border: OMMA_BORDER_REFLECT_101,
    reserved: 0,
    value: [0.0; 4],
};

/// A compact array.
fn tensor(values: &[f32], shape: &'static [i64]) -> OmmaTensor {
    OmmaTensor {
        data: values.as_ptr().cast_mut().cast(),
        device: OmmaDevice {
            device_type: OMMA_DEVICE_CPU,
            device_id: 0,
        },
        ndim: shape.len() as i32,
        dtype: OmmaDataType {
            code: OMMA_DTYPE_FLOAT,
            bits: 32,
            lanes: 1,
        },
        shape: shape.as_ptr(),
        strides: null(),
        byte_offset: 0,
    }
}

fn affine(image: Arg, output: Arg) -> Case {
    Case {
        export: "omma_warp_affine",
        op: "warp_affine",
        params: params_bytes(&OmmaWarpAffineParams {
            struct_size: size_of::<OmmaWarpAffineParams>() as u32,
            interpolation: OMMA_INTERPOLATION_CUBIC,
            border: OMMA_BORDER_CONSTANT,
            flags: OMMA_WARP_INVERSE,
            value: [1.0, 2.0, 3.0, 4.0],
            matrix: [0.9, 0.2, -1.0, -0.3, 1.1, 0.5],
        }),
        args: vec![image, output.any_shape()],
        // SAFETY: the harness passes pointers as the export wants them, or NULL.
        call: Box::new(|ctx, params, t| unsafe {
            omma_warp_affine(ctx, params.cast(), t[0], t[1])
        }),
        in_place: false,
    }
}

pub fn cases() -> Vec<Case> {
    vec![
        affine(bytes_image(9, 7, 3), output(Type::U8, &[5, 11, 3])),
        affine(floats_image(&[6, 8]), output(Type::F32, &[7, 3])),
        Case {
            export: "omma_warp_perspective",
            op: "warp_perspective",
            params: params_bytes(&OmmaWarpPerspectiveParams {
                struct_size: size_of::<OmmaWarpPerspectiveParams>() as u32,
                interpolation: OMMA_INTERPOLATION_LINEAR,
                border: OMMA_BORDER_REPLICATE,
                flags: 0,
                value: [0.0; 4],
                matrix: [1.0, 0.1, 0.5, -0.1, 0.9, 0.2, 0.01, 0.02, 1.0],
            }),
            args: vec![
                bytes_image(6, 8, 4),
                output(Type::U8, &[7, 3, 4]).any_shape(),
            ],
            // SAFETY: the harness passes pointers as the export wants them, or NULL.
            call: Box::new(|ctx, params, t| unsafe {
                omma_warp_perspective(ctx, params.cast(), t[0], t[1])
            }),
            in_place: false,
        },
        Case {
            export: "omma_rotate",
            op: "rotate",
            params: params_bytes(&OmmaRotateParams {
                struct_size: size_of::<OmmaRotateParams>() as u32,
                interpolation: OMMA_INTERPOLATION_NEAREST,
                border: OMMA_BORDER_WRAP,
                reserved: 0,
                value: [0.0; 4],
                degrees: 30.0,
            }),
            args: vec![
                floats_image(&[6, 8, 2]),
                output(Type::F32, &[9, 10, 2]).any_shape(),
            ],
            // SAFETY: the harness passes pointers as the export wants them, or NULL.
            call: Box::new(|ctx, params, t| unsafe { omma_rotate(ctx, params.cast(), t[0], t[1]) }),
            in_place: false,
        },
        Case {
            export: "omma_remap",
            op: "remap",
            params: params_bytes(&REMAP),
            args: vec![
                bytes_image(9, 8, 3),
                map("map_x"),
                map("map_y"),
                output(Type::U8, &[5, 6, 3]),
            ],
            // SAFETY: the harness passes pointers as the export wants them, or NULL.
            call: Box::new(|ctx, params, t| unsafe {
                omma_remap(ctx, params.cast(), t[0], t[1], t[2], t[3])
            }),
            in_place: false,
        },
        Case {
            export: "omma_remap_create",
            op: "remap",
            params: params_bytes(&REMAP),
            args: vec![map("map_x").any_shape(), map("map_y").any_shape()],
            call: Box::new(|ctx, params, t| {
                let mut plan = null_mut();
                // SAFETY: the harness passes pointers as the export wants them, or NULL.
                unsafe {
                    let status = omma_remap_create(ctx, params.cast(), t[0], t[1], &mut plan);
                    assert_eq!(status == OMMA_OK, !plan.is_null());
                    omma_remap_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_remap_run",
            op: "remap",
            params: vec![],
            args: vec![floats_image(&[9, 8, 2]), output(Type::F32, &[5, 6, 2])],
            call: Box::new(|ctx, _, t| {
                let places = floats(30);
                let maps = tensor(&places, &[5, 6]);
                let mut plan = null_mut();
                // SAFETY: the harness passes pointers as the export wants them, or NULL.
                unsafe {
                    let made = omma_remap_create(null(), &REMAP, &maps, &maps, &mut plan);
                    assert_eq!(made, OMMA_OK);
                    let status = omma_remap_run(ctx, plan, t[0], t[1]);
                    omma_remap_destroy(plan);
                    status
                }
            }),
            in_place: false,
        },
        Case {
            export: "omma_grid_sample",
            op: "grid_sample",
            params: params_bytes(&OmmaGridSampleParams {
                struct_size: size_of::<OmmaGridSampleParams>() as u32,
                interpolation: OMMA_INTERPOLATION_LINEAR,
                padding: OMMA_PADDING_REFLECTION,
                flags: OMMA_GRID_SAMPLE_ALIGN_CORNERS,
            }),
            args: vec![
                Arg::input("input", &[2, 3, 4, 5], &floats(120)).any_shape(),
                Arg::input("grid", &[2, 3, 6, 2], &floats(72)),
                output(Type::F32, &[2, 3, 3, 6]),
            ],
            // SAFETY: the harness passes pointers as the export wants them, or NULL.
            call: Box::new(|ctx, params, t| unsafe {
                omma_grid_sample(ctx, params.cast(), t[0], t[1], t[2])
            }),
            in_place: false,
        },
    ]
}
