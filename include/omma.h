/* omma: SIMD CPU kernels for computer vision and deep learning.
 *
 * Generated from src/capi by `make header`; changes made here are lost.
 *
 * Every function that can fail returns an OmmaStatus; omma_last_error() says what was wrong.
 * On any error no output is touched. A NULL context runs on the calling thread alone; NULL
 * params are all defaults. Errors, never crashes, answer wrong arguments; pointers must be valid. */

#ifndef OMMA_H
#define OMMA_H

#include <stddef.h>
#include <stdint.h>

/* Params and options begin with their own size; every other field that is zero is a default:
 *
 *     OmmaContextOptions options = OMMA_INIT(OmmaContextOptions);
 *     options.num_threads = 4; */
#ifdef __cplusplus
template <typename T> inline T omma_init_()
{
    T value = T();
    value.struct_size = sizeof(T);
    return value;
}
#define OMMA_INIT(type) omma_init_<type>()
#else
#define OMMA_INIT(type) {.struct_size = sizeof(type)}
#endif

/** `x` */
#define OMMA_ACTIVATION_NONE 0

/** `max(x, 0)` */
#define OMMA_ACTIVATION_RELU 1

/** `min(max(x, 0), 6)` */
#define OMMA_ACTIVATION_RELU6 2

/** `x` if positive, else `negative_slope * x` */
#define OMMA_ACTIVATION_LEAKY_RELU 3

/** `x` if positive, else `slope * x` with a slope for each channel */
#define OMMA_ACTIVATION_PRELU 4

/** `1 / (1 + exp(-x))` */
#define OMMA_ACTIVATION_SIGMOID 5

/** Hyperbolic tangent */
#define OMMA_ACTIVATION_TANH 6

/** `x * sigmoid(x)` */
#define OMMA_ACTIVATION_SILU 7

/** `x * relu6(x + 3) / 6` */
#define OMMA_ACTIVATION_HARDSWISH 8

/** `x / 2 * (1 + erf(x / sqrt(2)))` */
#define OMMA_ACTIVATION_GELU 9

/** `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))` */
#define OMMA_ACTIVATION_GELU_TANH 10

/** In `OmmaAttentionParams::flags`: a query sees the keys up to its own place plus `causal_offset`. */
#define OMMA_ATTENTION_CAUSAL 1

/** In `OmmaAttentionParams::flags`: `scale` is set. */
#define OMMA_ATTENTION_SCALE 2

/** Two corners: x1, y1, x2, y2. */
#define OMMA_BOX_XYXY 0

/** A corner and the size: x1, y1, width, height. */
#define OMMA_BOX_XYWH 1

/** The centre and the size: cx, cy, width, height. */
#define OMMA_BOX_CXCYWH 2

/** Two opposite corners in any order. */
#define OMMA_BOX_CORNERS 3

/** Intersection over union. */
#define OMMA_IOU 0

/** Generalised IoU: less the share of the hull that neither box covers. */
#define OMMA_GIOU 1

/** Distance IoU: less the squared distance of the centres over that of the hull's corners. */
#define OMMA_DIOU 2

/** Complete IoU: distance IoU less a term for differing aspect ratios. */
#define OMMA_CIOU 3

/** The fastest tier that the CPU has. */
#define OMMA_ISA_DEFAULT 0

/** The baseline instruction set of the architecture. */
#define OMMA_ISA_PORTABLE 1

/** aarch64 Advanced SIMD. */
#define OMMA_ISA_NEON 2

/** x86-64 with AVX2, FMA and F16C. */
#define OMMA_ISA_AVX2 3

/** x86-64 with AVX-512 F, BW, CD, DQ and VL. */
#define OMMA_ISA_AVX512 4

/** The fastest for the shape. */
#define OMMA_CONV_AUTO 0

/** A matrix product that gathers the receptive fields while it runs. */
#define OMMA_CONV_IMPLICIT_GEMM 1

/** Register tiles that read the image itself, or a padded piece of it. */
#define OMMA_CONV_DIRECT 2

/**
 * Tiles of 4 x 4 outputs with a fourth of the multiplications, for windows of 3 x 3 with stride and
 * dilation 1 (others: `OMMA_UNSUPPORTED`). Its rounding error is two to three times that of a plain sum,
 * and a NaN or infinity spreads over the tiles that see it. `OMMA_CONV_AUTO` includes it; the two
 * above do without.
 */
#define OMMA_CONV_WINOGRAD 3

/** Bilinear. */
#define OMMA_INTERPOLATION_LINEAR 0

/** The value of one pixel. */
#define OMMA_INTERPOLATION_NEAREST 1

/** Bicubic: OpenCV's `INTER_CUBIC`; with antialias torch's and Pillow's. */
#define OMMA_INTERPOLATION_CUBIC 2

/** The mean over the area of the destination pixel: OpenCV's `INTER_AREA`. */
#define OMMA_INTERPOLATION_AREA 3

/** OpenCV's: asymmetric for nearest, half pixel for all others. */
#define OMMA_COORDINATES_DEFAULT 0

/** `(d + 1/2) scale - 1/2`: the borders of both images coincide. */
#define OMMA_COORDINATES_HALF_PIXEL 1

/** `d (source - 1) / (destination - 1)`: the corner pixels coincide. */
#define OMMA_COORDINATES_ALIGN_CORNERS 2

/** `d scale`: the first pixels coincide. */
#define OMMA_COORDINATES_ASYMMETRIC 3

/** A flag of `OmmaResizeParams`: widen the kernel when the image shrinks. For linear and cubic. */
#define OMMA_RESIZE_ANTIALIAS 1

/** A flag of `OmmaImageToTensorParams`: exchange the first and the third channel. */
#define OMMA_IMAGE_SWAP_RB 1

/** A flag of `OmmaImageToTensorParams`: keep the proportions, and pad. */
#define OMMA_IMAGE_LETTERBOX 2

/** A flag of `OmmaImageToTensorParams`: `pad_value` is set. */
#define OMMA_IMAGE_PAD_VALUE 4

/** A flag of `OmmaImageToTensorParams`: widen the kernel when the image shrinks. For linear and cubic. */
#define OMMA_IMAGE_ANTIALIAS 8

/** Euclidean distance, `sqrt(Σ (a - b)²)`. */
#define OMMA_METRIC_EUCLIDEAN 0

/** Squared Euclidean distance, `Σ (a - b)²`. */
#define OMMA_METRIC_SQUARED_EUCLIDEAN 1

/** Cosine distance, `1 - a · b / (|a| |b|)`; a row of zeros has distance 1 from everything. */
#define OMMA_METRIC_COSINE 2

/** Inner product, `a · b`: not a distance, the larger the nearer. */
#define OMMA_METRIC_INNER_PRODUCT 3

/** Manhattan distance, `Σ |a - b|`. */
#define OMMA_METRIC_MANHATTAN 4

/** Mahalanobis distance, `sqrt((a - b)ᵀ C⁻¹ (a - b))` with a covariance C. */
#define OMMA_METRIC_MAHALANOBIS 5

/** Each centroid is the best of several points drawn by their squared distance from those so far. */
#define OMMA_KMEANS_PLUS_PLUS 0

/** Rows at random. */
#define OMMA_KMEANS_RANDOM 1

/** `tolerance` is set: without the flag it is 1e-4. */
#define OMMA_KMEANS_TOLERANCE 1

/** An anchor is the median of the widths and that of the heights. */
#define OMMA_ANCHORS_MEDIAN 0

/** An anchor is the mean of its boxes. */
#define OMMA_ANCHORS_MEAN 1

/** Images (N, C, H, W), weights (O, C / groups, KH, KW). */
#define OMMA_LAYOUT_NCHW 0

/** Images (N, H, W, C), weights (O, KH, KW, C / groups). */
#define OMMA_LAYOUT_NHWC 1

/** Points within the bandwidth count as one. */
#define OMMA_MEAN_SHIFT_FLAT 0

/** A point at distance r counts as `exp(-r² / (2 bandwidth²))`, as nothing from 8 bandwidths on. */
#define OMMA_MEAN_SHIFT_GAUSSIAN 1

/** In `flags`: seeds are the places of a lattice, one bandwidth apart, that points round to. */
#define OMMA_MEAN_SHIFT_BIN_SEEDING 1

/** In `flags`: points farther than the bandwidth from every centre get the label -1. */
#define OMMA_MEAN_SHIFT_ORPHANS 2

/** Beyond the border lies the nearest pixel. */
#define OMMA_MEDIAN_BORDER_REPLICATE 0

/** Beyond the border everything is zero. */
#define OMMA_MEDIAN_BORDER_CONSTANT 1

/** In `flags`: `ratio` is set. */
#define OMMA_MATCH_RATIO 1

/** In `flags`: `max_distance` is set. */
#define OMMA_MATCH_MAX_DISTANCE 2

/** The intersection is divided by the union. */
#define OMMA_OVERLAP_UNION 0

/** The intersection is divided by the smaller of both areas. */
#define OMMA_OVERLAP_MIN 1

/** In `OmmaNmsParams::flags`: `score_threshold` is set. */
#define OMMA_NMS_SCORE_THRESHOLD 1

/** Soft suppression: `score *= 1 - iou` where `iou` is above the threshold. */
#define OMMA_SOFT_NMS_LINEAR 0

/** Soft suppression: `score *= exp(-iou² / sigma)`. */
#define OMMA_SOFT_NMS_GAUSSIAN 1

/** Soft suppression: `score = 0` where `iou` is above the threshold, as in the usual suppression. */
#define OMMA_SOFT_NMS_GREEDY 2

/** In `OmmaSoftNmsParams::flags`: `iou_threshold` is set. */
#define OMMA_SOFT_NMS_IOU_THRESHOLD 1

/** In `OmmaSoftNmsParams::flags`: `score_threshold` is set. */
#define OMMA_SOFT_NMS_SCORE_THRESHOLD 2

/** Matrix suppression: the factor of an overlap is `(1 - iou) / (1 - most)`. */
#define OMMA_MATRIX_NMS_LINEAR 0

/** Matrix suppression: the factor of an overlap is `exp(-sigma (iou² - most²))`. */
#define OMMA_MATRIX_NMS_GAUSSIAN 1

/** In `OmmaMatrixNmsParams::flags`: `score_threshold` is set. */
#define OMMA_MATRIX_NMS_SCORE_THRESHOLD 1

/** In `OmmaLeakyReluParams::flags`: `negative_slope` is set. */
#define OMMA_LEAKY_RELU_NEGATIVE_SLOPE 1

/** In `OmmaPreluParams::flags`: `axis` is set. */
#define OMMA_PRELU_AXIS 1

/** In `OmmaSoftmaxParams::flags`: `axis` is set. */
#define OMMA_SOFTMAX_AXIS 1

/** In `OmmaNormParams::flags`: `axis` is set. */
#define OMMA_NORM_AXIS 1

/** In `OmmaNormParams::flags`: `eps` is set. */
#define OMMA_NORM_EPS 2

/**
 * In the `flags` of a pooling operator: the output's size is rounded up. A last window that
 * would start in the padding behind the input is dropped, as in torch.
 */
#define OMMA_POOL_CEIL_MODE 1

/**
 * In the `flags` of `omma_avg_pool2d`: padding does not count for the mean
 * (torch's `count_include_pad=False`).
 */
#define OMMA_POOL_EXCLUDE_PAD 2

/** Bins are means of their samples; samples outside of the map count, as 0. */
#define OMMA_ROI_ALIGN_AVG 0

/** Bins are the largest of all `weight * pixel` of the four pixels of each sample: ONNX's `mode="max"`. */
#define OMMA_ROI_ALIGN_MAX 1

/** Bins are the largest of their samples. */
#define OMMA_ROI_ALIGN_MAX_SAMPLE 2

/**
 * In `OmmaRoiAlignParams::flags`: coordinates are those of corners of pixels, so that half a pixel is
 * subtracted. Otherwise they are those of centres, and a RoI is one pixel long and wide at least.
 */
#define OMMA_ROI_ALIGN_ALIGNED 1

/** Major version of this header; the soname follows it. */
#define OMMA_VERSION_MAJOR 0

/** Minor version of this header. */
#define OMMA_VERSION_MINOR 1

/** Patch version of this header. */
#define OMMA_VERSION_PATCH 0

/** Main memory. */
#define OMMA_DEVICE_CPU 1

/** Signed integer. */
#define OMMA_DTYPE_INT 0

/** Unsigned integer. */
#define OMMA_DTYPE_UINT 1

/** IEEE floating point. */
#define OMMA_DTYPE_FLOAT 2

/** Truth value in a byte. */
#define OMMA_DTYPE_BOOL 6

/**
 * In `OmmaTransformerEncoderLayerParams::flags`: normalizes what goes into attention and feed-forward,
 * instead of the sums that come out.
 */
#define OMMA_ENCODER_LAYER_NORM_FIRST 1

/** In `OmmaTransformerEncoderLayerParams::flags`: a row sees itself and those before it. */
#define OMMA_ENCODER_LAYER_CAUSAL 2

/** In `OmmaTransformerEncoderLayerParams::flags`: `eps` is set. */
#define OMMA_ENCODER_LAYER_EPS 4

/** Outside of an image `abcd` is a value: `vv|abcd|vv`. */
#define OMMA_BORDER_CONSTANT 0

/** Outside of an image is its border: `aa|abcd|dd`. */
#define OMMA_BORDER_REPLICATE 1

/** Outside of an image it is mirrored, the border pixels twice: `ba|abcd|dc`. */
#define OMMA_BORDER_REFLECT 2

/** Outside of an image it is mirrored, the border pixels once: `cb|abcd|cb`. */
#define OMMA_BORDER_REFLECT_101 3

/** Outside of an image it is repeated: `cd|abcd|ab`. */
#define OMMA_BORDER_WRAP 4

/** A flag of warps: the matrix goes from output to image. OpenCV's `WARP_INVERSE_MAP`. */
#define OMMA_WARP_INVERSE 1

/** Outside of planes are zeros. */
#define OMMA_PADDING_ZEROS 0

/** Outside of planes are their border pixels. */
#define OMMA_PADDING_BORDER 1

/** Outside of planes they are mirrored, at their edges or, with aligned corners, at the centres of border pixels. */
#define OMMA_PADDING_REFLECTION 2

/** A flag of `OmmaGridSampleParams`: -1 and 1 are the centres of the corner pixels. */
#define OMMA_GRID_SAMPLE_ALIGN_CORNERS 1

/** A head (B, 4 + C, N): centre and size in pixels, class scores; as YOLOv8 and later are exported. */
#define OMMA_YOLO_V8 0

/** A head (B, N, 5 + C): centre and size in pixels, objectness, class scores; as YOLOv5 and v7 are exported. */
#define OMMA_YOLO_V5 1

/** A head (B, A (5 + C), H, W) or (B, A, H, W, 5 + C): the cells of a grid, with boxes as in YOLOv3. */
#define OMMA_YOLO_GRID_V3 2

/** A head (B, A (5 + C), H, W) or (B, A, H, W, 5 + C): the cells of a grid, with boxes as in YOLOv5 and v7. */
#define OMMA_YOLO_GRID_V5 3

/** Numbers of a grid are logits, those of other heads are probabilities. */
#define OMMA_YOLO_VALUES_DEFAULT 0

/** Objectness and class scores (of grids also offsets, and sizes of v5) have been through the sigmoid. */
#define OMMA_YOLO_PROBABILITIES 1

/** The same are still to go through the sigmoid. */
#define OMMA_YOLO_LOGITS 2

/** In `OmmaYoloDecodeParams::flags`: every class above the threshold is a detection, not only the best. */
#define OMMA_YOLO_MULTI_LABEL 1

/**
 * Threads, instruction set and scratch memory of a run of operators.
 *
 * Wherever a function takes a context, NULL means the calling thread alone:
 * no thread is started and nothing is kept. A context may be used by several
 * threads at once. After `fork` it works in the child, too.
 */
