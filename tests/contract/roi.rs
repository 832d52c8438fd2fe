//! The exports of `capi::roi`.

use super::{Arg, Case, Type, params_bytes};
use omma::capi::*;

const MAP: [i64; 4] = [2, 3, 5, 7];
const BINS: [i64; 4] = [3, 3, 2, 3];
/// Image and corners.
const ROIS: [f32; 15] = [
    1., 0.5, 1., 4., 4.5, 0., -1., 2., 6., 3., 1., 3., 3., 3.5, 4.,
];

fn values(shape: &[i64]) -> Vec<f32> {
    let n = shape.iter().product::<i64>();
    (0..n).map(|i| ((i * 37) % 23) as f32 / 5.0 - 2.0).collect()
}

fn align_params(mode: i32, layout: i32) -> Vec<u8> {
    params_bytes(&OmmaRoiAlignParams {
        struct_size: size_of::<OmmaRoiAlignParams>() as u32,
        flags: OMMA_ROI_ALIGN_ALIGNED,
        spatial_scale: 0.75,
        output_size: [2, 3],
        sampling_ratio: 2,
        mode,
        layout,
        reserved: 0,
    })
}

fn pool_params(layout: i32) -> Vec<u8> {
    params_bytes(&OmmaRoiPoolParams {
        struct_size: size_of::<OmmaRoiPoolParams>() as u32,
        layout,
        spatial_scale: 0.75,
        output_size: [2, 3],
    })
}

/// How the images of RoIs are told.
#[derive(Clone, Copy, PartialEq)]
enum Images {
    InRois,
    Wide,
    Narrow,
}

/// The arguments `rois` and, unless the images are in it, `batch_indices`.
fn rois(images: Images) -> Vec<Arg> {
    let of: Vec<i64> = ROIS.chunks(5).map(|r| r[0] as i64).collect();
    let boxes: Vec<f32> = ROIS.chunks(5).flat_map(|r| r[1..].to_vec()).collect();
    let indices = |ty: Type, data: Vec<u8>| Arg::input_bytes("batch_indices", ty, &[3], data);
    match images {
        Images::InRois => vec![Arg::input("rois", &[3, 5], &ROIS)],
        Images::Wide => vec![
            Arg::input("rois", &[3, 4], &boxes),
            indices(Type::I64, of.iter().flat_map(|i| i.to_ne_bytes()).collect()),
        ],
        Images::Narrow => vec![
            Arg::input("rois", &[3, 4], &boxes),
            indices(
                Type::I32,
                of.iter().flat_map(|&i| (i as i32).to_ne_bytes()).collect(),
            ),
        ],
    }
}

/// Tensors in the order of the export: NULL for `batch_indices` where images are in `rois`.
fn spread(images: Images, t: &[*const OmmaTensor]) -> Vec<*const OmmaTensor> {
    let mut all = t.to_vec();
    if images == Images::InRois {
        all.insert(2, std::ptr::null());
    }
    all
}

fn shape(layout: i32, [n, c, h, w]: [i64; 4]) -> [i64; 4] {
    match layout {
        OMMA_LAYOUT_NHWC => [n, h, w, c],
        _ => [n, c, h, w],
    }
}

fn align(mode: i32, layout: i32, images: Images) -> Case {
    let (map, bins) = (shape(layout, MAP), shape(layout, BINS));
    let mut args = vec![Arg::input("x", &map, &values(&map)).any_shape()];
    args.extend(rois(images));
    args.push(Arg::output("output", Type::F32, &bins));
    Case {
        export: "omma_roi_align",
        op: "roi_align",
        params: align_params(mode, layout),
        args,
        call: Box::new(move |ctx, p, t| {
            let t = spread(images, t);
            // SAFETY: the harness gives what the export documents, or expects an error.
            unsafe { omma_roi_align(ctx, p.cast(), t[0], t[1], t[2], t[3]) }
        }),
        in_place: false,
    }
}

fn align_backward(mode: i32, layout: i32, images: Images) -> Case {
    let (map, bins) = (shape(layout, MAP), shape(layout, BINS));
    let mut args = vec![Arg::input("dy", &bins, &values(&bins))];
    args.extend(rois(images));
    let x = Arg::input("x", &map, &values(&map));
    // A mean has no use for it.
    args.push(if mode == OMMA_ROI_ALIGN_AVG {
        x.optional()
    } else {
        x
    });
    args.push(Arg::output("dx", Type::F32, &map));
    Case {
        export: "omma_roi_align_backward",
        op: "roi_align_backward",
        params: align_params(mode, layout),
        args,
        call: Box::new(move |ctx, p, t| {
            let t = spread(images, t);
            // SAFETY: as above.
            unsafe { omma_roi_align_backward(ctx, p.cast(), t[0], t[1], t[2], t[3], t[4]) }
        }),
        in_place: false,
    }
}

fn pool(layout: i32, images: Images) -> Case {
    let (map, bins) = (shape(layout, MAP), shape(layout, BINS));
    let mut args = vec![Arg::input("x", &map, &values(&map)).any_shape()];
    args.extend(rois(images));
    args.push(Arg::output("output", Type::F32, &bins));
    args.push(Arg::output("argmax", Type::I32, &bins).optional());
    Case {
        export: "omma_roi_pool",
        op: "roi_pool",
        params: pool_params(layout),
        args,
        call: Box::new(move |ctx, p, t| {
            let t = spread(images, t);
            // SAFETY: as above.
            unsafe { omma_roi_pool(ctx, p.cast(), t[0], t[1], t[2], t[3], t[4]) }
        }),
        in_place: false,
    }
}

fn pool_backward(layout: i32, images: Images) -> Case {
    let (map, bins) = (shape(layout, MAP), shape(layout, BINS));
    let mut args = vec![Arg::input("dy", &bins, &values(&bins))];
    args.extend(rois(images));
    let indices = (0..bins.iter().product::<i64>()).map(|i| (i * 7 % 36) as i32 - 1);
    let indices = indices.flat_map(|i| i.to_ne_bytes()).collect();
    args.push(Arg::input_bytes("argmax", Type::I32, &bins, indices));
    args.push(Arg::output("dx", Type::F32, &map).any_shape());
    Case {
        export: "omma_roi_pool_backward",
        op: "roi_pool_backward",
        params: pool_params(layout),
        args,
        call: Box::new(move |ctx, p, t| {
            let t = spread(images, t);
            // SAFETY: as above.
            unsafe { omma_roi_pool_backward(ctx, p.cast(), t[0], t[1], t[2], t[3], t[4]) }
        }),
        in_place: false,
    }
}

pub fn cases() -> Vec<Case> {
    let (nchw, nhwc) = (OMMA_LAYOUT_NCHW, OMMA_LAYOUT_NHWC);
    vec![
        align(OMMA_ROI_ALIGN_AVG, nchw, Images::InRois),
        align(OMMA_ROI_ALIGN_AVG, nhwc, Images::Wide),
        align(OMMA_ROI_ALIGN_MAX, nchw, Images::Narrow),
        align(OMMA_ROI_ALIGN_MAX_SAMPLE, nhwc, Images::InRois),
        align_backward(OMMA_ROI_ALIGN_AVG, nchw, Images::InRois),
        align_backward(OMMA_ROI_ALIGN_MAX, nhwc, Images::Wide),
        align_backward(OMMA_ROI_ALIGN_MAX_SAMPLE, nchw, Images::Narrow),
        pool(nchw, Images::InRois),
        pool(nhwc, Images::Wide),
        pool_backward(nchw, Images::Narrow),
        pool_backward(nhwc, Images::InRois),
    ]
}
