//! A second call of the same shape allocates nothing: every operator, through
//! the C ABI, under an allocator that counts.

use omma::capi::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

thread_local! {
    /// Set on the thread that calls: the test harness allocates on others.
    static COUNTING: Cell<bool> = const { Cell::new(false) };
}
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTING.get() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// An array and the tensor that describes it.
struct Array {
    _memory: Vec<u64>,
    _shape: Vec<i64>,
    tensor: OmmaTensor,
}

fn array(code: u8, bits: u8, shape: &[i64]) -> Array {
    let len = shape.iter().product::<i64>() as usize * usize::from(bits) / 8;
    let mut memory = vec![0u64; len.div_ceil(8)];
    let shape = shape.to_vec();
    let tensor = OmmaTensor {
        data: memory.as_mut_ptr().cast(),
        device: OmmaDevice {
            device_type: OMMA_DEVICE_CPU,
            device_id: 0,
        },
        ndim: shape.len() as i32,
        dtype: OmmaDataType {
            code,
            bits,
            lanes: 1,
        },
        shape: shape.as_ptr(),
        strides: null(),
        byte_offset: 0,
    };
    Array {
        _memory: memory,
        _shape: shape,
        tensor,
    }
}

fn floats(shape: &[i64]) -> Array {
    array(OMMA_DTYPE_FLOAT, 32, shape)
}

/// A params struct, all defaults.
fn params<P: Copy>() -> P {
    // SAFETY: params structs are plain data that begin with their size; zero is a default.
    unsafe {
        let mut p: P = std::mem::zeroed();
        (&raw mut p).cast::<u32>().write(size_of::<P>() as u32);
        p
    }
}

type Call<'a> = (&'a str, Box<dyn Fn(*const OmmaContext) -> OmmaStatus + 'a>);