typedef struct OmmaContext OmmaContext;

/** A convolution whose weight is packed; see `omma_conv2d_create`. */
typedef struct OmmaConv2d OmmaConv2d;

/** A transposed convolution whose weight is packed; see `omma_conv_transpose2d_create`. */
typedef struct OmmaConvTranspose2d OmmaConvTranspose2d;

/** A feed-forward network with packed weights; see `omma_feed_forward_create`. */
typedef struct OmmaFeedForward OmmaFeedForward;

/** A linear layer whose weight is packed; see `omma_linear_create`. */
typedef struct OmmaLinear OmmaLinear;

/** Multi-head attention with packed weights; see `omma_multi_head_attention_create`. */
typedef struct OmmaMultiHeadAttention OmmaMultiHeadAttention;

/** A patch embedding with packed weights; see `omma_patch_embedding_create`. */
typedef struct OmmaPatchEmbedding OmmaPatchEmbedding;

/** Maps that are kept; see `omma_remap_create`. */
typedef struct OmmaRemap OmmaRemap;

/** An encoder layer with packed weights; see `omma_transformer_encoder_layer_create`. */
typedef struct OmmaTransformerEncoderLayer OmmaTransformerEncoderLayer;

/** What a function that can fail returns: `OMMA_OK` or the kind of failure. */
typedef int32_t OmmaStatus;

/** Which assignment is best. */
typedef struct OmmaLinearAssignmentParams {
    /** `sizeof(OmmaLinearAssignmentParams)`. */
    uint32_t struct_size;
    /** 0 for the least sum of costs, 1 for the largest. */
    int32_t maximize;
} OmmaLinearAssignmentParams;

/** Where the data of a tensor is: DLPack's `DLDevice`. */
typedef struct OmmaDevice {
    /** `OMMA_DEVICE_CPU`; pinned host memory of CUDA (3) and ROCm (11) is accepted too. */
    int32_t device_type;
    /** Not used. */
    int32_t device_id;
} OmmaDevice;

/** The type of an element: DLPack's `DLDataType`. */
typedef struct OmmaDataType {
    /** `OMMA_DTYPE_FLOAT`, `OMMA_DTYPE_INT`, `OMMA_DTYPE_UINT` or `OMMA_DTYPE_BOOL`. */
    uint8_t code;
    /** Bits of an element. */
    uint8_t bits;
    /** 1. */
    uint16_t lanes;
} OmmaDataType;

/**
 * A borrowed n-dimensional array, laid out exactly as DLPack's `DLTensor`, so
 * that a DLPack tensor is passed by a cast. Any strides are accepted, data
 * need not be aligned; an inner dimension that is not contiguous may cost a
 * packed copy. At most 8 dimensions.
 */
typedef struct OmmaTensor {
    /** The array; may be NULL when it has no elements. */
    void *data;
    /** Where `data` is. */
    struct OmmaDevice device;
    /** Number of dimensions. */
    int32_t ndim;
    /** The type of an element. */
    struct OmmaDataType dtype;
    /** Elements along each dimension. */
    const int64_t *shape;
    /** Distance of neighbours along each dimension in elements; NULL for compact row-major. */
    const int64_t *strides;
    /** Bytes from `data` to the first element. */
    uint64_t byte_offset;
} OmmaTensor;

/** Options of `omma_attention`; zero in a field is its default. */
typedef struct OmmaAttentionParams {
    /** `sizeof(OmmaAttentionParams)`. */
    uint32_t struct_size;
    /** `OMMA_ATTENTION_…`, combined by or. */
    uint32_t flags;
    /**
     * With `OMMA_ATTENTION_CAUSAL` query i sees key j if j <= i + `causal_offset`. 0 aligns the
     * first query with the first key; with the number of keys that a cache held before, new
     * queries are aligned with the new keys at its end. May be negative.
     */
    int64_t causal_offset;
    /** The factor of the products of queries and keys; 1 / sqrt(D) unless the flag is set. */
    float scale;
    /** c > 0 makes a logit x to c * tanh(x / c), before the mask; 0 does not. */
    float softcap;
} OmmaAttentionParams;

/** How overlap is measured. */
typedef struct OmmaBoxIouParams {
    /** `sizeof(OmmaBoxIouParams)`. */
    uint32_t struct_size;
    /** `OMMA_IOU`, `OMMA_GIOU`, `OMMA_DIOU` or `OMMA_CIOU`. */
    int32_t kind;
    /** An `OMMA_BOX_…`: what the four numbers of a box are. */
    int32_t format;
    /** 0, or 1 for boxes that end with their last pixel included (sides are `x2 - x1 + 1`). */
    int32_t offset;
} OmmaBoxIouParams;

/** From which format to which. */
typedef struct OmmaBoxConvertParams {
    /** `sizeof(OmmaBoxConvertParams)`. */
    uint32_t struct_size;
    /** An `OMMA_BOX_…`: what the boxes are. */
    int32_t in_fmt;
    /** An `OMMA_BOX_…`: what the output is; `OMMA_BOX_CORNERS` means `OMMA_BOX_XYXY`. */
    int32_t out_fmt;
} OmmaBoxConvertParams;

/** A task that a caller's `parallel_for` runs. */
typedef void (*OmmaTask)(void *arg, size_t index);

/**
 * A caller's way to run work on its own threads: calls `task(arg, index)` once
 * for every `index` below `count`, on any threads, and returns when all calls have.
 */
typedef void (*OmmaParallelFor)(void *user, size_t count, OmmaTask task, void *arg);

/** Returns `size` bytes aligned to `alignment` (a power of two), or NULL. */
typedef void *(*OmmaAllocate)(void *user, size_t size, size_t alignment);

/** Takes back what `OmmaAllocate` returned for this size and alignment. */
typedef void (*OmmaDeallocate)(void *user, void *ptr, size_t size, size_t alignment);

/** How to make a context; zero in a field is its default. */
typedef struct OmmaContextOptions {
    /** `sizeof(OmmaContextOptions)`. */
    uint32_t struct_size;
    /** Threads that work at once; 0 is the number of cores, 1 starts none. */
    int32_t num_threads;
    /**
     * An `OMMA_ISA_…`: the fastest tier to use. A tier that the CPU lacks is
     * an error. The environment variable `OMMA_MAX_ISA` (`portable`, `neon`,
     * `avx2`, `avx512`) lowers the tier of every context.
     */
    int32_t max_isa;
    /** 0. */
    uint32_t flags;
    /** The caller's threads in place of own ones; `num_threads` then says how many there are. */
    OmmaParallelFor parallel_for;
    /** Passed to `parallel_for`. */
    void *parallel_for_user;
    /** The caller's memory in place of the system's; set both or none. */
    OmmaAllocate allocate;
    /** Takes memory back. */
    OmmaDeallocate deallocate;
    /** Passed to `allocate` and `deallocate`. */
    void *allocator_user;
} OmmaContextOptions;

/** Options of a convolution; zero in a field is its default. */
typedef struct OmmaConv2dParams {
    /** `sizeof(OmmaConv2dParams)`. */
    uint32_t struct_size;
    /** An `OMMA_LAYOUT_…`: the order of axes of all arrays. */
    int32_t layout;
    /** Steps of the window, vertical and horizontal; 0 is 1. */
    int32_t stride[2];
    /** Zeros around the image: top, bottom, left, right. */
    int32_t padding[4];
    /** Distance of the window's taps, vertical and horizontal; 0 is 1. */
    int32_t dilation[2];
    /** Groups of channels that do not see one another; 0 is 1. */
    int32_t groups;
    /** An `OMMA_ACTIVATION_…`, applied after bias and residual. */
    int32_t activation;
    /** The factor of `OMMA_ACTIVATION_LEAKY_RELU`; 0 is 0.01. */
    float negative_slope;
    /** An `OMMA_CONV_…`: how to compute. */
    int32_t algorithm;
    /** The factors of `OMMA_ACTIVATION_PRELU`, of shape (1,) or (O,); else NULL. */
    const struct OmmaTensor *activation_slope;
} OmmaConv2dParams;

/** Options of a transposed convolution; zero in a field is its default. */
typedef struct OmmaConvTranspose2dParams {
    /** `sizeof(OmmaConvTranspose2dParams)`. */
    uint32_t struct_size;
    /** An `OMMA_LAYOUT_…`: the order of axes of all arrays. */
    int32_t layout;
    /** Distance of the input's pixels in the output, vertical and horizontal; 0 is 1. */
    int32_t stride[2];
    /** What is cut off the output: top, bottom, left, right. */
    int32_t padding[4];
    /** Rows and columns added at the bottom and on the right; less than `stride` or `dilation`. */
    int32_t output_padding[2];
    /** Distance of the window's taps, vertical and horizontal; 0 is 1. */
    int32_t dilation[2];
    /** Groups of channels that do not see one another; 0 is 1. */
    int32_t groups;
    /** An `OMMA_ACTIVATION_…`, applied after the bias. */
    int32_t activation;
    /** The factor of `OMMA_ACTIVATION_LEAKY_RELU`; 0 is 0.01. */
    float negative_slope;
    /** Not used; 0. */
    int32_t reserved;
    /** The factors of `OMMA_ACTIVATION_PRELU`, of shape (1,) or (O,); else NULL. */
    const struct OmmaTensor *activation_slope;
} OmmaConvTranspose2dParams;

/** Options of a deformable convolution; zero in a field is its default. */
typedef struct OmmaDeformConv2dParams {
    /** `sizeof(OmmaDeformConv2dParams)`. */
    uint32_t struct_size;
    /** Steps of the window, vertical and horizontal; 0 is 1. */
    int32_t stride[2];
    /** Zeros around the image: top, bottom, left, right. */
    int32_t padding[4];
    /** Distance of the window's taps before they are moved, vertical and horizontal; 0 is 1. */
    int32_t dilation[2];
} OmmaDeformConv2dParams;

/** Options of `omma_fold_batch_norm`; zero in a field is its default. */
typedef struct OmmaFoldBatchNormParams {
    /** `sizeof(OmmaFoldBatchNormParams)`. */
    uint32_t struct_size;
    /** Added to the variances; 0 is 1e-5. */
    float eps;
} OmmaFoldBatchNormParams;

/** Options of `omma_merge_parallel_conv2d`; zero in a field is its default. */
typedef struct OmmaMergeParallelConv2dParams {
    /** `sizeof(OmmaMergeParallelConv2dParams)`. */
    uint32_t struct_size;
    /** An `OMMA_LAYOUT_…`: the order of axes of the weights. */
    int32_t layout;
} OmmaMergeParallelConv2dParams;

/** Options of `omma_merge_conv2d_avg_pool2d`. */
typedef struct OmmaMergeConv2dAvgPool2dParams {
    /** `sizeof(OmmaMergeConv2dAvgPool2dParams)`. */
    uint32_t struct_size;
    /** An `OMMA_LAYOUT_…`: the order of axes of the weights. */
    int32_t layout;
    /** The window of the pooling; required. */
    int32_t kernel_size[2];
    /** The stride of the convolution; 0 is 1. */
    int32_t stride[2];
} OmmaMergeConv2dAvgPool2dParams;

/** A layer with a window, along one axis. */
typedef struct OmmaWindow {
    /** Taps. */
    uint32_t kernel;
    /** Inputs from output to output; 0 is 1. */
    uint32_t stride;
    /** Zeros before the input. */
    uint32_t padding;
    /** Distance of the taps; 0 is 1. */
    uint32_t dilation;
} OmmaWindow;

/** What an output of a stack of layers sees of the input of the first, along one axis. */
typedef struct OmmaReceptiveField {
    /** Inputs that an output sees, from the first to the last. */
    int64_t size;
    /** Inputs from the field of an output to that of the next. */
    int64_t stride;
    /** The first input that the first output sees; negative in the padding. */
    int64_t start;
} OmmaReceptiveField;

/** Options of `omma_resize`; zero in a field is its default. */
typedef struct OmmaResizeParams {
    /** `sizeof(OmmaResizeParams)`. */
    uint32_t struct_size;
    /** An `OMMA_INTERPOLATION_…`; 0 is linear. */
    int32_t interpolation;
    /** An `OMMA_COORDINATES_…`. */
    int32_t coordinates;
    /** `OMMA_RESIZE_…` flags. */
    uint32_t flags;
} OmmaResizeParams;

/**
 * Options of `omma_image_to_tensor`; zero in a field is its default. A sample `v` becomes
 * `(v * scale - mean) / std`, with `mean` and `std` in the order of the output's channels.
 */
typedef struct OmmaImageToTensorParams {
    /** `sizeof(OmmaImageToTensorParams)`. */
    uint32_t struct_size;
    /** `OMMA_IMAGE_…` flags. */
    uint32_t flags;
    /** An `OMMA_LAYOUT_…` of the output: (C, H, W), or (H, W, C) for `OMMA_LAYOUT_NHWC`. */
    int32_t layout;
    /** An `OMMA_COORDINATES_…`. */
    int32_t coordinates;
    /** Multiplies samples. 0: 1/255 for bytes, 1 for floats. */
    float scale;
    /** With `OMMA_IMAGE_PAD_VALUE`: the padding of a letterbox, in units of the image (before `scale`). Else it is 114. */
    float pad_value;
    /** Subtracted from the scaled sample. */
    float mean[4];
    /** What is left is divided by this. 0 is 1. */
    float std[4];
    /** An `OMMA_INTERPOLATION_…`, when the size changes; not nearest. */
    int32_t interpolation;
} OmmaImageToTensorParams;

/**
 * Where an image lands in a frame of other proportions. A point of the frame is
 * `((x - left) / scale_x, (y - top) / scale_y)` in the image, borders of pixels being integers.
 */
typedef struct OmmaLetterbox {
    /** Rows above the image. */
    int64_t top;
    /** Columns left of the image. */
    int64_t left;
    /** Height of the image in the frame. */
    int64_t height;
    /** Width of the image in the frame. */
    int64_t width;
    /** Height of the image in the frame over its own height. */
    double scale_y;
    /** Width of the image in the frame over its own width. */
    double scale_x;
} OmmaLetterbox;

/** Which distance. */
typedef struct OmmaPairwiseDistanceParams {
    /** `sizeof(OmmaPairwiseDistanceParams)`. */
    uint32_t struct_size;
    /** An `OMMA_METRIC_…`. */
    int32_t metric;
} OmmaPairwiseDistanceParams;

/** Where a clustering stands, after an iteration. */
typedef struct OmmaKmeansProgress {
    /** The run, from 0. */
    int64_t run;
    /** Iterations of this run so far, from 1. */
    int64_t iteration;
    /** Points whose label changed in it. */
    int64_t changed;
    /** The sum of weight times squared distance from the centroids that it began with. */
    double inertia;
    /** The sum of the squared distances by which the centroids moved. */
    double moved;
} OmmaKmeansProgress;

/** Is told how a clustering goes, on the calling thread; other than 0 ends it as it stands. */
typedef int32_t (*OmmaKmeansCallback)(void *user, const struct OmmaKmeansProgress *progress);

/** How to cluster; zero in a field is its default. */
typedef struct OmmaKmeansParams {
    /** `sizeof(OmmaKmeansParams)`. */
    uint32_t struct_size;
    /** `OMMA_KMEANS_TOLERANCE` or 0. */
    uint32_t flags;
    /** `OMMA_KMEANS_PLUS_PLUS` or `OMMA_KMEANS_RANDOM`: where centroids begin, when they are not given. */
    int32_t init;
    /** 0. */
    int32_t reserved;
    /** The most iterations of a run; 0 is 300. */
    int64_t max_iterations;
    /** Runs from different starts, of which the one with the least inertia counts; 0 is 1. */
    int64_t n_init;
    /** Of the random numbers. */
    uint64_t seed;
    /**
     * A run ends when the squared distances by which the centroids moved sum up to no more
     * than that times the mean variance of the columns. Needs `OMMA_KMEANS_TOLERANCE`; 0: when no
     * label changes.
     */
    double tolerance;
    /** Called after each iteration, or NULL. It costs an iteration the distances of all points. */
    OmmaKmeansCallback callback;
    /** Passed to `callback`. */
    void *callback_user;
} OmmaKmeansParams;

/** How anchors are found; zero in a field is its default. */
typedef struct OmmaKmeansAnchorsParams {
    /** `sizeof(OmmaKmeansAnchorsParams)`. */
    uint32_t struct_size;
    /** `OMMA_ANCHORS_MEDIAN` or `OMMA_ANCHORS_MEAN`. */
    int32_t average;
    /** The most iterations; 0 is 300. */
    int64_t max_iterations;
    /** Of the random numbers. */
    uint64_t seed;
} OmmaKmeansAnchorsParams;

/** Options of a linear layer; zero in a field is its default. */
typedef struct OmmaLinearParams {
    /** `sizeof(OmmaLinearParams)`. */
    uint32_t struct_size;
    /** An `OMMA_ACTIVATION_…` other than `OMMA_ACTIVATION_PRELU`, applied after the bias. */
    int32_t activation;
    /** The factor of `OMMA_ACTIVATION_LEAKY_RELU`; 0 is 0.01. */
    float negative_slope;
    /** 0. */
    uint32_t flags;
} OmmaLinearParams;

/** How to look for modes. */
typedef struct OmmaMeanShiftParams {
    /** `sizeof(OmmaMeanShiftParams)`. */
    uint32_t struct_size;
    /** A sum of `OMMA_MEAN_SHIFT_BIN_SEEDING` and `OMMA_MEAN_SHIFT_ORPHANS`, or 0. */
    uint32_t flags;
    /** The radius of the flat kernel, the standard deviation of the Gaussian one; positive. */
    double bandwidth;
    /** `OMMA_MEAN_SHIFT_FLAT` or `OMMA_MEAN_SHIFT_GAUSSIAN`. */
    int32_t kernel;
    /** 0. */
    uint32_t reserved;
    /** Points that must round to a place of the lattice to make it a seed; 0 means 1. */
    int64_t min_bin_freq;
    /** A seed moves that often at most, and once more; 0 means 300. */
    int64_t max_iterations;
} OmmaMeanShiftParams;

/** Options of `omma_median_blur`. */
typedef struct OmmaMedianBlurParams {
    /** `sizeof(OmmaMedianBlurParams)`. */
    uint32_t struct_size;
    /** The side of the window: odd, from 1 to 32767. Required. */
    int32_t ksize;
    /** An `OMMA_MEDIAN_BORDER_…`; 0 is replicate. */
    int32_t border;
} OmmaMedianBlurParams;

/** Options of multi-head attention. `num_heads` is required, zero in another field is its default. */
typedef struct OmmaMultiHeadAttentionParams {
    /** `sizeof(OmmaMultiHeadAttentionParams)`. */
    uint32_t struct_size;
    /** `OMMA_ATTENTION_…`, combined by or. */
    uint32_t flags;
    /** Heads that the rows of queries are cut into. */
    int32_t num_heads;
    /** Heads that the rows of keys and values are cut into, a divisor of `num_heads`; 0 is `num_heads`. */
    int32_t num_kv_heads;
    /** As in `OmmaAttentionParams`. */
    int64_t causal_offset;
    /** As in `OmmaAttentionParams`. */
    float scale;
    /** As in `OmmaAttentionParams`. */
    float softcap;
} OmmaMultiHeadAttentionParams;

/** What is near. */
typedef struct OmmaKnnParams {
    /** `sizeof(OmmaKnnParams)`. */
    uint32_t struct_size;
    /** An `OMMA_METRIC_…`. */
    int32_t metric;
} OmmaKnnParams;

/** Which nearest neighbours are matches. */
typedef struct OmmaMatchDescriptorsParams {
    /** `sizeof(OmmaMatchDescriptorsParams)`. */
    uint32_t struct_size;
    /** A sum of `OMMA_MATCH_RATIO` and `OMMA_MATCH_MAX_DISTANCE`, or 0. */
    uint32_t flags;
    /** 1 for pairs alone that are each other's nearest; else 0. */
    int32_t cross_check;
    /** 0. */
    uint32_t reserved;
    /** With `OMMA_MATCH_RATIO`: only pairs closer than this times the distance of the second nearest; positive. */
    double ratio;
    /** With `OMMA_MATCH_MAX_DISTANCE`: only pairs no farther apart; not negative. */
    double max_distance;
} OmmaMatchDescriptorsParams;

/** How boxes suppress each other. */
typedef struct OmmaNmsParams {
    /** `sizeof(OmmaNmsParams)`. */
    uint32_t struct_size;
    /** 0 or `OMMA_NMS_SCORE_THRESHOLD`. */
    uint32_t flags;
    /** A box is suppressed when a better kept one overlaps it by more. Taken literally; not NaN. */
    double iou_threshold;
    /** With `OMMA_NMS_SCORE_THRESHOLD`: boxes whose score is not larger (or NaN) are left out. */
    double score_threshold;
    /** The most boxes to keep, 0 for no limit. */
    int64_t max_output;
    /** Only that many boxes with the best scores take part, 0 for all. */
    int64_t max_candidates;
    /** An `OMMA_BOX_…`: what the four numbers of a box are. */
    int32_t format;
    /** 0, or 1 for boxes that end with their last pixel included (sides are `x2 - x1 + 1`). */
    int32_t offset;
    /** `OMMA_OVERLAP_UNION` or `OMMA_OVERLAP_MIN`. */
    int32_t overlap;
    /** 0. */
    uint32_t reserved;
} OmmaNmsParams;

/** How overlap lowers scores one box after the other. */
typedef struct OmmaSoftNmsParams {
    /** `sizeof(OmmaSoftNmsParams)`. */
    uint32_t struct_size;
    /** A sum of `OMMA_SOFT_NMS_IOU_THRESHOLD` and `OMMA_SOFT_NMS_SCORE_THRESHOLD`, or 0. */
    uint32_t flags;
    /** `OMMA_SOFT_NMS_LINEAR`, `OMMA_SOFT_NMS_GAUSSIAN` or `OMMA_SOFT_NMS_GREEDY`. */
    int32_t method;
    /** Of the Gaussian, positive; 0 means 0.5. */
    float sigma;
    /** With `OMMA_SOFT_NMS_IOU_THRESHOLD`: overlap that does not matter but to the Gaussian; else 0.3. */
    double iou_threshold;
    /** With `OMMA_SOFT_NMS_SCORE_THRESHOLD`: boxes are dropped as soon as their score is below; else 0.001. */
    double score_threshold;
    /** The most boxes to keep, 0 for no limit. */
    int64_t max_output;
    /** An `OMMA_BOX_…`: what the four numbers of a box are. */
    int32_t format;
    /** 0, or 1 for boxes that end with their last pixel included (sides are `x2 - x1 + 1`). */
    int32_t offset;
} OmmaSoftNmsParams;

/** How overlap lowers all scores at once. */
typedef struct OmmaMatrixNmsParams {
    /** `sizeof(OmmaMatrixNmsParams)`. */
    uint32_t struct_size;
    /** 0 or `OMMA_MATRIX_NMS_SCORE_THRESHOLD`. */
    uint32_t flags;
    /** `OMMA_MATRIX_NMS_LINEAR` or `OMMA_MATRIX_NMS_GAUSSIAN`. */
    int32_t method;
    /** Of the Gaussian, positive; 0 means 2. */
    float sigma;
    /** With `OMMA_MATRIX_NMS_SCORE_THRESHOLD`: boxes whose score is not larger (or NaN) are left out. */
    double score_threshold;
    /** Boxes whose lowered score is not larger are left out of the result. */
    double post_threshold;
    /** The most boxes to keep, 0 for no limit. */
    int64_t max_output;
    /** Only that many boxes with the best scores take part, 0 for all. */
    int64_t max_candidates;
    /** An `OMMA_BOX_…`: what the four numbers of a box are. */
    int32_t format;
    /** 0, or 1 for boxes that end with their last pixel included (sides are `x2 - x1 + 1`). */
    int32_t offset;
} OmmaMatrixNmsParams;

/** Options of `omma_leaky_relu`. */
typedef struct OmmaLeakyReluParams {
    /** `sizeof(OmmaLeakyReluParams)`. */
    uint32_t struct_size;
    /** `OMMA_LEAKY_RELU_NEGATIVE_SLOPE` or 0. */
    uint32_t flags;
    /** The factor of negative values; 0.01 unless the flag is set. */
    float negative_slope;
} OmmaLeakyReluParams;

/** Options of `omma_prelu`. */
typedef struct OmmaPreluParams {
    /** `sizeof(OmmaPreluParams)`. */
    uint32_t struct_size;
    /** `OMMA_PRELU_AXIS` or 0. */
    uint32_t flags;
    /** The axis of the channels, negative from the end; 1 unless the flag is set. */
    int32_t axis;
} OmmaPreluParams;

/** Options of `omma_softmax` and `omma_log_softmax`. */
typedef struct OmmaSoftmaxParams {
    /** `sizeof(OmmaSoftmaxParams)`. */
    uint32_t struct_size;
    /** `OMMA_SOFTMAX_AXIS` or 0. */
    uint32_t flags;
    /** The axis to normalize along, negative from the end; -1 unless the flag is set. */
    int32_t axis;
} OmmaSoftmaxParams;

/** Options of `omma_layer_norm` and `omma_rms_norm`. */
typedef struct OmmaNormParams {
    /** `sizeof(OmmaNormParams)`. */
    uint32_t struct_size;
    /** `OMMA_NORM_…`, combined by or. */
    uint32_t flags;
    /**
     * The first of the axes that are normalized together, negative from the end; -1, the last axis
     * alone, unless the flag is set.
     */
    int32_t axis;
    /** Added to the variance or mean square; 1e-5 unless the flag is set. */
    float eps;
} OmmaNormParams;

/** Options of `omma_max_pool2d`; zero in a field is its default. */
typedef struct OmmaMaxPool2dParams {
    /** `sizeof(OmmaMaxPool2dParams)`. */
    uint32_t struct_size;
    /** `OMMA_POOL_CEIL_MODE` or 0. */
    uint32_t flags;
    /** An `OMMA_LAYOUT_…`: the order of axes of all arrays. */
    int32_t layout;
    /** Rows and columns of the window. Required. */
    int32_t kernel_size[2];
    /** Steps of the window, vertical and horizontal; 0 is `kernel_size`. */
    int32_t stride[2];
    /**
     * Rows and columns around the image: top, bottom, left, right. Each is
     * less than the window spans. They are never the maximum.
     */
    int32_t padding[4];
    /** Distance of the window's elements, vertical and horizontal; 0 is 1. */
    int32_t dilation[2];
} OmmaMaxPool2dParams;

/** Options of `omma_avg_pool2d`; zero in a field is its default. */
typedef struct OmmaAvgPool2dParams {
    /** `sizeof(OmmaAvgPool2dParams)`. */
    uint32_t struct_size;
    /** `OMMA_POOL_CEIL_MODE` and `OMMA_POOL_EXCLUDE_PAD`. */
    uint32_t flags;
    /** An `OMMA_LAYOUT_…`: the order of axes of all arrays. */
    int32_t layout;
    /** Rows and columns of the window. Required. */
    int32_t kernel_size[2];
    /** Steps of the window, vertical and horizontal; 0 is `kernel_size`. */
    int32_t stride[2];
    /**
     * Rows and columns of zeros around the image: top, bottom, left, right.
     * Each is less than the window spans.
     */
    int32_t padding[4];
    /** Distance of the window's elements, vertical and horizontal; 0 is 1. */
    int32_t dilation[2];
    /** What sums are divided by, in place of the number of elements; 0 is that number. */
    int32_t divisor_override;
} OmmaAvgPool2dParams;

/** Options of `omma_roi_align` and its gradient; zero in a field is its default. */
typedef struct OmmaRoiAlignParams {
    /** `sizeof(OmmaRoiAlignParams)`. */
    uint32_t struct_size;
    /** `OMMA_ROI_ALIGN_ALIGNED` or 0. */
    uint32_t flags;
    /** From coordinates to those of the map, positive; 0 is 1. */
    double spatial_scale;
    /** Rows and columns of bins. Required. */
    int32_t output_size[2];
    /** Samples of a bin in each direction, at most 1024; 0 or less: as many as it has pixels, rounded up. */
    int32_t sampling_ratio;
    /** An `OMMA_ROI_ALIGN_…`: what becomes of the samples of a bin. */
    int32_t mode;
    /** An `OMMA_LAYOUT_…`: the order of axes of maps and bins. */
    int32_t layout;
    /** Zero. */
    int32_t reserved;
} OmmaRoiAlignParams;

/** Options of `omma_roi_pool` and its gradient; zero in a field is its default. */
typedef struct OmmaRoiPoolParams {
    /** `sizeof(OmmaRoiPoolParams)`. */
    uint32_t struct_size;
    /** An `OMMA_LAYOUT_…`: the order of axes of maps and bins. */
    int32_t layout;
    /** From coordinates to those of the map, positive; 0 is 1. */
    double spatial_scale;
    /** Rows and columns of bins. Required. */
    int32_t output_size[2];
} OmmaRoiPoolParams;

/** Options of a feed-forward network; zero in a field is its default. */
typedef struct OmmaFeedForwardParams {
    /** `sizeof(OmmaFeedForwardParams)`. */
    uint32_t struct_size;
    /**
     * An `OMMA_ACTIVATION_…` other than `OMMA_ACTIVATION_PRELU`, between the two layers; 0 is
     * `OMMA_ACTIVATION_RELU`.
     */
    int32_t activation;
    /** The factor of `OMMA_ACTIVATION_LEAKY_RELU`; 0 is 0.01. */
    float negative_slope;
    /** 0. */
    uint32_t flags;
} OmmaFeedForwardParams;

/** Options of an encoder layer. `num_heads` is required, zero in another field is its default. */
typedef struct OmmaTransformerEncoderLayerParams {
    /** `sizeof(OmmaTransformerEncoderLayerParams)`. */
    uint32_t struct_size;
    /** `OMMA_ENCODER_LAYER_…`, combined by or. */
    uint32_t flags;
    /** Heads that the features are cut into. */
    int32_t num_heads;
    /** As in `OmmaFeedForwardParams`. */
    int32_t activation;
    /** The factor of `OMMA_ACTIVATION_LEAKY_RELU`; 0 is 0.01. */
    float negative_slope;
    /** Added to the variances of the normalizations; 1e-5 unless the flag is set. */
    float eps;
} OmmaTransformerEncoderLayerParams;

/** Options of `omma_warp_affine`; zero in a field is its default. */
typedef struct OmmaWarpAffineParams {
    /** `sizeof(OmmaWarpAffineParams)`. */
    uint32_t struct_size;
    /** `OMMA_INTERPOLATION_LINEAR`, `_NEAREST` or `_CUBIC`. */
    int32_t interpolation;
    /** An `OMMA_BORDER_…`. */
    int32_t border;
    /** `OMMA_WARP_…` flags. */
    uint32_t flags;
    /** Outside, with `OMMA_BORDER_CONSTANT`: the value of each channel. Bytes round and clamp it. */
    float value[4];
    /** Two rows of three. Required. */
    double matrix[6];
} OmmaWarpAffineParams;

/** Options of `omma_warp_perspective`; zero in a field is its default. */
typedef struct OmmaWarpPerspectiveParams {
    /** `sizeof(OmmaWarpPerspectiveParams)`. */
    uint32_t struct_size;
    /** `OMMA_INTERPOLATION_LINEAR`, `_NEAREST` or `_CUBIC`. */
    int32_t interpolation;
    /** An `OMMA_BORDER_…`. */
    int32_t border;
    /** `OMMA_WARP_…` flags. */
    uint32_t flags;
    /** Outside, with `OMMA_BORDER_CONSTANT`: the value of each channel. Bytes round and clamp it. */
    float value[4];
    /** Three rows of three. Required. */
    double matrix[9];
} OmmaWarpPerspectiveParams;