#[test]
fn a_second_call_of_the_same_shape_allocates_nothing() {
    let mut context = std::ptr::null_mut();
    let mut options: OmmaContextOptions = params();
    options.num_threads = 1;
    // SAFETY: valid pointers.
    let made = unsafe { omma_context_create(&options, &mut context) };
    assert_eq!(made, OMMA_OK);

    let image = floats(&[1, 8, 40, 40]);
    let transposed = {
        let mut t = floats(&[1, 8, 40, 40]);
        t.tensor.strides = [12800, 1, 320, 8].map(i64::from).to_vec().leak().as_ptr();
        t
    };
    let (weight, bias, depthwise) = (floats(&[16, 8, 3, 3]), floats(&[16]), floats(&[8, 1, 3, 3]));
    let (wide, same, half) = (
        floats(&[1, 16, 38, 38]),
        floats(&[1, 8, 38, 38]),
        floats(&[1, 8, 20, 20]),
    );
    let offsets = floats(&[1, 18, 38, 38]);
    let (a, b, c) = (floats(&[70, 90]), floats(&[90, 50]), floats(&[70, 50]));
    let (w, y) = (floats(&[50, 90]), floats(&[70, 50]));
    let (rows, odd) = (floats(&[90, 1000]), floats(&[90, 1000]));
    let [bytes, blurred] = [0; 2].map(|_| array(OMMA_DTYPE_UINT, 8, &[60, 80, 3]));
    let (small, planes) = (
        array(OMMA_DTYPE_UINT, 8, &[33, 41, 3]),
        floats(&[3, 48, 48]),
    );
    let mut warped: OmmaWarpAffineParams = params();
    warped.matrix = [0.9, 0.2, 3.0, -0.2, 0.9, 5.0];
    let mut seen: OmmaWarpPerspectiveParams = params();
    seen.matrix = [0.9, 0.2, 3.0, -0.2, 0.9, 5.0, 0.001, 0.001, 1.0];
    let [mut aslant, mut quarter] = [params::<OmmaRotateParams>(); 2];
    (aslant.degrees, quarter.degrees) = (30.0, 90.0);
    // Samples of a pixel that are apart are packed, and unpacked.
    let [planar, unpacked] = [0; 2].map(|_| {
        let mut t = array(OMMA_DTYPE_UINT, 8, &[60, 80, 3]);
        t.tensor.strides = [80, 1, 4800].map(i64::from).to_vec().leak().as_ptr();
        t
    });
    let upright = array(OMMA_DTYPE_UINT, 8, &[80, 60, 3]);
    let (map, looked) = (floats(&[60, 80]), floats(&[1, 8, 20, 20]));
    let places = floats(&[1, 20, 20, 2]);
    let (heads, attended) = (floats(&[2, 4, 200, 32]), floats(&[2, 4, 200, 32]));
    let (query, long, answer) = (
        floats(&[1, 2, 1, 16]),
        floats(&[1, 2, 3000, 16]),
        floats(&[1, 2, 1, 16]),
    );
    let (boxes, scores) = (floats(&[500, 4]), floats(&[500]));
    let classes = array(OMMA_DTYPE_INT, 64, &[500]);
    let (kept, iou) = (array(OMMA_DTYPE_INT, 64, &[500]), floats(&[500, 500]));
    let (few, bins, few_bins) = (
        floats(&[3, 5]),
        floats(&[500, 8, 2, 2]),
        floats(&[3, 8, 2, 2]),
    );
    let argmax = array(OMMA_DTYPE_INT, 32, &[500, 8, 2, 2]);
    let gradient = floats(&[1, 8, 40, 40]);
    let mut align: OmmaRoiAlignParams = params();
    align.output_size = [2, 2];
    let mut roi_pool: OmmaRoiPoolParams = params();
    roi_pool.output_size = [2, 2];
    let (solids, corners) = (floats(&[100, 6]), floats(&[500, 4]));
    let (solid_iou, lowered) = (floats(&[100, 100]), floats(&[500]));
    let (stacks, stack_scores) = (floats(&[2, 250, 4]), floats(&[2, 250]));
    let (per_stack, stack_counts) = (
        array(OMMA_DTYPE_INT, 64, &[2, 250]),
        array(OMMA_DTYPE_INT, 64, &[2]),
    );
    let head = floats(&[1, 20, 500]);
    let mut pool: OmmaMaxPool2dParams = params();
    (pool.kernel_size, pool.stride) = ([2, 2], [2, 2]);
    let mut avg: OmmaAvgPool2dParams = params();
    (avg.kernel_size, avg.stride) = ([2, 2], [2, 2]);
    let mut grouped: OmmaConv2dParams = params();
    grouped.groups = 8;
    let mut nms: OmmaNmsParams = params();
    nms.iou_threshold = 0.5;
    let mut convert: OmmaBoxConvertParams = params();
    convert.out_fmt = OMMA_BOX_CXCYWH;
    let mut decode: OmmaYoloDecodeParams = params();
    decode.score_threshold = 0.5;
    let mut matrix: OmmaMatrixNmsParams = params();
    matrix.method = OMMA_MATRIX_NMS_GAUSSIAN;
    let mut area: OmmaResizeParams = params();
    area.interpolation = OMMA_INTERPOLATION_AREA;
    let mut cubic: OmmaResizeParams = params();
    cubic.interpolation = OMMA_INTERPOLATION_CUBIC;
    cubic.flags = OMMA_RESIZE_ANTIALIAS;
    let medians = [5, 11].map(|ksize| {
        let mut median: OmmaMedianBlurParams = params();
        median.ksize = ksize;
        median
    });
    let mut axis: OmmaSoftmaxParams = params();
    (axis.flags, axis.axis) = (OMMA_SOFTMAX_AXIS, 0);

    let (points, centroids) = (floats(&[500, 20]), floats(&[7, 20]));
    let (transposed_points, nearest) = (floats(&[20, 500]), array(OMMA_DTYPE_INT, 64, &[500]));
    let (apart, sums) = (floats(&[500, 7]), array(OMMA_DTYPE_FLOAT, 64, &[7, 20]));
    let counts = array(OMMA_DTYPE_FLOAT, 64, &[7]);
    let means = floats(&[7, 20]);
    let integers = |shape: &[i64]| array(OMMA_DTYPE_INT, 64, shape);
    let (nearby, nearby_apart) = (integers(&[500, 3]), floats(&[500, 3]));
    let (pairs, apart_once) = (integers(&[500, 2]), floats(&[500]));
    let (modes, pair_rows, pair_cols) = (floats(&[500, 20]), integers(&[20]), integers(&[20]));
    let mut shift: OmmaMeanShiftParams = params();
    shift.bandwidth = 1.0;
    let columns = {
        let mut t = floats(&[500, 20]);
        t.tensor.data = transposed_points.tensor.data;
        t.tensor.strides = [1, 500].map(i64::from).to_vec().leak().as_ptr();
        t
    };

    let mut conv_plan = std::ptr::null_mut();
    let mut linear_plan = std::ptr::null_mut();
    let mut remap_plan = std::ptr::null_mut();
    let mut layer_plan = std::ptr::null_mut();
    let mut patch_plan = std::ptr::null_mut();
    let (tokens, encoded) = (floats(&[2, 70, 32]), floats(&[2, 70, 32]));
    let (joint, square, patches) = (floats(&[96, 32]), floats(&[32, 32]), floats(&[32, 8, 4, 5]));
    let positions = floats(&[1, 80, 32]);
    let mut mha: OmmaMultiHeadAttentionParams = params();
    mha.num_heads = 4;
    let mut encoder: OmmaTransformerEncoderLayerParams = params();
    encoder.num_heads = 4;
    let count = Cell::new(0i64);
    let none = null::<OmmaTensor>();
    // SAFETY: everything below points to the arrays above, whose shapes go together.
    unsafe {
        assert_eq!(
            omma_conv2d_create(
                context,
                null(),
                &weight.tensor,
                &bias.tensor,
                &mut conv_plan
            ),
            OMMA_OK
        );
        assert_eq!(
            omma_linear_create(context, null(), &w.tensor, none, &mut linear_plan),
            OMMA_OK
        );
        assert_eq!(
            omma_remap_create(context, null(), &map.tensor, &map.tensor, &mut remap_plan),
            OMMA_OK
        );
        let (j, s) = (&joint.tensor, &square.tensor);
        assert_eq!(
            omma_transformer_encoder_layer_create(
                context,
                &encoder,
                j,
                none,
                s,
                none,
                s,
                none,
                s,
                none,
                none,
                none,
                none,
                none,
                &mut layer_plan
            ),
            OMMA_OK
        );
        let p = &patches.tensor;
        assert_eq!(
            omma_patch_embedding_create(context, p, none, none, none, &mut patch_plan),
            OMMA_OK
        );
    }
    // SAFETY: as above, for all of them.
    let calls: Vec<Call<'_>> = unsafe {
        vec![
            (
                "relu",
                Box::new(|x| omma_relu(x, &image.tensor, &transposed.tensor)),
            ),
            (
                "gelu",
                Box::new(|x| omma_gelu(x, &rows.tensor, &odd.tensor)),
            ),
            (
                "softmax",
                Box::new(|x| omma_softmax(x, null(), &rows.tensor, &odd.tensor)),
            ),
            (
                "softmax axis 0",
                Box::new(|x| omma_softmax(x, &axis, &rows.tensor, &odd.tensor)),
            ),
            (
                "attention",
                Box::new(|x| {
                    let (t, y) = (&heads.tensor, &attended.tensor);
                    omma_attention(x, null(), t, t, t, none, y, none)
                }),
            ),
            (
                "attention, keys split",
                Box::new(|x| {
                    let (q, kv, y) = (&query.tensor, &long.tensor, &answer.tensor);
                    omma_attention(x, null(), q, kv, kv, none, y, none)
                }),
            ),
            (
                "transformer_encoder_layer plan",
                Box::new(|x| {
                    let (t, y) = (&tokens.tensor, &encoded.tensor);
                    omma_transformer_encoder_layer_run(x, layer_plan, t, none, y)
                }),
            ),
            (
                "multi_head_attention",
                Box::new(|x| {
                    let (t, w, y) = (&tokens.tensor, &square.tensor, &encoded.tensor);
                    omma_multi_head_attention(
                        x, &mha, t, t, t, w, none, w, none, w, none, w, none, none, y,
                    )
                }),
            ),
            (
                "patch_embedding plan",
                Box::new(|x| {
                    let (image, y) = (&image.tensor, &positions.tensor);
                    omma_patch_embedding_run(x, patch_plan, image, y)
                }),
            ),
            (
                "positional_encoding",
                Box::new(|x| omma_positional_encoding(x, &w.tensor)),
            ),
            (
                "layer_norm",
                Box::new(|x| {
                    let (t, y) = (&rows.tensor, &odd.tensor);
                    omma_layer_norm(x, null(), t, t, none, none, y, none)
                }),
            ),
            (
                "rms_norm",
                Box::new(|x| {
                    let (t, y) = (&transposed.tensor, &image.tensor);
                    omma_rms_norm(x, null(), t, none, none, y, none)
                }),
            ),
            (
                "max_pool2d",
                Box::new(|x| omma_max_pool2d(x, &pool, &image.tensor, &half.tensor, none)),
            ),
            (
                "avg_pool2d",
                Box::new(|x| omma_avg_pool2d(x, &avg, &transposed.tensor, &half.tensor)),
            ),
            (
                "conv2d",
                Box::new(|x| {
                    omma_conv2d(
                        x,
                        null(),
                        &image.tensor,
                        &weight.tensor,
                        none,
                        none,
                        &wide.tensor,
                    )
                }),
            ),
            (
                "depthwise",
                Box::new(|x| {
                    omma_conv2d(
                        x,
                        &grouped,
                        &image.tensor,
                        &depthwise.tensor,
                        none,
                        none,
                        &same.tensor,
                    )
                }),
            ),
            (
                "deform_conv2d",
                Box::new(|x| {
                    let (t, y) = (&image.tensor, &wide.tensor);
                    omma_deform_conv2d(x, null(), t, &offsets.tensor, &weight.tensor, none, none, y)
                }),
            ),
            (
                "conv2d plan",
                Box::new(|x| omma_conv2d_run(x, conv_plan, &transposed.tensor, none, &wide.tensor)),
            ),
            (
                "matmul",
                Box::new(|x| omma_matmul(x, &a.tensor, &b.tensor, &c.tensor)),
            ),
            (
                "linear",
                Box::new(|x| omma_linear(x, null(), &a.tensor, &w.tensor, none, &y.tensor)),
            ),
            (
                "linear plan",
                Box::new(|x| omma_linear_run(x, linear_plan, &a.tensor, &y.tensor)),
            ),
            (
                "resize",
                Box::new(|x| omma_resize(x, null(), &bytes.tensor, &small.tensor)),
            ),
            (
                "resize area",
                Box::new(|x| omma_resize(x, &area, &bytes.tensor, &small.tensor)),
            ),
            (
                "resize cubic, antialias",
                Box::new(|x| omma_resize(x, &cubic, &bytes.tensor, &small.tensor)),
            ),
            (
                "median_blur",
                Box::new(|x| omma_median_blur(x, &medians[0], &bytes.tensor, &blurred.tensor)),
            ),
            (
                "median_blur, histograms",
                Box::new(|x| omma_median_blur(x, &medians[1], &bytes.tensor, &blurred.tensor)),
            ),
            (
                "image_to_tensor",
                Box::new(|x| omma_image_to_tensor(x, null(), &bytes.tensor, &planes.tensor)),
            ),
            (
                "warp_affine",
                Box::new(|x| omma_warp_affine(x, &warped, &bytes.tensor, &blurred.tensor)),
            ),
            (
                "warp_affine, planes",
                Box::new(|x| omma_warp_affine(x, &warped, &planar.tensor, &unpacked.tensor)),
            ),
            (
                "warp_perspective",
                Box::new(|x| omma_warp_perspective(x, &seen, &bytes.tensor, &blurred.tensor)),
            ),
            (
                "rotate",
                Box::new(|x| omma_rotate(x, &aslant, &bytes.tensor, &blurred.tensor)),
            ),
            (
                "rotate, a quarter",
                Box::new(|x| omma_rotate(x, &quarter, &bytes.tensor, &upright.tensor)),
            ),
            (
                "remap",
                Box::new(|x| {
                    let (from, m) = (&bytes.tensor, &map.tensor);
                    omma_remap(x, null(), from, m, m, &blurred.tensor)
                }),
            ),
            (
                "remap plan",
                Box::new(|x| omma_remap_run(x, remap_plan, &bytes.tensor, &blurred.tensor)),
            ),
            (
                "grid_sample",
                Box::new(|x| {
                    omma_grid_sample(x, null(), &image.tensor, &places.tensor, &looked.tensor)
                }),
            ),
            (
                "box_iou",
                Box::new(|x| omma_box_iou(x, null(), &boxes.tensor, &boxes.tensor, &iou.tensor)),
            ),
            (
                "pairwise_distance",
                Box::new(|x| {
                    let (t, c) = (&columns.tensor, &centroids.tensor);
                    omma_pairwise_distance(x, null(), t, c, none, &apart.tensor)
                }),
            ),
            (
                "knn",
                Box::new(|x| {
                    let (p, found, to) = (&points.tensor, &nearby.tensor, &nearby_apart.tensor);
                    omma_knn(x, null(), p, p, none, found, to)
                }),
            ),
            (
                "match_descriptors",
                Box::new(|x| {
                    let (p, to) = (&points.tensor, &apart_once.tensor);
                    let mut count = 0;
                    omma_match_descriptors(x, null(), p, p, &pairs.tensor, to, &mut count)
                }),
            ),
            (
                "mean_shift",
                Box::new(|x| {
                    let (p, to, mut count) = (&points.tensor, &modes.tensor, 0);
                    omma_mean_shift(x, &shift, p, none, &nearest.tensor, to, &mut count)
                }),
            ),
            (
                "linear_assignment",
                Box::new(|x| {
                    let (rows, cols) = (&pair_rows.tensor, &pair_cols.tensor);
                    let total = std::ptr::null_mut();
                    omma_linear_assignment(x, null(), &points.tensor, rows, cols, total)
                }),
            ),
            (
                "kmeans_assign",
                Box::new(|x| {
                    let (t, c) = (&columns.tensor, &centroids.tensor);
                    omma_kmeans_assign(x, t, c, &nearest.tensor, none)
                }),
            ),
            (
                "kmeans",
                Box::new(|x| {
                    let (t, to, c) = (&points.tensor, &nearest.tensor, &means.tensor);
                    let none_too = std::ptr::null_mut();
                    omma_kmeans(
                        x,
                        null(),
                        t,
                        none,
                        none,
                        to,
                        c,
                        none_too,
                        std::ptr::null_mut(),
                    )
                }),
            ),
            (
                "kmeans_accumulate",
                Box::new(|x| {
                    let (t, c) = (&points.tensor, &centroids.tensor);
                    let (s, n) = (&sums.tensor, &counts.tensor);
                    omma_kmeans_accumulate(x, t, c, none, s, n, none, std::ptr::null_mut())
                }),
            ),
            (
                "kmeans_update",
                Box::new(|x| {
                    let (s, n, c) = (&sums.tensor, &counts.tensor, &centroids.tensor);
                    omma_kmeans_update(x, s, n, c, &means.tensor, std::ptr::null_mut())
                }),
            ),
            (
                "roi_align",
                Box::new(|x| {
                    let (rois, images) = (&boxes.tensor, &classes.tensor);
                    omma_roi_align(x, &align, &image.tensor, rois, images, &bins.tensor)
                }),
            ),
            (
                "roi_align of few",
                Box::new(|x| {
                    let out = &few_bins.tensor;
                    omma_roi_align(x, &align, &image.tensor, &few.tensor, none, out)
                }),
            ),
            (
                "roi_align_backward",
                Box::new(|x| {
                    let (dy, dx) = (&few_bins.tensor, &gradient.tensor);
                    omma_roi_align_backward(x, &align, dy, &few.tensor, none, none, dx)
                }),
            ),
            (
                "roi_pool",
                Box::new(|x| {
                    let (rois, images, map) = (&boxes.tensor, &classes.tensor, &image.tensor);
                    let (out, at) = (&bins.tensor, &argmax.tensor);
                    omma_roi_pool(x, &roi_pool, map, rois, images, out, at)
                }),
            ),
            (
                "roi_pool_backward",
                Box::new(|x| {
                    let (rois, images, dy) = (&boxes.tensor, &classes.tensor, &bins.tensor);
                    let (at, dx) = (&argmax.tensor, &gradient.tensor);
                    omma_roi_pool_backward(x, &roi_pool, dy, rois, images, at, dx)
                }),
            ),
            (
                "nms",
                Box::new(|x| {
                    omma_nms(
                        x,
                        &nms,
                        &boxes.tensor,
                        &scores.tensor,
                        &kept.tensor,
                        count.as_ptr(),
                    )
                }),
            ),
            (
                "batched_nms",
                Box::new(|x| {
                    omma_batched_nms(
                        x,
                        &nms,
                        &boxes.tensor,
                        &scores.tensor,
                        &classes.tensor,
                        &kept.tensor,
                        count.as_ptr(),
                    )
                }),
            ),
            (
                "box_iou_3d",
                Box::new(|x| omma_box_iou_3d(x, &solids.tensor, &solids.tensor, &solid_iou.tensor)),
            ),
            (
                "box_convert",
                Box::new(|x| omma_box_convert(x, &convert, &boxes.tensor, &corners.tensor)),
            ),
            (
                "soft_nms",
                Box::new(|x| {
                    omma_soft_nms(
                        x,
                        null(),
                        &boxes.tensor,
                        &scores.tensor,
                        &kept.tensor,
                        &lowered.tensor,
                        count.as_ptr(),
                    )
                }),
            ),
            (
                "matrix_nms",
                Box::new(|x| {
                    omma_matrix_nms(
                        x,
                        &matrix,
                        &boxes.tensor,
                        &scores.tensor,
                        &classes.tensor,
                        &kept.tensor,
                        &lowered.tensor,
                        count.as_ptr(),
                    )
                }),
            ),
            (
                "nms_per_image",
                Box::new(|x| {
                    omma_nms_per_image(
                        x,
                        &nms,
                        &stacks.tensor,
                        &stack_scores.tensor,
                        none,
                        &per_stack.tensor,
                        &stack_counts.tensor,
                    )
                }),
            ),
            (
                "yolo_decode",
                Box::new(|x| {
                    omma_yolo_decode(
                        x,
                        &decode,
                        &head.tensor,
                        none,
                        &corners.tensor,
                        &lowered.tensor,
                        &kept.tensor,
                        none,
                        none,
                        count.as_ptr(),
                    )
                }),
            ),
        ]
    };
    let mut faults = Vec::new();
    for (name, call) in &calls {
        // A context of its own: what the others left in the scratch must not matter.
        let mut context = std::ptr::null_mut();
        // SAFETY: valid pointers.
        let made = unsafe { omma_context_create(&options, &mut context) };
        assert_eq!(made, OMMA_OK);
        assert_eq!(call(context), OMMA_OK, "{name}");
        ALLOCATIONS.store(0, Ordering::Relaxed);
        COUNTING.set(true);
        let status = call(context);
        COUNTING.set(false);
        assert_eq!(status, OMMA_OK, "{name}");
        match ALLOCATIONS.load(Ordering::Relaxed) {
            0 => {}
            n => faults.push(format!("{name}: {n}")),
        }
        // SAFETY: made above, not used any more.
        unsafe { omma_context_destroy(context) };
    }
    assert!(
        faults.is_empty(),
        "allocations of a second call: {faults:?}"
    );
    // SAFETY: made above, not used any more.
    unsafe {
        omma_conv2d_destroy(conv_plan);
        omma_linear_destroy(linear_plan);
        omma_remap_destroy(remap_plan);
        omma_transformer_encoder_layer_destroy(layer_plan);
        omma_patch_embedding_destroy(patch_plan);
        omma_context_destroy(context);
    }
}