/** Options of `omma_rotate`; zero in a field is its default. */
typedef struct OmmaRotateParams {
    /** `sizeof(OmmaRotateParams)`. */
    uint32_t struct_size;
    /** `OMMA_INTERPOLATION_LINEAR`, `_NEAREST` or `_CUBIC`. */
    int32_t interpolation;
    /** An `OMMA_BORDER_…`. */
    int32_t border;
    /** Zero. */
    int32_t reserved;
    /** Outside, with `OMMA_BORDER_CONSTANT`: the value of each channel. Bytes round and clamp it. */
    float value[4];
    /** The angle, counter-clockwise. */
    double degrees;
} OmmaRotateParams;

/** Options of `omma_remap` and its plan; zero in a field is its default. */
typedef struct OmmaRemapParams {
    /** `sizeof(OmmaRemapParams)`. */
    uint32_t struct_size;
    /** `OMMA_INTERPOLATION_LINEAR`, `_NEAREST` or `_CUBIC`. */
    int32_t interpolation;
    /** An `OMMA_BORDER_…`. */
    int32_t border;
    /** Zero. */
    int32_t reserved;
    /** Outside, with `OMMA_BORDER_CONSTANT`: the value of each channel. Bytes round and clamp it. */
    float value[4];
} OmmaRemapParams;

/** Options of `omma_grid_sample`; zero in a field is its default. */
typedef struct OmmaGridSampleParams {
    /** `sizeof(OmmaGridSampleParams)`. */
    uint32_t struct_size;
    /** `OMMA_INTERPOLATION_LINEAR`, `_NEAREST` or `_CUBIC`. */
    int32_t interpolation;
    /** An `OMMA_PADDING_…`. */
    int32_t padding;
    /** `OMMA_GRID_SAMPLE_…` flags. */
    uint32_t flags;
} OmmaGridSampleParams;

/** How a head of YOLO is read. */
typedef struct OmmaYoloDecodeParams {
    /** `sizeof(OmmaYoloDecodeParams)`. */
    uint32_t struct_size;
    /** 0 or `OMMA_YOLO_MULTI_LABEL`. */
    uint32_t flags;
    /** A detection has a score larger than that. Taken literally; not NaN. */
    double score_threshold;
    /** `OMMA_YOLO_V8`, `OMMA_YOLO_V5`, `OMMA_YOLO_GRID_V3` or `OMMA_YOLO_GRID_V5`. */
    int32_t head;
    /** `OMMA_YOLO_VALUES_DEFAULT`, `OMMA_YOLO_PROBABILITIES` or `OMMA_YOLO_LOGITS`. */
    int32_t values;
    /** Classes of the head, 0 for all that there is room for; what follows them is ignored. */
    int64_t num_classes;
    /** Pixels from cell to cell of a grid; 0 for other heads. */
    float stride;
    /**
     * How far an offset in a grid reaches: `scale_xy * sigmoid(t) - (scale_xy - 1) / 2` cells. 0 is
     * the usual one, 1 of v3 and 2 of v5.
     */
    float scale_xy;
} OmmaYoloDecodeParams;

/** Success. */
#define OMMA_OK 0

/** An argument is outside of its domain. */
#define OMMA_INVALID_ARGUMENT 1

/** The shapes of two arguments do not go together. */
#define OMMA_SHAPE_MISMATCH 2

/** A legal request that this build or CPU cannot serve. */
#define OMMA_UNSUPPORTED 3

/** An output has less room than the result needs; where a count is returned, it is the room needed. */
#define OMMA_BUFFER_TOO_SMALL 4

/** Memory could not be had. */
#define OMMA_OUT_OF_MEMORY 5

/** A defect of omma. */
#define OMMA_INTERNAL 6

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Assigns the rows of `cost` (N, M), f64 or f32, to columns, or columns to rows where these are fewer: of
 * all ways to choose `min(N, M)` entries, no two in one row or column, one with the least sum (the largest, to
 * maximise). The pairs go to `rows` and `cols` (`min(N, M)`) int64, by ascending row, and the sum to
 * `total`, unless that is NULL.
 *
 * Plus infinity forbids a pair (minus infinity, to maximise); when every assignment needs such a pair the
 * result is `OMMA_INVALID_ARGUMENT`, and so it is for NaN and the other infinity. Which of several optimal
 * assignments comes out is not specified, and always the same.
 *
 * Arithmetic is in f64, for costs of f32, too: sums of whole numbers are the least there are, others but for
 * the rounding of N numbers of the size of the costs that are chosen. Memory is that of a few rows and columns, and
 * a copy of the costs only if neither rows nor columns are runs (or the shorter side is). One thread works.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors;
 * `total` is NULL or valid for writing.
 */
OmmaStatus omma_linear_assignment(const struct OmmaContext *ctx,
                                  const struct OmmaLinearAssignmentParams *params,
                                  const struct OmmaTensor *cost,
                                  const struct OmmaTensor *rows,
                                  const struct OmmaTensor *cols,
                                  double *total);

/**
 * `output = softmax(scale * q · kᵀ + mask) · v` in float32, as torch's
 * `scaled_dot_product_attention`, without the matrix of logits.
 *
 * `q` (B, H, N, D), `k` (B, G, M, D), `v` (B, G, M, E), `output` (B, H, N, E). G divides H:
 * each key head serves H / G neighbouring query heads (grouped-query attention; one key
 * head is multi-query attention). `mask`, NULL or of at most four dimensions that are aligned at the
 * right with (B, H, N, M) and of that size or 1, is of booleans, where false hides a
 * key, or of float32, which is added to the logits and hides a key where it is -inf. `log_sum_exp`
 * (B, H, N), if not NULL, takes the logarithm of the sum of the exponentials of each row.
 *
 * Any strides: arrays that lie as (B, N, H, D) are passed with their strides, at no cost. The outputs
 * must not overlap anything. Zero-sized dimensions are legal. A row that sees no key is 0 and its
 * logarithm -inf. A hidden key and its value have no influence, be they infinite or NaN; a NaN
 * in what a row sees makes the row NaN. The bits of the result do not depend on the number of
 * threads, and scratch is not a function of N times M.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
 */
OmmaStatus omma_attention(const struct OmmaContext *ctx,
                          const struct OmmaAttentionParams *params,
                          const struct OmmaTensor *q,
                          const struct OmmaTensor *k,
                          const struct OmmaTensor *v,
                          const struct OmmaTensor *mask,
                          const struct OmmaTensor *output,
                          const struct OmmaTensor *log_sum_exp);

/**
 * The overlap of every box of `a` (N, 4) with every box of `b` (M, 4), to
 * `output` (N, M), all f32.
 *
 * Values are those of torchvision, except that 0/0 counts as 0: empty boxes
 * overlap nothing. A NaN in a box gives NaN. `output` may not overlap an input.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors.
 */
OmmaStatus omma_box_iou(const struct OmmaContext *ctx,
                        const struct OmmaBoxIouParams *params,
                        const struct OmmaTensor *a,
                        const struct OmmaTensor *b,
                        const struct OmmaTensor *output);

/**
 * The overlap of each box of `a` (N, 4) with the box of `b` (N, 4) at the same
 * index, to `output` (N), all f32; otherwise as `omma_box_iou`.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors.
 */
OmmaStatus omma_box_iou_elementwise(const struct OmmaContext *ctx,
                                    const struct OmmaBoxIouParams *params,
                                    const struct OmmaTensor *a,
                                    const struct OmmaTensor *b,
                                    const struct OmmaTensor *output);

/**
 * The volume that each box of `a` (N, 6) shares with each box of `b` (M, 6) over that of their
 * union, to `output` (N, M), all f32; a box is (x1, y1, z1, x2, y2, z2).
 *
 * Boxes that only touch share nothing. 0/0 counts as 0, a NaN in a box gives NaN. `output` may not
 * overlap an input.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts and tensors.
 */
OmmaStatus omma_box_iou_3d(const struct OmmaContext *ctx,
                           const struct OmmaTensor *a,
                           const struct OmmaTensor *b,
                           const struct OmmaTensor *output);

/**
 * `boxes` (…, 4) in another format, to `output` of the same shape, both f32.
 *
 * The arithmetic is that of torchvision's `box_convert`: sizes are `x2 - x1`, centres
 * `(x1 + x2) / 2`, and what is neither from nor to corners goes by way of them. A format that
 * stays is a copy; `OMMA_BOX_CORNERS` as `in_fmt` puts the corners in order. `output` may be the very
 * array `boxes`, and may otherwise not overlap it.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors.
 */
OmmaStatus omma_box_convert(const struct OmmaContext *ctx,
                            const struct OmmaBoxConvertParams *params,
                            const struct OmmaTensor *boxes,
                            const struct OmmaTensor *output);

/**
 * Makes a context. `options` may be NULL: all cores, the fastest tier, the system's memory.
 *
 * Destroy it with `omma_context_destroy`, when no call uses it any more.
 *
 * The caller ensures:
 * `options` is NULL or valid; `context` is valid for writing a pointer; callbacks may be
 * called from any thread while the context (for memory: or a plan made with it) lives.
 */
OmmaStatus omma_context_create(const struct OmmaContextOptions *options, struct OmmaContext **context);

/**
 * Ends a context: its threads and its memory. NULL is allowed.
 *
 * The caller ensures:
 * `context` is NULL or came from `omma_context_create`, is not in use, and is not used again.
 */
void omma_context_destroy(struct OmmaContext *context);

/**
 * How many tasks may run at once; 1 for NULL.
 *
 * The caller ensures:
 * `context` is NULL or a living context.
 */
int32_t omma_context_num_threads(const struct OmmaContext *context);

/**
 * Bytes of scratch memory that the context holds: what running calls borrow, and what is kept for
 * later ones. After the first call on a new context that is all the memory which this call used
 * beyond its inputs, outputs and plan. 0 for NULL, which keeps nothing.
 *
 * The caller ensures:
 * `context` is NULL or a living context.
 */
size_t omma_context_scratch_bytes(const struct OmmaContext *context);

/**
 * The tier that the context uses, an `OMMA_ISA_…`. For NULL, that of calls
 * without a context (0 when `OMMA_MAX_ISA` names a tier that the CPU lacks).
 *
 * The caller ensures:
 * `context` is NULL or a living context.
 */
int32_t omma_context_isa(const struct OmmaContext *context);

/** 1 when this CPU has the tier, an `OMMA_ISA_…`, else 0. */
int32_t omma_isa_available(int32_t isa);

/** The name of a tier, an `OMMA_ISA_…`: `"portable"`, `"neon"`, `"avx2"`, `"avx512"`. Never NULL. */
const char *omma_isa_name(int32_t isa);

/**
 * `output = activation(convolution(input, weight) + bias + residual)`, in float32.
 *
 * NCHW: `input` (N, C, H, W), `weight` (O, C / groups, KH, KW), `bias` (O,) or NULL,
 * `residual` (N, O, OH, OW) or NULL, `output` (N, O, OH, OW). NHWC: `input` (N, H, W, C),
 * `weight` (O, KH, KW, C / groups), `residual` and `output` (N, OH, OW, O). In both
 * `OH = (H + top + bottom - dilation * (KH - 1) - 1) / stride + 1`, and OW likewise. The
 * semantics are those of torch's `conv2d`: a cross-correlation with zero padding.
 *
 * Any strides. `output` may be the very memory of `residual` (same address and strides); any
 * other overlap of it with an input is an error. A zero-sized batch is legal. Sums are in
 * float32; the bits of the result do not depend on the number of threads. NaN and
 * infinity propagate, with Winograd's algorithm (see `OMMA_CONV_WINOGRAD`) to the whole tile; whether
 * a weight that is not finite meets the zeros of the padding is unspecified.
 *
 * The weight is packed in each call; a program that convolves with the same weight
 * again is faster with `omma_conv2d_create`.
 *
 * The caller ensures:
 * Tensors (also `params->activation_slope`) are NULL or describe valid memory; `ctx` and
 * `params` are NULL or valid.
 */
OmmaStatus omma_conv2d(const struct OmmaContext *ctx,
                       const struct OmmaConv2dParams *params,
                       const struct OmmaTensor *input,
                       const struct OmmaTensor *weight,
                       const struct OmmaTensor *bias,
                       const struct OmmaTensor *residual,
                       const struct OmmaTensor *output);

/**
 * Packs a weight for the instruction set of `ctx`: a plan that convolves with it any
 * number of times. Arguments as for `omma_conv2d`; weight, bias and slopes are not needed afterwards.
 *
 * A plan is immutable: any number of threads may run it at once, with a context they share
 * or one each, on images of any size. It does not need the context that made it, but its
 * memory comes from that context's allocator. Destroy it with `omma_conv2d_destroy`.
 *
 * The caller ensures:
 * As for `omma_conv2d`; `plan` is NULL or valid for writing a pointer.
 */
OmmaStatus omma_conv2d_create(const struct OmmaContext *ctx,
                              const struct OmmaConv2dParams *params,
                              const struct OmmaTensor *weight,
                              const struct OmmaTensor *bias,
                              struct OmmaConv2d **plan);

/**
 * Convolves `input` into `output` with a plan; shapes, `residual` (which may be NULL) and
 * overlap as for `omma_conv2d`. The instruction set is the plan's, threads and scratch are those of `ctx`.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
 */
OmmaStatus omma_conv2d_run(const struct OmmaContext *ctx,
                           const struct OmmaConv2d *plan,
                           const struct OmmaTensor *input,
                           const struct OmmaTensor *residual,
                           const struct OmmaTensor *output);

/**
 * The height and width of the output for an input of height `h` and width `w`.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; `output_h` and `output_w` are NULL or valid for writing.
 */
OmmaStatus omma_conv2d_output_shape(const struct OmmaConv2d *plan,
                                    int64_t h,
                                    int64_t w,
                                    int64_t *output_h,
                                    int64_t *output_w);

/**
 * Writes which algorithm and instruction set a plan uses, for people, to `text`: at most
 * `capacity` bytes, the terminating zero included. Does nothing when `plan` or `text` is NULL.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
 */
void omma_conv2d_describe(const struct OmmaConv2d *plan, char *text, size_t capacity);

/**
 * Frees a plan that no call uses any more. NULL is ignored.
 *
 * The caller ensures:
 * `plan` is NULL or comes from `omma_conv2d_create` and was not destroyed.
 */
void omma_conv2d_destroy(struct OmmaConv2d *plan);

/**
 * `output = activation(transposed convolution(input, weight) + bias)`, in float32.
 *
 * NCHW: `input` (N, C, H, W), `weight` (C, O / groups, KH, KW), `bias` (O,) or NULL, `output`
 * (N, O, OH, OW). NHWC: `input` (N, H, W, C), `weight` (C, KH, KW, O / groups), `output` (N, OH, OW, O). In both
 * `OH = (H - 1) * stride - top - bottom + dilation * (KH - 1) + output_padding + 1`, and OW likewise.
 * The semantics are those of torch's `conv_transpose2d`; outputs that no input reaches are the bias.
 *
 * Any strides; overlap of `output` with an input is an error. A zero-sized batch is legal. Rounding,
 * NaN and infinity, and the bits at any number of threads are as for `omma_conv2d`.
 *
 * The weight is packed in each call; a program that uses the same weight
 * again is faster with `omma_conv_transpose2d_create`.
 *
 * The caller ensures:
 * Tensors (also `params->activation_slope`) are NULL or describe valid memory; `ctx` and
 * `params` are NULL or valid.
 */
OmmaStatus omma_conv_transpose2d(const struct OmmaContext *ctx,
                                 const struct OmmaConvTranspose2dParams *params,
                                 const struct OmmaTensor *input,
                                 const struct OmmaTensor *weight,
                                 const struct OmmaTensor *bias,
                                 const struct OmmaTensor *output);

/**
 * Packs a weight for the instruction set of `ctx`: a plan that convolves with it any
 * number of times. Arguments as for `omma_conv_transpose2d`; weight, bias and slopes are not needed afterwards.
 *
 * A plan is immutable: any number of threads may run it at once, with a context they share
 * or one each, on images of any size. It does not need the context that made it, but its
 * memory comes from that context's allocator. Destroy it with `omma_conv_transpose2d_destroy`.
 *
 * The caller ensures:
 * As for `omma_conv_transpose2d`; `plan` is NULL or valid for writing a pointer.
 */
OmmaStatus omma_conv_transpose2d_create(const struct OmmaContext *ctx,
                                        const struct OmmaConvTranspose2dParams *params,
                                        const struct OmmaTensor *weight,
                                        const struct OmmaTensor *bias,
                                        struct OmmaConvTranspose2d **plan);

/**
 * Convolves `input` into `output` with a plan; shapes and overlap as for `omma_conv_transpose2d`.
 * The instruction set is the plan's, threads and scratch are those of `ctx`.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
 */
OmmaStatus omma_conv_transpose2d_run(const struct OmmaContext *ctx,
                                     const struct OmmaConvTranspose2d *plan,
                                     const struct OmmaTensor *input,
                                     const struct OmmaTensor *output);

/**
 * The height and width of the output for an input of height `h` and width `w`.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; `output_h` and `output_w` are NULL or valid for writing.
 */
OmmaStatus omma_conv_transpose2d_output_shape(const struct OmmaConvTranspose2d *plan,
                                              int64_t h,
                                              int64_t w,
                                              int64_t *output_h,
                                              int64_t *output_w);

/**
 * Writes which algorithms and instruction set a plan uses, for people, to `text`: at most
 * `capacity` bytes, the terminating zero included. Does nothing when `plan` or `text` is NULL.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
 */
void omma_conv_transpose2d_describe(const struct OmmaConvTranspose2d *plan, char *text, size_t capacity);

/**
 * Frees a plan that no call uses any more. NULL is ignored.
 *
 * The caller ensures:
 * `plan` is NULL or comes from `omma_conv_transpose2d_create` and was not destroyed.
 */
void omma_conv_transpose2d_destroy(struct OmmaConvTranspose2d *plan);

/**
 * `output = deformable convolution(input, offset, weight, mask) + bias`, in float32, NCHW: version 1 of the operator
 * when `mask` is NULL, else version 2. The semantics are those of torchvision's `deform_conv2d`.
 *
 * `input` (N, C, H, W), `weight` (O, C / groups, KH, KW), `bias` (O,) or NULL, `output` (N, O, OH, OW) with OH and OW as of
 * `omma_conv2d`. `offset` (N, 2 * G * KH * KW, OH, OW): for each of G groups of channels and each tap, row by row, how
 * far down and then how far to the right of its place the tap reads, in pixels. `mask` (N, G * KH * KW, OH, OW) or NULL: what
 * is read is multiplied by it. Both numbers of groups follow from the shapes and need not be the same.
 *
 * A sample is bilinear between the four pixels around it; those outside of the image are 0, and so is a sample a
 * pixel or more away from it. NaN and infinity in `input`, `weight` and `mask` propagate, and an offset that is NaN gives NaN.
 *
 * Any strides; overlap of `output` with an input is an error. A zero-sized batch is legal. Rows and columns of the
 * input are fewer than 2^24. The bits are the same at any number of threads.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
 */
OmmaStatus omma_deform_conv2d(const struct OmmaContext *ctx,
                              const struct OmmaDeformConv2dParams *params,
                              const struct OmmaTensor *input,
                              const struct OmmaTensor *offset,
                              const struct OmmaTensor *weight,
                              const struct OmmaTensor *bias,
                              const struct OmmaTensor *mask,
                              const struct OmmaTensor *output);

/**
 * Folds a batch normalization behind a convolution or linear layer into its weight and bias, in float32:
 * `weight' = weight * gamma / sqrt(variance + eps)`,
 * `bias' = (bias - mean) * gamma / sqrt(variance + eps) + beta`.
 *
 * `weight` has the O output channels as its first axis and any rank; `bias` (O,) or NULL for zeros, `gamma` (O,) or NULL
 * for ones, `beta` (O,) or NULL for zeros, `mean` and `variance` (O,), `output_weight` of the shape of `weight`,
 * `output_bias` (O,). The outputs may be the very arrays of inputs of their shape, `weight` and `bias` for instance; other overlap
 * with an input is an error. Computed in f64 and rounded once; a variance below `-eps` gives NaN.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
 */
OmmaStatus omma_fold_batch_norm(const struct OmmaContext *ctx,
                                const struct OmmaFoldBatchNormParams *params,
                                const struct OmmaTensor *weight,
                                const struct OmmaTensor *bias,
                                const struct OmmaTensor *gamma,
                                const struct OmmaTensor *beta,
                                const struct OmmaTensor *mean,
                                const struct OmmaTensor *variance,
                                const struct OmmaTensor *output_weight,
                                const struct OmmaTensor *output_bias);

/**
 * One convolution in place of two that see the same input and whose outputs are added (the branches of a RepVGG
 * block): the windows are added, the smaller one centred in the larger, and so are the biases.
 *
 * `weight_1` and `weight_2` (O, C / groups, KH, KW), or (O, KH, KW, C / groups), with odd windows of
 * any two sizes; `bias_1` and `bias_2` (O,) or NULL for zeros; `output_weight` with the larger extents
 * of both, `output_bias` (O,). The convolutions agree in stride, dilation and groups, and each is padded by
 * `dilation * (kernel - 1) / 2`; an identity is a window of 1 x 1. The outputs overlap nothing.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
 */
OmmaStatus omma_merge_parallel_conv2d(const struct OmmaContext *ctx,
                                      const struct OmmaMergeParallelConv2dParams *params,
                                      const struct OmmaTensor *weight_1,
                                      const struct OmmaTensor *bias_1,
                                      const struct OmmaTensor *weight_2,
                                      const struct OmmaTensor *bias_2,
                                      const struct OmmaTensor *output_weight,
                                      const struct OmmaTensor *output_bias);

/**
 * The weight of one convolution in place of a convolution and average pooling, without padding of its own, behind it.
 *
 * `weight` (O, C / groups, KH, KW), or (O, KH, KW, C / groups); `output_weight` the same with a
 * window of `KH + (kernel_size - 1) * stride`, and likewise KW. The merged convolution has the padding, groups
 * and bias of the first and the product of both strides; its dilation has to be 1. The output overlaps nothing.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
 */
OmmaStatus omma_merge_conv2d_avg_pool2d(const struct OmmaContext *ctx,
                                        const struct OmmaMergeConv2dAvgPool2dParams *params,
                                        const struct OmmaTensor *weight,
                                        const struct OmmaTensor *output_weight);

/**
 * The receptive field of a stack of `count` layers, the first first, along one axis; of no layers that
 * of the input itself.
 *
 * The caller ensures:
 * `layers` is valid for reading `count` windows, or NULL if there are none; `field` is NULL (an error) or valid
 * for writing.
 */
OmmaStatus omma_receptive_field(const struct OmmaWindow *layers,
                                size_t count,
                                struct OmmaReceptiveField *field);

/**
 * Resizes an image to the size of `output`.
 *
 * `image` and `output` are (H, W, C) or (H, W), both uint8 or both float32, with the same channels (any number;
 * one to four are fastest) and any strides: a region of interest is a tensor that points into the image, and
 * nothing outside of it is read. They may not overlap in memory.
 *
 * Linear, uint8: the very bits of OpenCV's `INTER_LINEAR`, on every CPU. Linear, float32: its weights, computed in
 * float32; NaN and infinity in any of the four samples, even one of weight zero, give NaN or infinity. Nearest:
 * `OMMA_COORDINATES_DEFAULT` is OpenCV's `INTER_NEAREST` and torch's `nearest`, `floor(d * scale)`;
 * `OMMA_COORDINATES_HALF_PIXEL` is the pixel under the centre, torch's `nearest-exact`;
 * `OMMA_COORDINATES_ALIGN_CORNERS` the closest, ties to the larger index. Area: OpenCV's `INTER_AREA`, which is bilinear
 * with weights of its own as soon as one side grows; uint8: its very bits, float32: within rounding. NaN and infinity reach
 * the pixels whose area they are in. Its coordinates are the default. The same size is a copy.
 *
 * Cubic: OpenCV's `INTER_CUBIC` (A = -0.75, the border replicated); uint8 within one grey level. `OMMA_RESIZE_ANTIALIAS`, for
 * linear and cubic: the kernel is as wide as the destination's pixels and cubic has A = -0.5, as torch's
 * `interpolate(antialias=True)` and Pillow's filters; uint8, rounded between the axes as there, within one grey level of torch. Of
 * float32, NaN and infinity reach the pixels they are a sample of, even one of weight zero, and may reach those beside.
 *
 * Errors: an image without pixels for an output that has some; antialias with nearest or area; coordinates with area.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
 */
OmmaStatus omma_resize(const struct OmmaContext *ctx,
                       const struct OmmaResizeParams *params,
                       const struct OmmaTensor *image,
                       const struct OmmaTensor *output);

/**
 * Turns an image into the tensor of a network: resizing or letterboxing, channel order, normalisation and
 * layout in one pass.
 *
 * `image` is (H, W, C) or (H, W), uint8 or float32, with one to four channels and any strides. `output` is float32,
 * (C, H', W') or (H', W', C) by `layout`, or the same with a leading 1, with any strides, so it may be a slot of a batch. They may not overlap.
 *
 * Where the size of the output differs from the image's the image is resized as by `omma_resize`, bilinearly unless
 * `interpolation` says otherwise, bytes to bytes. The result is what `cv2.resize` and then `(v * scale - mean) / std` give, up to the rounding of float32
 * (one fused `v * (scale / std) - mean / std`). With `OMMA_IMAGE_LETTERBOX` the image keeps its proportions and
 * lands where `omma_letterbox` says; the rest is `pad_value`, normalised like a sample. NaN and infinity propagate.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
 */
OmmaStatus omma_image_to_tensor(const struct OmmaContext *ctx,
                                const struct OmmaImageToTensorParams *params,
                                const struct OmmaTensor *image,
                                const struct OmmaTensor *output);

/**
 * Where an image lands in a frame when it is scaled by
 * `min(frame_height / image_height, frame_width / image_width)`, its sides rounded (ties to even, at least 1), and
 * centred, the odd pixel of a margin to the right and below. As Ultralytics' `LetterBox`.
 *
 * The caller ensures:
 * `placement` is NULL (an error) or valid for writing.
 */
OmmaStatus omma_letterbox(int64_t image_height,
                          int64_t image_width,
                          int64_t frame_height,
                          int64_t frame_width,
                          struct OmmaLetterbox *placement);

/**
 * The distance of every row of `a` (N, D) from every row of `b` (M, D), to `output` (N, M), all f32.
 *
 * `covariance` (D, D), symmetric and positive definite, is for `OMMA_METRIC_MAHALANOBIS` alone, else NULL.
 * Differences are taken directly: near points have exact distances. A NaN in a row gives NaN.
 * `output` may not overlap an input.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors.
 */
OmmaStatus omma_pairwise_distance(const struct OmmaContext *ctx,
                                  const struct OmmaPairwiseDistanceParams *params,
                                  const struct OmmaTensor *a,
                                  const struct OmmaTensor *b,
                                  const struct OmmaTensor *covariance,
                                  const struct OmmaTensor *output);

/**
 * For each row of `x` (N, D) the number of the nearest row of `centroids` (K, D), to `labels` (N, i64), and its
 * squared Euclidean distance to `distances` (N), or NULL.
 *
 * Labels are those of exact arithmetic, but where two distances differ by less than 1e-6 of
 * themselves; of equal ones the lowest. NaN and infinity are errors. Outputs may overlap nothing.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts and tensors.
 */
OmmaStatus omma_kmeans_assign(const struct OmmaContext *ctx,
                              const struct OmmaTensor *x,
                              const struct OmmaTensor *centroids,
                              const struct OmmaTensor *labels,
                              const struct OmmaTensor *distances);

/**
 * Clusters the rows of `x` (N, D): the number of the cluster of each to `labels` (N, i64), the means of
 * the clusters to `centroids` (K, D), whose shape says how many there are; K is at most N.
 * `inertia`, the sum of weight times squared distance, and `iterations`, those of the best run, may be NULL.
 *
 * `init` (K, D) are the first centroids, or NULL; with it there is one run. `sample_weight` (N), finite and
 * not negative, may be NULL. Seeding, stopping and tolerance are those of scikit-learn's `KMeans`; a cluster that loses
 * all of its points begins anew at the point that is farthest from its centroid. Labels and
 * inertia are those of the centroids that are returned. The result follows from the inputs and the seed, and has the
 * same bits at any number of threads. NaN and infinity are errors. Outputs may overlap nothing.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors; the callback may be called.
 */
OmmaStatus omma_kmeans(const struct OmmaContext *ctx,
                       const struct OmmaKmeansParams *params,
                       const struct OmmaTensor *x,
                       const struct OmmaTensor *init,
                       const struct OmmaTensor *sample_weight,
                       const struct OmmaTensor *labels,
                       const struct OmmaTensor *centroids,
                       double *inertia,
                       int64_t *iterations);

/**
 * The first half of an iteration of k-means over a part of the data: for each row of `centroids` (K, D) the sum of
 * those rows of `x` (N, D) that are nearest to it, times their weights, to `sums` (K, D, f64), and of the
 * weights to `counts` (K, f64). `labels` (N, i64) and `inertia`, the sum of weight times squared distance, may be NULL.
 *
 * Results of parts that make up the data are simply added; `omma_kmeans_update` is the second half, so
 * that an engine of the caller runs k-means over data that no machine holds. `sample_weight` (N) may be NULL.
 * The rest is as `omma_kmeans_assign` has it.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts and tensors.
 */
OmmaStatus omma_kmeans_accumulate(const struct OmmaContext *ctx,
                                  const struct OmmaTensor *x,
                                  const struct OmmaTensor *centroids,
                                  const struct OmmaTensor *sample_weight,
                                  const struct OmmaTensor *sums,
                                  const struct OmmaTensor *counts,
                                  const struct OmmaTensor *labels,
                                  double *inertia);

/**
 * The second half of an iteration of k-means: `sums` (K, D, f64) over `counts` (K, f64), to `updated` (K, D, f32), which
 * may be the very array `centroids` (K, D, f32). A cluster with a count of 0 keeps its row of `centroids`.
 * `moved`, the sum of the squared distances by which centroids moved, may be NULL.
 *
 * NaN, infinity and negative counts are errors.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts and tensors.
 */
OmmaStatus omma_kmeans_update(const struct OmmaContext *ctx,
                              const struct OmmaTensor *sums,
                              const struct OmmaTensor *counts,
                              const struct OmmaTensor *centroids,
                              const struct OmmaTensor *updated,
                              double *moved);

/**
 * Sizes that stand for the sizes of boxes: k-means with the distance `1 - IoU` of widths and heights, as if boxes shared
 * a corner. Of `wh` (N, 2) to `anchors` (K, 2), whose shape says how many, in ascending order of area; the number
 * of the best anchor of each box to `labels` (N, i64), or NULL; the mean of these IoU to `mean_iou`, or NULL.
 *
 * `init` (K, 2) are the first anchors, or NULL. Widths and heights are positive and finite, and K is at most N.
 * Of equal IoU the lowest label counts; an anchor that loses all of its boxes begins anew at the box that fits
 * its anchor worst. Outputs may overlap nothing.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors.
 */
OmmaStatus omma_kmeans_anchors(const struct OmmaContext *ctx,
                               const struct OmmaKmeansAnchorsParams *params,
                               const struct OmmaTensor *wh,
                               const struct OmmaTensor *init,
                               const struct OmmaTensor *anchors,
                               const struct OmmaTensor *labels,
                               double *mean_iou);

/**
 * `output = a · b` in float32: (…, m, k) times (…, k, n) gives (…, m, n), as numpy's `matmul`
 * for arrays of two or more dimensions.
 *
 * Dimensions before the last two are batches and broadcast: they are aligned at the right,
 * and one that is missing or 1 goes with any. Any strides. `output` must not overlap an input.
 * Zero-sized dimensions are legal; a sum over none is zero. The bits of the result do not
 * depend on the number of threads. NaN and infinity propagate as in the plain sum.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` is NULL or valid.
 */
OmmaStatus omma_matmul(const struct OmmaContext *ctx,
                       const struct OmmaTensor *a,
                       const struct OmmaTensor *b,
                       const struct OmmaTensor *output);

/**
 * `output = activation(input · weightᵀ + bias)` in float32, as torch's `linear`:
 * `input` (…, in), `weight` (out, in), `bias` (out,) or NULL, `output` (…, out).
 *
 * Any strides. `output` must not overlap an input. Zero-sized dimensions are legal. The bits of
 * the result do not depend on the number of threads. NaN and infinity propagate.
 *
 * A program that multiplies with the same weight again is faster with `omma_linear_create`.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
 */
OmmaStatus omma_linear(const struct OmmaContext *ctx,
                       const struct OmmaLinearParams *params,
                       const struct OmmaTensor *input,
                       const struct OmmaTensor *weight,
                       const struct OmmaTensor *bias,
                       const struct OmmaTensor *output);

/**
 * Packs a weight for the instruction set of `ctx`: a plan that multiplies with it any number of
 * times. Arguments as for `omma_linear`; weight and bias are not needed afterwards.
 *
 * A plan is immutable: any number of threads may run it at once, with a context they share or one
 * each. It does not need the context that made it, but its memory comes from that context's
 * allocator. Destroy it with `omma_linear_destroy`.
 *
 * The caller ensures:
 * As for `omma_linear`; `plan` is NULL or valid for writing a pointer.
 */
OmmaStatus omma_linear_create(const struct OmmaContext *ctx,
                              const struct OmmaLinearParams *params,
                              const struct OmmaTensor *weight,
                              const struct OmmaTensor *bias,
                              struct OmmaLinear **plan);

/**
 * Runs a plan on `input` (…, in) into `output` (…, out); as `omma_linear`. The instruction set
 * is the plan's, threads and scratch are those of `ctx`.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
 */
OmmaStatus omma_linear_run(const struct OmmaContext *ctx,
                           const struct OmmaLinear *plan,
                           const struct OmmaTensor *input,
                           const struct OmmaTensor *output);

/**
 * Writes which algorithm and instruction set a plan uses, for people, to `text`: at most
 * `capacity` bytes, the terminating zero included. Does nothing when `plan` or `text` is NULL.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
 */
void omma_linear_describe(const struct OmmaLinear *plan, char *text, size_t capacity);

/**
 * Frees a plan that no call uses any more. NULL is ignored.
 *
 * The caller ensures:
 * `plan` is NULL or comes from `omma_linear_create` and was not destroyed.
 */
void omma_linear_destroy(struct OmmaLinear *plan);

/**
 * Mean shift clustering of `x` (N, D) f32: each seed moves to the (weighted) mean of the points around it until
 * it moves by no more than a thousandth of the bandwidth. Centres go to the first `count` rows of `centers` (C, D)
 * f32, and the number of the nearest one to `labels` (N) int64. Seeds are `seeds` (S, D) f32 if not NULL, or the
 * lattice of `OMMA_MEAN_SHIFT_BIN_SEEDING`, or `x`.
 *
 * Results are those of scikit-learn's `MeanShift`: centres are ordered by the number of points (the sum of weights)
 * around them, then by coordinates, descending, and of centres closer than the bandwidth the first remains.
 * Arithmetic is in f64. NaN and infinity are errors, and so is it when no point is within reach of any seed.
 *
 * When `centers` is too short, the result is `OMMA_BUFFER_TOO_SMALL`, `count` is the number of rows
 * needed, and nothing else is written. As many as there are seeds always suffice.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors;
 * `count` is NULL or valid for writing.
 */
OmmaStatus omma_mean_shift(const struct OmmaContext *ctx,
                           const struct OmmaMeanShiftParams *params,
                           const struct OmmaTensor *x,
                           const struct OmmaTensor *seeds,
                           const struct OmmaTensor *labels,
                           const struct OmmaTensor *centers,
                           int64_t *count);

/**
 * The median of the `ksize` by `ksize` window around each pixel, channel by channel.
 *
 * `image` and `output` are (H, W, C) or (H, W), both uint8 or both float32, of the same shape, with any number of channels
 * and any strides: a region of interest is a tensor that points into the image, and nothing outside of it is read. They
 * may not overlap in memory.
 *
 * The result is exact, on every CPU: the value of the window with as many before it as behind it. With
 * `OMMA_MEDIAN_BORDER_REPLICATE` it is OpenCV's `medianBlur` and `scipy.ndimage.median_filter(mode="nearest")`, with
 * `OMMA_MEDIAN_BORDER_CONSTANT` the latter's `mode="constant"`. The time for uint8 hardly depends on `ksize` from 11 on.
 *
 * NaN counts as larger than any number, so the result is NaN (the quiet one) where more than half of the window is; -0
 * counts as less than +0.
 *
 * Errors: a `ksize` that is even, below 1 or above 32767. An empty image is legal.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
 */
OmmaStatus omma_median_blur(const struct OmmaContext *ctx,
                            const struct OmmaMedianBlurParams *params,
                            const struct OmmaTensor *image,
                            const struct OmmaTensor *output);

/**
 * Multi-head attention in float32, as torch's `multi_head_attention_forward` with arrays (B, N, E):
 * `output = attention(query · w_qᵀ + b_q, key · w_kᵀ + b_k, value · w_vᵀ + b_v) · w_oᵀ + b_o`, where
 * attention works on each of `num_heads` equal parts of the projected rows.
 *
 * `query` (B, N, Eq), `key` (B, M, Ek), `value` (B, M, Ev), `output` (B, N, Eo). With H heads of
 * queries and G of keys: `w_q` (H * D, Eq), `w_k` (G * D, Ek), `w_v` (G * V, Ev), `w_o` (Eo, H * V);
 * biases (rows of their weight,) or NULL. One head is textbook attention with
 * D = d_k and V = d_v. `mask` is as for `omma_attention`: NULL, booleans (false hides a key) or
 * float32 (added), broadcasting to (B, H, N, M). Torch's boolean masks say the opposite.
 *
 * Any strides. `output` may be the very array of query, key or value; other overlap is an error. A row
 * that sees no key is `b_o`. Zero-sized dimensions are legal. The bits of the result do not depend on
 * the number of threads, and scratch is not a function of N times M.
 *
 * A program that uses the same weights again is faster with `omma_multi_head_attention_create`.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
 */
OmmaStatus omma_multi_head_attention(const struct OmmaContext *ctx,
                                     const struct OmmaMultiHeadAttentionParams *params,
                                     const struct OmmaTensor *query,
                                     const struct OmmaTensor *key,
                                     const struct OmmaTensor *value,
                                     const struct OmmaTensor *w_q,
                                     const struct OmmaTensor *b_q,
                                     const struct OmmaTensor *w_k,
                                     const struct OmmaTensor *b_k,
                                     const struct OmmaTensor *w_v,
                                     const struct OmmaTensor *b_v,
                                     const struct OmmaTensor *w_o,
                                     const struct OmmaTensor *b_o,
                                     const struct OmmaTensor *mask,
                                     const struct OmmaTensor *output);

/**
 * Packs the weights of multi-head attention for the instruction set of `ctx`: a plan that runs any number
 * of times. Arguments as for `omma_multi_head_attention`; the arrays are not needed afterwards.
 *
 * A plan is immutable: any number of threads may run it at once, with a context they share or one
 * each. It does not need the context that made it, but its memory comes from that context's
 * allocator. Destroy it with `omma_multi_head_attention_destroy`.
 *
 * The caller ensures:
 * As for `omma_multi_head_attention`; `plan` is NULL or valid for writing a pointer.
 */
OmmaStatus omma_multi_head_attention_create(const struct OmmaContext *ctx,
                                            const struct OmmaMultiHeadAttentionParams *params,
                                            const struct OmmaTensor *w_q,
                                            const struct OmmaTensor *b_q,
                                            const struct OmmaTensor *w_k,
                                            const struct OmmaTensor *b_k,
                                            const struct OmmaTensor *w_v,
                                            const struct OmmaTensor *b_v,
                                            const struct OmmaTensor *w_o,
                                            const struct OmmaTensor *b_o,
                                            struct OmmaMultiHeadAttention **plan);

/**
 * Runs a plan; as `omma_multi_head_attention`. `residual` (B, N, Eo), if not NULL, is added to the result, and
 * `output` may be its very array. Products run on the plan's instruction set, attention on that of
 * `ctx`, which also lends threads and scratch.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
 */
OmmaStatus omma_multi_head_attention_run(const struct OmmaContext *ctx,
                                         const struct OmmaMultiHeadAttention *plan,
                                         const struct OmmaTensor *query,
                                         const struct OmmaTensor *key,
                                         const struct OmmaTensor *value,
                                         const struct OmmaTensor *mask,
                                         const struct OmmaTensor *residual,
                                         const struct OmmaTensor *output);

/**
 * Writes which algorithm and instruction set a plan uses, for people, to `text`: at most
 * `capacity` bytes, the terminating zero included. Does nothing when `plan` or `text` is NULL.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
 */
void omma_multi_head_attention_describe(const struct OmmaMultiHeadAttention *plan,
                                        char *text,
                                        size_t capacity);

/**
 * Frees a plan that no call uses any more. NULL is ignored.
 *
 * The caller ensures:
 * `plan` is NULL or comes from `omma_multi_head_attention_create` and was not destroyed.
 */
void omma_multi_head_attention_destroy(struct OmmaMultiHeadAttention *plan);

/**
 * The k nearest rows of `data` (N, D) for each row of `queries` (Q, D), both f32, by looking at all: their
 * numbers to `indices` (Q, k) int64 and their distances to `distances` (Q, k) f32, the nearest first, equally
 * near ones by number. k is the second dimension of the outputs, from 1 to 1024 and at most N.
 *
 * `OMMA_METRIC_INNER_PRODUCT` gives the largest products, descending. `covariance` (D, D), symmetric and positive
 * definite, is for `OMMA_METRIC_MAHALANOBIS` alone and else NULL. The order is that of distances in f64, which
 * are rounded once (Mahalanobis: of rows that were rounded to f32 after whitening). NaN and infinity are errors.
 *
 * Distances are never stored: memory beyond inputs and outputs is 12 bytes a result, 4 a row, and what some 200
 * queries and `2 k` candidates of each take, for each thread.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors.
 */
OmmaStatus omma_knn(const struct OmmaContext *ctx,
                    const struct OmmaKnnParams *params,
                    const struct OmmaTensor *queries,
                    const struct OmmaTensor *data,
                    const struct OmmaTensor *covariance,
                    const struct OmmaTensor *indices,
                    const struct OmmaTensor *distances);

/**
 * Matches descriptors: for each row of `a` (N, D) the nearest row of `b` (M, D), if it passes all tests of
 * `params`. The pairs (number in a, number in b) go to the first `count` rows of `pairs` (C, 2) int64, by ascending
 * number in a, and their distances to those of `distances` (C) f32.
 *
 * f32 descriptors are compared by Euclidean distance; uint8 ones, of up to 4095 bytes, are strings of bits (ORB,
 * BRIEF, AKAZE) and compared by Hamming distance. Of equally near ones the first is the nearest. The ratio test is
 * on distances, not on their squares, and passes where `b` has one row. NaN and infinity are errors.
 *
 * When the outputs, which are equally long, are too short, the result is `OMMA_BUFFER_TOO_SMALL`, `count` is the
 * length needed, and nothing else is written. N always suffices.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors;
 * `count` is NULL or valid for writing.
 */
OmmaStatus omma_match_descriptors(const struct OmmaContext *ctx,
                                  const struct OmmaMatchDescriptorsParams *params,
                                  const struct OmmaTensor *a,
                                  const struct OmmaTensor *b,
                                  const struct OmmaTensor *pairs,
                                  const struct OmmaTensor *distances,
                                  int64_t *count);

/**
 * Greedy non-maximum suppression: of `boxes` (N, 4) f32 with `scores` (N) f32,
 * the indices of those that no better kept one overlaps by more than
 * `iou_threshold`, best first, to the first `count` elements of `indices` (any
 * length) int64; the rest of `indices` is not written.
 *
 * Equal to torchvision's `nms` index by index: equal scores rank by index, NaN
 * scores rank first, boxes without area or with a NaN neither suppress nor are
 * suppressed (while the threshold is not negative).
 *
 * When `indices` is too short, the result is `OMMA_BUFFER_TOO_SMALL`, `count` is
 * the length needed, and nothing else is written. N, or `max_output` if
 * smaller, always suffices.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors;
 * `count` is NULL or valid for writing.
 */
OmmaStatus omma_nms(const struct OmmaContext *ctx,
                    const struct OmmaNmsParams *params,
                    const struct OmmaTensor *boxes,
                    const struct OmmaTensor *scores,
                    const struct OmmaTensor *indices,
                    int64_t *count);

/**
 * As `omma_nms`, among the boxes of each class alone; `classes` (N) is int64 or
 * int32, any values. The result is ordered by score over all classes, equal
 * scores by index; the limits in `params` count over all classes.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors;
 * `count` is NULL or valid for writing.
 */
OmmaStatus omma_batched_nms(const struct OmmaContext *ctx,
                            const struct OmmaNmsParams *params,
                            const struct OmmaTensor *boxes,
                            const struct OmmaTensor *scores,
                            const struct OmmaTensor *classes,
                            const struct OmmaTensor *indices,
                            int64_t *count);

/**
 * Suppression in each of B images: of `boxes` (B, N, 4) f32 with `scores` (B, N) f32 the indices
 * within the image that `omma_nms` keeps, best first, to the rows of `indices` (B, K) int64, and how
 * many they are to `counts` (B) int64. With `classes` (B, N), int64 or int32, not NULL, it is
 * `omma_batched_nms` in each image.
 *
 * An image keeps its best K boxes at most, and at most `max_output` where that is set; K = N never
 * cuts anything off. The rest of a row is -1. The limits of the params count for each image. Where
 * images have fewer than N boxes, fill up with scores that a `score_threshold` leaves out.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors.
 */
OmmaStatus omma_nms_per_image(const struct OmmaContext *ctx,
                              const struct OmmaNmsParams *params,
                              const struct OmmaTensor *boxes,
                              const struct OmmaTensor *scores,
                              const struct OmmaTensor *classes,
                              const struct OmmaTensor *indices,
                              const struct OmmaTensor *counts);

/**
 * Soft suppression (Bodla et al. 2017): the best of `boxes` (N, 4) f32 with `scores` (N) f32 is
 * selected, the scores of the others fall by their overlap with it, and so on. The indices in the
 * order of selection and the scores at that time go to the first `count` elements of `indices`
 * int64 and `kept_scores` f32, which are equally long; the rest is not written.
 *
 * Of equal scores the lowest index is selected. A box is dropped as soon as its score is below
 * `score_threshold`, NaN or minus infinity, from the start and after each step. The overlap of
 * empty boxes and of boxes with a NaN counts as 0.
 *
 * When the outputs are too short, the result is `OMMA_BUFFER_TOO_SMALL`, `count` is the length
 * needed, and nothing else is written. N, or `max_output` if smaller, always suffices.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors;
 * `count` is NULL or valid for writing.
 */
OmmaStatus omma_soft_nms(const struct OmmaContext *ctx,
                         const struct OmmaSoftNmsParams *params,
                         const struct OmmaTensor *boxes,
                         const struct OmmaTensor *scores,
                         const struct OmmaTensor *indices,
                         const struct OmmaTensor *kept_scores,
                         int64_t *count);

/**
 * Matrix suppression (SOLOv2, 2020, as PaddleDetection has it for boxes): the score of each of
 * `boxes` (N, 4) f32 with `scores` (N) f32 is lowered once, by the least of its factors with the
 * better boxes of its class: `(1 - iou) / (1 - most)`, or `exp(-sigma (iou² - most²))`, where `most`
 * is the largest overlap of the better box with one better still. `classes` (N) is int64 or int32,
 * or NULL for one class. The indices by lowered score, best first, equal ones in the order of
 * their first scores, and the lowered scores go to the first `count` elements of `indices` int64
 * and `kept_scores` f32, which are equally long; the rest is not written.
 *
 * The overlap of empty boxes and of boxes with a NaN counts as 0, a factor of 0/0 as none. The
 * limits in `params` count over all classes. When the outputs are too short: as `omma_soft_nms`.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors;
 * `count` is NULL or valid for writing.
 */
OmmaStatus omma_matrix_nms(const struct OmmaContext *ctx,
                           const struct OmmaMatrixNmsParams *params,
                           const struct OmmaTensor *boxes,
                           const struct OmmaTensor *scores,
                           const struct OmmaTensor *classes,
                           const struct OmmaTensor *indices,
                           const struct OmmaTensor *kept_scores,
                           int64_t *count);

/**
 * `output = max(x, 0)`, element by element, in float32.
 *
 * Any shape, any strides; `output` has the shape of `input` and may be the very same memory
 * (same address and strides); any other overlap is an error. NaN gives NaN.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_relu(const struct OmmaContext *ctx,
                     const struct OmmaTensor *input,
                     const struct OmmaTensor *output);

/**
 * `output = min(max(x, 0), 6)`, element by element, in float32.
 *
 * Any shape, any strides; `output` has the shape of `input` and may be the very same memory
 * (same address and strides); any other overlap is an error. NaN gives NaN.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_relu6(const struct OmmaContext *ctx,
                      const struct OmmaTensor *input,
                      const struct OmmaTensor *output);

/**
 * `output = 1 / (1 + exp(-x))`, element by element, in float32.
 *
 * Any shape, any strides; `output` has the shape of `input` and may be the very same memory
 * (same address and strides); any other overlap is an error. NaN gives NaN.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_sigmoid(const struct OmmaContext *ctx,
                        const struct OmmaTensor *input,
                        const struct OmmaTensor *output);

/**
 * `output = tanh(x)`, element by element, in float32.
 *
 * Any shape, any strides; `output` has the shape of `input` and may be the very same memory
 * (same address and strides); any other overlap is an error. NaN gives NaN.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_tanh(const struct OmmaContext *ctx,
                     const struct OmmaTensor *input,
                     const struct OmmaTensor *output);

/**
 * `output = x * sigmoid(x)`, element by element, in float32.
 *
 * Any shape, any strides; `output` has the shape of `input` and may be the very same memory
 * (same address and strides); any other overlap is an error. NaN gives NaN. At -inf it is NaN, as in torch.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_silu(const struct OmmaContext *ctx,
                     const struct OmmaTensor *input,
                     const struct OmmaTensor *output);

/**
 * `output = x * relu6(x + 3) / 6`, element by element, in float32.
 *
 * Any shape, any strides; `output` has the shape of `input` and may be the very same memory
 * (same address and strides); any other overlap is an error. NaN gives NaN. At -inf it is NaN, as in torch.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_hardswish(const struct OmmaContext *ctx,
                          const struct OmmaTensor *input,
                          const struct OmmaTensor *output);

/**
 * `output = x / 2 * (1 + erf(x / sqrt(2)))`, element by element, in float32.
 *
 * Any shape, any strides; `output` has the shape of `input` and may be the very same memory
 * (same address and strides); any other overlap is an error. NaN gives NaN. At -inf it is NaN, as in torch.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_gelu(const struct OmmaContext *ctx,
                     const struct OmmaTensor *input,
                     const struct OmmaTensor *output);

/**
 * `output = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`, element by element, in float32.
 *
 * Any shape, any strides; `output` has the shape of `input` and may be the very same memory
 * (same address and strides); any other overlap is an error. NaN gives NaN. At -inf it is NaN, as in torch.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_gelu_tanh(const struct OmmaContext *ctx,
                          const struct OmmaTensor *input,
                          const struct OmmaTensor *output);

/**
 * `output = x` if positive, else `negative_slope * x`, element by element, in float32.
 *
 * Any shape, any strides; `output` has the shape of `input` and may be the very same memory
 * (same address and strides); any other overlap is an error. NaN gives NaN.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_leaky_relu(const struct OmmaContext *ctx,
                           const struct OmmaLeakyReluParams *params,
                           const struct OmmaTensor *input,
                           const struct OmmaTensor *output);

/**
 * `output = x` if positive, else `slope * x`, element by element, in float32.
 *
 * `slope` has shape (1,); or (C,), C being the size of `params->axis` of `input`; or as many
 * dimensions as `input`, each of its size or 1, to be repeated along it.
 *
 * Any shape, any strides; `output` has the shape of `input` and may be the very same memory
 * (same address and strides); any other overlap is an error. NaN gives NaN.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_prelu(const struct OmmaContext *ctx,
                      const struct OmmaPreluParams *params,
                      const struct OmmaTensor *input,
                      const struct OmmaTensor *slope,
                      const struct OmmaTensor *output);

/**
 * `output = exp(x - max) / sum(exp(x - max))` with maximum and sum along one axis, in float32.
 *
 * Any shape, any strides; `output` has the shape of `input` and may be the very same memory
 * (same address and strides); any other overlap is an error. As in torch, a NaN or +inf in a row, or
 * nothing but -inf, makes the row NaN. The bits of the result do not depend on the number of threads.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_softmax(const struct OmmaContext *ctx,
                        const struct OmmaSoftmaxParams *params,
                        const struct OmmaTensor *input,
                        const struct OmmaTensor *output);

/**
 * `output = x - max - log(sum(exp(x - max)))` with maximum and sum along one axis, in float32.
 *
 * Shapes, strides, overlap and numbers that are not finite: as `omma_softmax`.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_log_softmax(const struct OmmaContext *ctx,
                            const struct OmmaSoftmaxParams *params,
                            const struct OmmaTensor *input,
                            const struct OmmaTensor *output);

/**
 * `output = (s - mean) / sqrt(variance + eps) * gamma + beta` with `s = input + residual`, in float32, as
 * torch's `layer_norm`.
 *
 * Mean and variance (of the whole population) are those of the axes from `params->axis` on; `gamma` and
 * `beta`, each NULL or of the shape of those axes, scale and shift. `residual`, NULL or of the shape of `input`,
 * is added first, and `sum`, NULL or of that shape, takes what was normalized: the residual of the
 * next layer.
 *
 * Any shape, any strides; `output` and `sum` have the shape of `input` and each may be the very memory of
 * `input` or `residual` (same address and strides), but not of each other; any other overlap is an error. A NaN or
 * an infinity makes its row NaN. The bits of the result do not depend on the number of threads.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
 */
OmmaStatus omma_layer_norm(const struct OmmaContext *ctx,
                           const struct OmmaNormParams *params,
                           const struct OmmaTensor *input,
                           const struct OmmaTensor *residual,
                           const struct OmmaTensor *gamma,
                           const struct OmmaTensor *beta,
                           const struct OmmaTensor *output,
                           const struct OmmaTensor *sum);

/**
 * `output = s / sqrt(mean(s²) + eps) * gamma` with `s = input + residual`, in float32, as torch's `rms_norm`.
 *
 * Arguments, shapes, strides, overlap and numbers that are not finite: as `omma_layer_norm`.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
 */
OmmaStatus omma_rms_norm(const struct OmmaContext *ctx,
                         const struct OmmaNormParams *params,
                         const struct OmmaTensor *input,
                         const struct OmmaTensor *residual,
                         const struct OmmaTensor *gamma,
                         const struct OmmaTensor *output,
                         const struct OmmaTensor *sum);

/**
 * The largest element of each window, and optionally where it is, in float32.
 *
 * `input` (N, C, H, W) or (C, H, W), NHWC: (N, H, W, C) or (H, W, C). `output` and, unless
 * NULL, `indices` (int64) have its shape with OH and OW in place of H and W:
 * `OH = (H + top + bottom - dilation * (KH - 1) - 1) / stride + 1`, OW likewise.
 *
 * An index counts in one image's plane: row times W plus column. The semantics are torch's: a
 * window with a NaN gives NaN and the index of its last NaN; the first of equal maxima counts. A
 * dilated window that hits no element gives -inf and index -1.
 *
 * Any strides. `output` and `indices` overlap neither `input` nor one another. A batch of zero is
 * legal. The bits of the result do not depend on the number of threads.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_max_pool2d(const struct OmmaContext *ctx,
                           const struct OmmaMaxPool2dParams *params,
                           const struct OmmaTensor *input,
                           const struct OmmaTensor *output,
                           const struct OmmaTensor *indices);

/**
 * The mean of each window, in float32.
 *
 * `input` (N, C, H, W) or (C, H, W), NHWC: (N, H, W, C) or (H, W, C). `output` has its shape with
 * OH and OW in place of H and W, as in `omma_max_pool2d`. A sum is divided by the
 * number of the window's elements that are in the input or its padding, by those in the input alone
 * (`OMMA_POOL_EXCLUDE_PAD`), or by `divisor_override`. The semantics are torch's; NaN and infinity
 * propagate. A dilated window that hits no element gives 0.
 *
 * Any strides. `output` does not overlap `input`. A batch of zero is legal. The bits of the
 * result do not depend on the number of threads.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_avg_pool2d(const struct OmmaContext *ctx,
                           const struct OmmaAvgPool2dParams *params,
                           const struct OmmaTensor *input,
                           const struct OmmaTensor *output);

/**
 * RoIAlign: bins of `rois`, sampled bilinearly from `x`, to `output`, in float32.
 *
 * `x` (N, C, H, W), NHWC: (N, H, W, C). `output` (K, C, PH, PW) or (K, PH, PW, C) for PH and PW of
 * `output_size`. `rois` (K, 5): the image, a number whose fraction is dropped, then x1, y1, x2, y2; or, with
 * `batch_indices` (K) int64 or int32 (else NULL), (K, 4) without the image. Coordinates are multiplied by
 * `spatial_scale`.
 *
 * The semantics are torchvision's: samples outside of -1 to H and -1 to W are 0, others beyond the border are on it. A
 * NaN in a pixel that a bin gives weight to makes the bin NaN. With `OMMA_ROI_ALIGN_MAX` and `OMMA_ROI_ALIGN_MAX_SAMPLE` a bin with samples
 * outside of the map is not below 0. A bin without samples (of an inverted RoI that is aligned and sampled adaptively, or of one with a
 * coordinate that is NaN or infinite) is 0. An image that is not there is an error. Huge RoIs cost no more than the map that they cover.
 *
 * Any strides. `output` overlaps no input. K, N, C, H and W may be zero. The bits of the
 * result do not depend on the number of threads.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_roi_align(const struct OmmaContext *ctx,
                          const struct OmmaRoiAlignParams *params,
                          const struct OmmaTensor *x,
                          const struct OmmaTensor *rois,
                          const struct OmmaTensor *batch_indices,
                          const struct OmmaTensor *output);

/**
 * The gradient of `omma_roi_align` with respect to its `x`, to `dx`, in float32.
 *
 * `dy` has the shape of that call's `output`, `dx` that of its `x`; `rois`, `batch_indices` and `params` are those of that call.
 * `x` is its `x`, and NULL is enough for `OMMA_ROI_ALIGN_AVG`.
 *
 * The gradient of a maximum goes to what was the maximum, the first in the order of samples when several are
 * equal: to one pixel, times its weight (`OMMA_ROI_ALIGN_MAX`), or to the four pixels of a sample
 * (`OMMA_ROI_ALIGN_MAX_SAMPLE`); it is lost where the maximum is the 0 of samples outside of the map.
 *
 * Any strides. `dx` overlaps no input. The bits of the result do not depend on the number of threads.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_roi_align_backward(const struct OmmaContext *ctx,
                                   const struct OmmaRoiAlignParams *params,
                                   const struct OmmaTensor *dy,
                                   const struct OmmaTensor *rois,
                                   const struct OmmaTensor *batch_indices,
                                   const struct OmmaTensor *x,
                                   const struct OmmaTensor *dx);

/**
 * RoIPool: the largest pixel of each bin of `rois`, to `output` in float32, and unless NULL where
 * it is to `argmax`, int32.
 *
 * Shapes are those of `omma_roi_align`; `argmax` has that of `output`. An index counts in one image's plane: row
 * times W plus column.
 *
 * The semantics are torchvision's: corners are rounded half away from zero and both belong to the RoI, which is one pixel long and
 * wide at least. The first of equal maxima counts. A bin without pixels is 0; a bin with nothing above the least
 * finite float (a NaN is above nothing) is that float; both have -1 in `argmax`. A RoI with a coordinate that is NaN or
 * infinite has no pixels. An image that is not there is an error.
 *
 * Any strides. The outputs overlap neither inputs nor one another. K, N, C, H and W may be zero. The bits of the
 * result do not depend on the number of threads.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_roi_pool(const struct OmmaContext *ctx,
                         const struct OmmaRoiPoolParams *params,
                         const struct OmmaTensor *x,
                         const struct OmmaTensor *rois,
                         const struct OmmaTensor *batch_indices,
                         const struct OmmaTensor *output,
                         const struct OmmaTensor *argmax);

/**
 * The gradient of `omma_roi_pool` with respect to its `x`, to `dx`, in float32: every bin gives its gradient to the
 * pixel that was its maximum.
 *
 * `dy` and `argmax` have the shape of that call's `output`, `dx` that of its `x`; `rois`, `batch_indices` and `params` are those of
 * that call. An index below 0 gives nothing, one outside of the map is an error.
 *
 * Any strides. `dx` overlaps no input. The bits of the result do not depend on the number of threads.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; the other pointers are NULL or valid, and so is the memory that
 * the tensors describe.
 */
OmmaStatus omma_roi_pool_backward(const struct OmmaContext *ctx,
                                  const struct OmmaRoiPoolParams *params,
                                  const struct OmmaTensor *dy,
                                  const struct OmmaTensor *rois,
                                  const struct OmmaTensor *batch_indices,
                                  const struct OmmaTensor *argmax,
                                  const struct OmmaTensor *dx);

/** The version of the library: `major * 10000 + minor * 100 + patch`. */
uint32_t omma_version(void);

/** The name of a status, for example `"OMMA_SHAPE_MISMATCH"`. Never NULL. */
const char *omma_status_name(OmmaStatus status);

/**
 * What went wrong in this thread's last failed call, naming the argument and
 * both sides of a mismatch. UTF-8, never NULL, empty before the first
 * failure, valid until the next failure on this thread. A success leaves it.
 */
const char *omma_last_error(void);

/**
 * Sinusoidal positions, as in "Attention Is All You Need": `output` (length, dim), float32, takes
 * `sin(p / 10000^(2i / dim))` at (p, 2i) and `cos(p / 10000^(2i / dim))` at (p, 2i + 1).
 *
 * The last column of an odd `dim` is a sine. Any strides. Right to the rounding of float32 at any
 * length.
 *
 * The caller ensures:
 * `output` is NULL or describes valid memory; `ctx` is NULL or valid.
 */
OmmaStatus omma_positional_encoding(const struct OmmaContext *ctx, const struct OmmaTensor *output);

/**
 * Packs a feed-forward network, `activation(input · w1ᵀ + b1) · w2ᵀ + b2` in float32, for the instruction
 * set of `ctx`: `w1` (hidden, in), `w2` (out, hidden), biases (rows of their weight,) or NULL. The
 * arrays are not needed afterwards.
 *
 * A plan is immutable, as that of `omma_multi_head_attention_create`. Destroy it with
 * `omma_feed_forward_destroy`.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid; `plan` is NULL or
 * valid for writing a pointer.
 */
OmmaStatus omma_feed_forward_create(const struct OmmaContext *ctx,
                                    const struct OmmaFeedForwardParams *params,
                                    const struct OmmaTensor *w1,
                                    const struct OmmaTensor *b1,
                                    const struct OmmaTensor *w2,
                                    const struct OmmaTensor *b2,
                                    struct OmmaFeedForward **plan);

/**
 * Runs a plan on `input` (…, in) into `output` (…, out), and adds `residual` (…, out) if it is not
 * NULL.
 *
 * Any strides. `output` may be the very array of input or residual; other overlap is an error. Zero-sized
 * dimensions are legal. The bits of the result do not depend on the number of threads. NaN and infinity
 * propagate. The instruction set is the plan's, threads and scratch are those of `ctx`.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
 */
OmmaStatus omma_feed_forward_run(const struct OmmaContext *ctx,
                                 const struct OmmaFeedForward *plan,
                                 const struct OmmaTensor *input,
                                 const struct OmmaTensor *residual,
                                 const struct OmmaTensor *output);

/**
 * Describes a plan; as `omma_multi_head_attention_describe`.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
 */
void omma_feed_forward_describe(const struct OmmaFeedForward *plan, char *text, size_t capacity);

/**
 * Frees a plan that no call uses any more. NULL is ignored.
 *
 * The caller ensures:
 * `plan` is NULL or comes from `omma_feed_forward_create` and was not destroyed.
 */
void omma_feed_forward_destroy(struct OmmaFeedForward *plan);

/**
 * Packs a layer of a transformer's encoder for the instruction set of `ctx`: torch's
 * `nn.TransformerEncoderLayer(batch_first=True)` in evaluation, with the arrays of its `state_dict` in
 * its order. With E features and F hidden ones: `in_proj_weight` (3E, E), `in_proj_bias` (3E,),
 * `out_proj_weight` (E, E), `out_proj_bias` (E,), `linear1_weight` (F, E), `linear1_bias` (F,),
 * `linear2_weight` (E, F), `linear2_bias` (E,), `norm1_weight`, `norm1_bias`, `norm2_weight`,
 * `norm2_bias` (E,). Biases and the arrays of the normalizations may be NULL. The arrays are not needed
 * afterwards.
 *
 * A plan is immutable, as that of `omma_multi_head_attention_create`. Destroy it with
 * `omma_transformer_encoder_layer_destroy`.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid; `plan` is NULL or
 * valid for writing a pointer.
 */
OmmaStatus omma_transformer_encoder_layer_create(const struct OmmaContext *ctx,
                                                 const struct OmmaTransformerEncoderLayerParams *params,
                                                 const struct OmmaTensor *in_proj_weight,
                                                 const struct OmmaTensor *in_proj_bias,
                                                 const struct OmmaTensor *out_proj_weight,
                                                 const struct OmmaTensor *out_proj_bias,
                                                 const struct OmmaTensor *linear1_weight,
                                                 const struct OmmaTensor *linear1_bias,
                                                 const struct OmmaTensor *linear2_weight,
                                                 const struct OmmaTensor *linear2_bias,
                                                 const struct OmmaTensor *norm1_weight,
                                                 const struct OmmaTensor *norm1_bias,
                                                 const struct OmmaTensor *norm2_weight,
                                                 const struct OmmaTensor *norm2_bias,
                                                 struct OmmaTransformerEncoderLayer **plan);

/**
 * Runs a plan on `input` (B, N, E) into `output` (B, N, E), in float32. With
 * `OMMA_ENCODER_LAYER_NORM_FIRST` s = input + attention(norm1(input)) and
 * output = s + feed_forward(norm2(s)), else s = norm1(input + attention(input)) and
 * output = norm2(s + feed_forward(s)).
 *
 * `mask` is as for `omma_attention`: NULL, booleans (false hides a key) or float32 (added), broadcasting to
 * (B, H, N, N). Torch's boolean `src_mask` (N, N) is the opposite of that, and so is its
 * `src_key_padding_mask` (B, N), which is (B, 1, 1, N) here.
 *
 * Any strides. `output` may be the very array of input; other overlap is an error. Zero-sized dimensions
 * are legal. The bits of the result do not depend on the number of threads, and scratch is not a
 * function of N times N. NaN makes the rows NaN that see it. Products run on the plan's instruction set,
 * attention and normalization on that of `ctx`, which also lends threads and scratch.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
 */
OmmaStatus omma_transformer_encoder_layer_run(const struct OmmaContext *ctx,
                                              const struct OmmaTransformerEncoderLayer *plan,
                                              const struct OmmaTensor *input,
                                              const struct OmmaTensor *mask,
                                              const struct OmmaTensor *output);

/**
 * Describes a plan; as `omma_multi_head_attention_describe`.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
 */
void omma_transformer_encoder_layer_describe(const struct OmmaTransformerEncoderLayer *plan,
                                             char *text,
                                             size_t capacity);

/**
 * Frees a plan that no call uses any more. NULL is ignored.
 *
 * The caller ensures:
 * `plan` is NULL or comes from `omma_transformer_encoder_layer_create` and was not destroyed.
 */
void omma_transformer_encoder_layer_destroy(struct OmmaTransformerEncoderLayer *plan);

/**
 * Packs the first layer of a vision transformer for the instruction set of `ctx`: a convolution whose stride
 * is its window, flattened to rows, in float32. `weight` (E, C, PH, PW); `bias` (E,), `class_token`
 * (E,) and `position_embedding` (rows, E) may be NULL. With a class token the first row of each image
 * is that. Positions are added to all rows, so that an image must have as many. The arrays are not
 * needed afterwards.
 *
 * A plan is immutable, as that of `omma_multi_head_attention_create`. Destroy it with
 * `omma_patch_embedding_destroy`.
 *
 * The caller ensures:
 * Tensors are NULL or describe valid memory; `ctx` is NULL or valid; `plan` is NULL or valid for
 * writing a pointer.
 */
OmmaStatus omma_patch_embedding_create(const struct OmmaContext *ctx,
                                       const struct OmmaTensor *weight,
                                       const struct OmmaTensor *bias,
                                       const struct OmmaTensor *class_token,
                                       const struct OmmaTensor *position_embedding,
                                       struct OmmaPatchEmbedding **plan);

/**
 * Runs a plan on images `input` (B, C, H, W) into `output` (B, rows, E): the class token if there is one,
 * then (H / PH) * (W / PW) patches, line by line. What is left of an image beyond whole
 * patches is ignored, as a convolution does.
 *
 * Any strides: images (B, H, W, C) are passed with their axes permuted. `output` must not overlap `input`.
 * Zero-sized dimensions are legal. The bits of the result do not depend on the number of threads. NaN
 * and infinity propagate within their patch. The instruction set is the plan's, threads and scratch
 * are those of `ctx`.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; tensors are NULL or describe valid memory.
 */
OmmaStatus omma_patch_embedding_run(const struct OmmaContext *ctx,
                                    const struct OmmaPatchEmbedding *plan,
                                    const struct OmmaTensor *input,
                                    const struct OmmaTensor *output);

/**
 * Describes a plan; as `omma_multi_head_attention_describe`.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; `text` is NULL or valid for writing `capacity` bytes.
 */
void omma_patch_embedding_describe(const struct OmmaPatchEmbedding *plan, char *text, size_t capacity);

/**
 * Frees a plan that no call uses any more. NULL is ignored.
 *
 * The caller ensures:
 * `plan` is NULL or comes from `omma_patch_embedding_create` and was not destroyed.
 */
void omma_patch_embedding_destroy(struct OmmaPatchEmbedding *plan);

/**
 * Warps an image by a matrix of two rows.
 *
 * `matrix` takes a place `(x, y)` of the image to `(m0 x + m1 y + m2, m3 x + m4 y + m5)` of the output and is inverted;
 * with `OMMA_WARP_INVERSE` it takes a place of the output to where its sample is in the image. The centre of the first pixel is (0, 0).
 *
 * `image` and `output` are (H, W, C) or (H, W), both uint8 or both float32, with the same one to four channels, of any two sizes and
 * with any strides. They may not overlap in memory. An output without pixels is legal.
 *
 * The result is that of OpenCV 5's `warpAffine`: coordinates and interpolation in float32, bytes rounded to nearest,
 * ties to even. Cubic has A = -0.75 and exact weights, where OpenCV rounds them to 1/32 of a pixel. A pixel none of whose samples is inside is
 * `value` with `OMMA_BORDER_CONSTANT`. A coordinate that is NaN, with any border, or infinite, with one that repeats, gives
 * `value` too; infinity with `OMMA_BORDER_REPLICATE` the border pixel. NaN and infinity among samples reach the pixels
 * that they are interpolated into, even with weight zero.
 *
 * Errors: a matrix that is not finite, or has no inverse and needs one; an image without pixels for an output that has
 * some; `OMMA_UNSUPPORTED` for more than four channels.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
 */
OmmaStatus omma_warp_affine(const struct OmmaContext *ctx,
                            const struct OmmaWarpAffineParams *params,
                            const struct OmmaTensor *image,
                            const struct OmmaTensor *output);

/**
 * Warps an image by a matrix of three rows.
 *
 * As `omma_warp_affine`, with the place `(m0 x + m1 y + m2, m3 x + m4 y + m5) / (m6 x + m7 y + m8)`; the result is that of
 * OpenCV 5's `warpPerspective`. Where the divisor is zero the coordinate is infinite or NaN; where
 * it is negative the place is behind the viewer, and taken like any other.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
 */
OmmaStatus omma_warp_perspective(const struct OmmaContext *ctx,
                                 const struct OmmaWarpPerspectiveParams *params,
                                 const struct OmmaTensor *image,
                                 const struct OmmaTensor *output);

/**
 * Rotates an image by `degrees`, counter-clockwise as one looks at it, around its centre, which comes to lie at the
 * centre of `output`.
 *
 * The size of `output` is free: that of the image cuts the corners, that of `omma_rotated_size` holds all of it.
 * Types, channels, strides, interpolation, borders and errors are as for `omma_warp_affine`. Multiples
 * of 90 degrees are exact copies when the (turned) sides of image and output differ by even numbers, so that pixels fall on
 * pixels.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
 */
OmmaStatus omma_rotate(const struct OmmaContext *ctx,
                       const struct OmmaRotateParams *params,
                       const struct OmmaTensor *image,
                       const struct OmmaTensor *output);

/**
 * The canvas on which nothing is cut when an image is rotated: the extent of its rotated corners,
 * `ceil(max) - floor(min)`, as Pillow; for multiples of 90 degrees the sides themselves. An image without pixels has an empty canvas.
 *
 * The caller ensures:
 * `height` and `width` are NULL (an error) or valid for writing.
 */
OmmaStatus omma_rotated_size(int64_t image_height,
                             int64_t image_width,
                             double degrees,
                             int64_t *height,
                             int64_t *width);

/**
 * Takes each pixel of `output` from a place of `image` that two maps tell.
 *
 * `map_x` and `map_y` are float32 (H', W') like the output, in pixels of the image, the centre of the first one at
 * (0, 0). The result is that of OpenCV 5's `remap` with two `CV_32FC1` maps; all else is as for `omma_warp_affine`. The output may
 * overlap neither image nor maps.
 *
 * Maps that are used more than once can be kept: `omma_remap_create`.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
 */
OmmaStatus omma_remap(const struct OmmaContext *ctx,
                      const struct OmmaRemapParams *params,
                      const struct OmmaTensor *image,
                      const struct OmmaTensor *map_x,
                      const struct OmmaTensor *map_y,
                      const struct OmmaTensor *output);

/**
 * Keeps maps: a plan that remaps any number of images of any size, uint8 and float32. Arguments as for `omma_remap`; the maps
 * are not needed afterwards.
 *
 * A plan is immutable: any number of threads may run it at once, with a context they share or one each. It does not need the
 * context that made it, but its memory comes from that context's allocator. Destroy it with
 * `omma_remap_destroy`. The result has the very bits of `omma_remap`.
 *
 * The caller ensures:
 * As for `omma_remap`; `plan` is NULL or valid for writing a pointer.
 */
OmmaStatus omma_remap_create(const struct OmmaContext *ctx,
                             const struct OmmaRemapParams *params,
                             const struct OmmaTensor *map_x,
                             const struct OmmaTensor *map_y,
                             struct OmmaRemap **plan);

/**
 * Remaps `image` to `output` with a plan; both as for `omma_remap`.
 *
 * The caller ensures:
 * `plan` is NULL or a living plan; `ctx` is NULL or a living context; tensors are NULL or as their type says.
 */
OmmaStatus omma_remap_run(const struct OmmaContext *ctx,
                          const struct OmmaRemap *plan,
                          const struct OmmaTensor *image,
                          const struct OmmaTensor *output);

/**
 * Frees a plan that no call uses any more. NULL is ignored.
 *
 * The caller ensures:
 * `plan` is NULL or comes from `omma_remap_create` and was not destroyed.
 */
void omma_remap_destroy(struct OmmaRemap *plan);

/**
 * Samples the planes of `input` (N, C, H, W) at the places of `grid` (N, H', W', 2), x first, to `output` (N, C, H', W'), all float32, as
 * `torch.nn.functional.grid_sample`.
 *
 * -1 and 1 are the edges of the planes, or with `OMMA_GRID_SAMPLE_ALIGN_CORNERS` the centres of the corner pixels. Cubic
 * has A = -0.75. Nearest is the closest pixel, ties to even. A coordinate that is NaN counts as outside with
 * `OMMA_PADDING_ZEROS`, and as the first pixel else. NaN and infinity among samples reach the pixels that they are interpolated into, even with weight
 * zero; what is outside counts as zero.
 *
 * Any strides; the output may overlap neither input nor grid. Errors: shapes that do not fit; planes without pixels for an
 * output that has some.
 *
 * The caller ensures:
 * `ctx` is NULL or a living context; params and tensors are NULL or as their types say.
 */
OmmaStatus omma_grid_sample(const struct OmmaContext *ctx,
                            const struct OmmaGridSampleParams *params,
                            const struct OmmaTensor *input,
                            const struct OmmaTensor *grid,
                            const struct OmmaTensor *output);

/**
 * What the head of a YOLO puts out, f32 of any strides, to boxes as corners (x1, y1, x2, y2) in
 * pixels (K, 4) f32, `scores` (K) f32 and `classes` (K) int64, leaving out all whose score is not
 * above the threshold: the first `count` rows are written. `indices` (K) int64, or NULL, takes which
 * anchor of its image a detection is (its place in N, in a grid `(a H + y) W + x`), `counts` (B)
 * int64, or NULL, how many detections each image has. `anchors` (A, 2) f32 are widths and heights
 * in pixels, for grids, and NULL for other heads.
 *
 * Detections come by image, within it by anchor, and with `OMMA_YOLO_MULTI_LABEL` by class. A score
 * is the class score, times the objectness where there is one; an anchor whose objectness alone is
 * not above the threshold is left out. Of equal class scores the first class wins; NaN is never
 * above; with logits the class is that of the largest logit. An export with its axes the other
 * way round is passed with its strides. No output may overlap an input or another output.
 *
 * When K is too small, the result is `OMMA_BUFFER_TOO_SMALL`, `count` is the length needed, and
 * nothing else is written.
 *
 * The caller ensures:
 * Pointers are NULL or valid as documented for contexts, params and tensors;
 * `count` is NULL or valid for writing.
 */
OmmaStatus omma_yolo_decode(const struct OmmaContext *ctx,
                            const struct OmmaYoloDecodeParams *params,
                            const struct OmmaTensor *head,
                            const struct OmmaTensor *anchors,
                            const struct OmmaTensor *boxes,
                            const struct OmmaTensor *scores,
                            const struct OmmaTensor *classes,
                            const struct OmmaTensor *indices,
                            const struct OmmaTensor *counts,
                            int64_t *count);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* OMMA_H */
