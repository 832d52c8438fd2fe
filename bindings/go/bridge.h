/* What stands between Go and omma.h: one static function for each call.
 *
 * An OmmaTensor holds pointers, and cgo wants memory that holds Go pointers to be pinned. So Go
 * passes the address of a tensor's first element and its layout, which holds no pointer, as two
 * arguments, and the OmmaTensor is made here, on the C stack: nothing is pinned and nothing is
 * allocated. The message of a failure is copied here too, while this is still the thread that
 * failed; omma_last_error() belongs to a thread, and a goroutine may go on with another one. */
#ifndef OMMA_GO_BRIDGE_H
#define OMMA_GO_BRIDGE_H

#include <omma.h>
#include <stdlib.h>
#include <string.h>

/* A tensor without its address; tensor.go has the same struct. */
typedef struct OmmaGoLayout {
    int64_t shape[8];
    int64_t strides[8];
    int32_t rank;
    uint8_t code;
    uint8_t bits;
} OmmaGoLayout;

/* The message of a failure is the caller's to free; NULL when memory is short. */
typedef struct OmmaGoResult {
    OmmaStatus status;
    char *message;
} OmmaGoResult;

static inline OmmaGoResult omma_go_result(OmmaStatus status)
{
    OmmaGoResult result = {status, NULL};
    if (status != OMMA_OK) {
        const char *message = omma_last_error();
        const size_t size = strlen(message) + 1;
        result.message = malloc(size);
        if (result.message != NULL) memcpy(result.message, message, size);
    }
    return result;
}

static inline const OmmaTensor *omma_go_tensor(OmmaTensor *tensor, const uint8_t *data, const OmmaGoLayout *layout)
{
    if (layout == NULL) return NULL;
    tensor->data = (void *)data;
    tensor->device.device_type = OMMA_DEVICE_CPU;
    tensor->device.device_id = 0;
    tensor->ndim = layout->rank;
    tensor->dtype.code = layout->code;
    tensor->dtype.bits = layout->bits;
    tensor->dtype.lanes = 1;
    tensor->shape = layout->shape;
    tensor->strides = layout->strides;
    tensor->byte_offset = 0;
    return tensor;
}

/* A tensor as two parameters, and the OmmaTensor that they mean; no layout is no tensor. */
#define OMMA_GO_ARG(name) const uint8_t *name##_data, const OmmaGoLayout *name##_layout
#define OMMA_GO_TENSOR(name) omma_go_tensor(&(OmmaTensor){0}, name##_data, name##_layout)

/* contexts */

static inline OmmaGoResult omma_go_context_create(const OmmaContextOptions *options, OmmaContext **context)
{
    return omma_go_result(omma_context_create(options, context));
}

/* convolution */

static inline OmmaGoResult omma_go_conv2d(const OmmaContext *ctx, const OmmaConv2dParams *params, OMMA_GO_ARG(slope),
                                          OMMA_GO_ARG(input), OMMA_GO_ARG(weight), OMMA_GO_ARG(bias),
                                          OMMA_GO_ARG(residual), OMMA_GO_ARG(output))
{
    OmmaConv2dParams filled = *params;
    filled.activation_slope = OMMA_GO_TENSOR(slope);
    return omma_go_result(omma_conv2d(ctx, &filled, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(weight), OMMA_GO_TENSOR(bias),
                                      OMMA_GO_TENSOR(residual), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_conv2d_create(const OmmaContext *ctx, const OmmaConv2dParams *params,
                                                 OMMA_GO_ARG(slope), OMMA_GO_ARG(weight), OMMA_GO_ARG(bias),
                                                 OmmaConv2d **plan)
{
    OmmaConv2dParams filled = *params;
    filled.activation_slope = OMMA_GO_TENSOR(slope);
    return omma_go_result(omma_conv2d_create(ctx, &filled, OMMA_GO_TENSOR(weight), OMMA_GO_TENSOR(bias), plan));
}

static inline OmmaGoResult omma_go_conv2d_run(const OmmaContext *ctx, const OmmaConv2d *plan, OMMA_GO_ARG(input),
                                              OMMA_GO_ARG(residual), OMMA_GO_ARG(output))
{
    return omma_go_result(
        omma_conv2d_run(ctx, plan, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(residual), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_conv2d_output_shape(const OmmaConv2d *plan, int64_t h, int64_t w, int64_t *output_h,
                                                       int64_t *output_w)
{
    return omma_go_result(omma_conv2d_output_shape(plan, h, w, output_h, output_w));
}

static inline OmmaGoResult omma_go_deform_conv2d(const OmmaContext *ctx, const OmmaDeformConv2dParams *params,
                                                 OMMA_GO_ARG(input), OMMA_GO_ARG(offset), OMMA_GO_ARG(weight),
                                                 OMMA_GO_ARG(bias), OMMA_GO_ARG(mask), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_deform_conv2d(ctx, params, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(offset),
                                             OMMA_GO_TENSOR(weight), OMMA_GO_TENSOR(bias), OMMA_GO_TENSOR(mask),
                                             OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_conv_transpose2d(const OmmaContext *ctx, const OmmaConvTranspose2dParams *params,
                                                    OMMA_GO_ARG(slope), OMMA_GO_ARG(input), OMMA_GO_ARG(weight),
                                                    OMMA_GO_ARG(bias), OMMA_GO_ARG(output))
{
    OmmaConvTranspose2dParams filled = *params;
    filled.activation_slope = OMMA_GO_TENSOR(slope);
    return omma_go_result(omma_conv_transpose2d(ctx, &filled, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(weight),
                                                OMMA_GO_TENSOR(bias), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_conv_transpose2d_create(const OmmaContext *ctx,
                                                           const OmmaConvTranspose2dParams *params, OMMA_GO_ARG(slope),
                                                           OMMA_GO_ARG(weight), OMMA_GO_ARG(bias),
                                                           OmmaConvTranspose2d **plan)
{
    OmmaConvTranspose2dParams filled = *params;
    filled.activation_slope = OMMA_GO_TENSOR(slope);
    return omma_go_result(
        omma_conv_transpose2d_create(ctx, &filled, OMMA_GO_TENSOR(weight), OMMA_GO_TENSOR(bias), plan));
}

static inline OmmaGoResult omma_go_conv_transpose2d_run(const OmmaContext *ctx, const OmmaConvTranspose2d *plan,
                                                        OMMA_GO_ARG(input), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_conv_transpose2d_run(ctx, plan, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_conv_transpose2d_output_shape(const OmmaConvTranspose2d *plan, int64_t h, int64_t w,
                                                                 int64_t *output_h, int64_t *output_w)
{
    return omma_go_result(omma_conv_transpose2d_output_shape(plan, h, w, output_h, output_w));
}

static inline OmmaGoResult omma_go_fold_batch_norm(const OmmaContext *ctx, const OmmaFoldBatchNormParams *params,
                                                   OMMA_GO_ARG(weight), OMMA_GO_ARG(bias), OMMA_GO_ARG(gamma),
                                                   OMMA_GO_ARG(beta), OMMA_GO_ARG(mean), OMMA_GO_ARG(variance),
                                                   OMMA_GO_ARG(output_weight), OMMA_GO_ARG(output_bias))
{
    return omma_go_result(omma_fold_batch_norm(ctx, params, OMMA_GO_TENSOR(weight), OMMA_GO_TENSOR(bias),
                                               OMMA_GO_TENSOR(gamma), OMMA_GO_TENSOR(beta), OMMA_GO_TENSOR(mean),
                                               OMMA_GO_TENSOR(variance), OMMA_GO_TENSOR(output_weight),
                                               OMMA_GO_TENSOR(output_bias)));
}

static inline OmmaGoResult omma_go_merge_parallel_conv2d(const OmmaContext *ctx,
                                                         const OmmaMergeParallelConv2dParams *params,
                                                         OMMA_GO_ARG(weight_1), OMMA_GO_ARG(bias_1),
                                                         OMMA_GO_ARG(weight_2), OMMA_GO_ARG(bias_2),
                                                         OMMA_GO_ARG(output_weight), OMMA_GO_ARG(output_bias))
{
    return omma_go_result(omma_merge_parallel_conv2d(ctx, params, OMMA_GO_TENSOR(weight_1), OMMA_GO_TENSOR(bias_1),
                                                     OMMA_GO_TENSOR(weight_2), OMMA_GO_TENSOR(bias_2),
                                                     OMMA_GO_TENSOR(output_weight), OMMA_GO_TENSOR(output_bias)));
}

static inline OmmaGoResult omma_go_merge_conv2d_avg_pool2d(const OmmaContext *ctx,
                                                           const OmmaMergeConv2dAvgPool2dParams *params,
                                                           OMMA_GO_ARG(weight), OMMA_GO_ARG(output_weight))
{
    return omma_go_result(
        omma_merge_conv2d_avg_pool2d(ctx, params, OMMA_GO_TENSOR(weight), OMMA_GO_TENSOR(output_weight)));
}

static inline OmmaGoResult omma_go_receptive_field(const OmmaWindow *layers, size_t count, OmmaReceptiveField *field)
{
    return omma_go_result(omma_receptive_field(layers, count, field));
}

/* matrices */

static inline OmmaGoResult omma_go_matmul(const OmmaContext *ctx, OMMA_GO_ARG(a), OMMA_GO_ARG(b), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_matmul(ctx, OMMA_GO_TENSOR(a), OMMA_GO_TENSOR(b), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_linear(const OmmaContext *ctx, const OmmaLinearParams *params, OMMA_GO_ARG(input),
                                          OMMA_GO_ARG(weight), OMMA_GO_ARG(bias), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_linear(ctx, params, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(weight), OMMA_GO_TENSOR(bias),
                                      OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_linear_create(const OmmaContext *ctx, const OmmaLinearParams *params,
                                                 OMMA_GO_ARG(weight), OMMA_GO_ARG(bias), OmmaLinear **plan)
{
    return omma_go_result(omma_linear_create(ctx, params, OMMA_GO_TENSOR(weight), OMMA_GO_TENSOR(bias), plan));
}

static inline OmmaGoResult omma_go_linear_run(const OmmaContext *ctx, const OmmaLinear *plan, OMMA_GO_ARG(input),
                                              OMMA_GO_ARG(output))
{
    return omma_go_result(omma_linear_run(ctx, plan, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(output)));
}

/* activations and softmax */

#define OMMA_GO_UNARY(name)                                                                                   \
    static inline OmmaGoResult omma_go_##name(const OmmaContext *ctx, OMMA_GO_ARG(input), OMMA_GO_ARG(output)) \
    {                                                                                                         \
        return omma_go_result(omma_##name(ctx, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(output)));               \
    }

OMMA_GO_UNARY(relu)
OMMA_GO_UNARY(relu6)
OMMA_GO_UNARY(sigmoid)
OMMA_GO_UNARY(tanh)
OMMA_GO_UNARY(silu)
OMMA_GO_UNARY(hardswish)
OMMA_GO_UNARY(gelu)
OMMA_GO_UNARY(gelu_tanh)

static inline OmmaGoResult omma_go_leaky_relu(const OmmaContext *ctx, const OmmaLeakyReluParams *params,
                                              OMMA_GO_ARG(input), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_leaky_relu(ctx, params, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_prelu(const OmmaContext *ctx, const OmmaPreluParams *params, OMMA_GO_ARG(input),
                                         OMMA_GO_ARG(slope), OMMA_GO_ARG(output))
{
    return omma_go_result(
        omma_prelu(ctx, params, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(slope), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_softmax(const OmmaContext *ctx, const OmmaSoftmaxParams *params, OMMA_GO_ARG(input),
                                           OMMA_GO_ARG(output))
{
    return omma_go_result(omma_softmax(ctx, params, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_log_softmax(const OmmaContext *ctx, const OmmaSoftmaxParams *params,
                                               OMMA_GO_ARG(input), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_log_softmax(ctx, params, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(output)));
}

/* attention and normalization */

static inline OmmaGoResult omma_go_attention(const OmmaContext *ctx, const OmmaAttentionParams *params, OMMA_GO_ARG(q),
                                             OMMA_GO_ARG(k), OMMA_GO_ARG(v), OMMA_GO_ARG(mask), OMMA_GO_ARG(output),
                                             OMMA_GO_ARG(log_sum_exp))
{
    return omma_go_result(omma_attention(ctx, params, OMMA_GO_TENSOR(q), OMMA_GO_TENSOR(k), OMMA_GO_TENSOR(v),
                                         OMMA_GO_TENSOR(mask), OMMA_GO_TENSOR(output), OMMA_GO_TENSOR(log_sum_exp)));
}

static inline OmmaGoResult omma_go_layer_norm(const OmmaContext *ctx, const OmmaNormParams *params, OMMA_GO_ARG(input),
                                              OMMA_GO_ARG(residual), OMMA_GO_ARG(gamma), OMMA_GO_ARG(beta),
                                              OMMA_GO_ARG(output), OMMA_GO_ARG(sum))
{
    return omma_go_result(omma_layer_norm(ctx, params, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(residual),
                                          OMMA_GO_TENSOR(gamma), OMMA_GO_TENSOR(beta), OMMA_GO_TENSOR(output),
                                          OMMA_GO_TENSOR(sum)));
}

static inline OmmaGoResult omma_go_rms_norm(const OmmaContext *ctx, const OmmaNormParams *params, OMMA_GO_ARG(input),
                                            OMMA_GO_ARG(residual), OMMA_GO_ARG(gamma), OMMA_GO_ARG(output),
                                            OMMA_GO_ARG(sum))
{
    return omma_go_result(omma_rms_norm(ctx, params, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(residual),
                                        OMMA_GO_TENSOR(gamma), OMMA_GO_TENSOR(output), OMMA_GO_TENSOR(sum)));
}

/* pooling */

static inline OmmaGoResult omma_go_max_pool2d(const OmmaContext *ctx, const OmmaMaxPool2dParams *params,
                                              OMMA_GO_ARG(input), OMMA_GO_ARG(output), OMMA_GO_ARG(indices))
{
    return omma_go_result(
        omma_max_pool2d(ctx, params, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(output), OMMA_GO_TENSOR(indices)));
}

static inline OmmaGoResult omma_go_avg_pool2d(const OmmaContext *ctx, const OmmaAvgPool2dParams *params,
                                              OMMA_GO_ARG(input), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_avg_pool2d(ctx, params, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(output)));
}

/* images */

static inline OmmaGoResult omma_go_resize(const OmmaContext *ctx, const OmmaResizeParams *params, OMMA_GO_ARG(image),
                                          OMMA_GO_ARG(output))
{
    return omma_go_result(omma_resize(ctx, params, OMMA_GO_TENSOR(image), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_median_blur(const OmmaContext *ctx, const OmmaMedianBlurParams *params,
                                               OMMA_GO_ARG(image), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_median_blur(ctx, params, OMMA_GO_TENSOR(image), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_image_to_tensor(const OmmaContext *ctx, const OmmaImageToTensorParams *params,
                                                   OMMA_GO_ARG(image), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_image_to_tensor(ctx, params, OMMA_GO_TENSOR(image), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_letterbox(int64_t image_height, int64_t image_width, int64_t frame_height,
                                             int64_t frame_width, OmmaLetterbox *placement)
{
    return omma_go_result(omma_letterbox(image_height, image_width, frame_height, frame_width, placement));
}

/* images at other places */

static inline OmmaGoResult omma_go_warp_affine(const OmmaContext *ctx, const OmmaWarpAffineParams *params,
                                               OMMA_GO_ARG(image), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_warp_affine(ctx, params, OMMA_GO_TENSOR(image), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_warp_perspective(const OmmaContext *ctx, const OmmaWarpPerspectiveParams *params,
                                                    OMMA_GO_ARG(image), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_warp_perspective(ctx, params, OMMA_GO_TENSOR(image), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_rotate(const OmmaContext *ctx, const OmmaRotateParams *params, OMMA_GO_ARG(image),
                                          OMMA_GO_ARG(output))
{
    return omma_go_result(omma_rotate(ctx, params, OMMA_GO_TENSOR(image), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_rotated_size(int64_t image_height, int64_t image_width, double degrees,
                                                int64_t *height, int64_t *width)
{
    return omma_go_result(omma_rotated_size(image_height, image_width, degrees, height, width));
}

static inline OmmaGoResult omma_go_remap(const OmmaContext *ctx, const OmmaRemapParams *params, OMMA_GO_ARG(image),
                                         OMMA_GO_ARG(map_x), OMMA_GO_ARG(map_y), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_remap(ctx, params, OMMA_GO_TENSOR(image), OMMA_GO_TENSOR(map_x), OMMA_GO_TENSOR(map_y),
                                     OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_remap_create(const OmmaContext *ctx, const OmmaRemapParams *params,
                                                OMMA_GO_ARG(map_x), OMMA_GO_ARG(map_y), OmmaRemap **plan)
{
    return omma_go_result(omma_remap_create(ctx, params, OMMA_GO_TENSOR(map_x), OMMA_GO_TENSOR(map_y), plan));
}

static inline OmmaGoResult omma_go_remap_run(const OmmaContext *ctx, const OmmaRemap *plan, OMMA_GO_ARG(image),
                                             OMMA_GO_ARG(output))
{
    return omma_go_result(omma_remap_run(ctx, plan, OMMA_GO_TENSOR(image), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_grid_sample(const OmmaContext *ctx, const OmmaGridSampleParams *params,
                                               OMMA_GO_ARG(input), OMMA_GO_ARG(grid), OMMA_GO_ARG(output))
{
    return omma_go_result(
        omma_grid_sample(ctx, params, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(grid), OMMA_GO_TENSOR(output)));
}

/* regions of interest */

static inline OmmaGoResult omma_go_roi_align(const OmmaContext *ctx, const OmmaRoiAlignParams *params, OMMA_GO_ARG(x),
                                             OMMA_GO_ARG(rois), OMMA_GO_ARG(batch_indices), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_roi_align(ctx, params, OMMA_GO_TENSOR(x), OMMA_GO_TENSOR(rois),
                                         OMMA_GO_TENSOR(batch_indices), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_roi_align_backward(const OmmaContext *ctx, const OmmaRoiAlignParams *params,
                                                      OMMA_GO_ARG(dy), OMMA_GO_ARG(rois), OMMA_GO_ARG(batch_indices),
                                                      OMMA_GO_ARG(x), OMMA_GO_ARG(dx))
{
    return omma_go_result(omma_roi_align_backward(ctx, params, OMMA_GO_TENSOR(dy), OMMA_GO_TENSOR(rois),
                                                  OMMA_GO_TENSOR(batch_indices), OMMA_GO_TENSOR(x),
                                                  OMMA_GO_TENSOR(dx)));
}

static inline OmmaGoResult omma_go_roi_pool(const OmmaContext *ctx, const OmmaRoiPoolParams *params, OMMA_GO_ARG(x),
                                            OMMA_GO_ARG(rois), OMMA_GO_ARG(batch_indices), OMMA_GO_ARG(output),
                                            OMMA_GO_ARG(argmax))
{
    return omma_go_result(omma_roi_pool(ctx, params, OMMA_GO_TENSOR(x), OMMA_GO_TENSOR(rois),
                                        OMMA_GO_TENSOR(batch_indices), OMMA_GO_TENSOR(output),
                                        OMMA_GO_TENSOR(argmax)));
}

static inline OmmaGoResult omma_go_roi_pool_backward(const OmmaContext *ctx, const OmmaRoiPoolParams *params,
                                                     OMMA_GO_ARG(dy), OMMA_GO_ARG(rois), OMMA_GO_ARG(batch_indices),
                                                     OMMA_GO_ARG(argmax), OMMA_GO_ARG(dx))
{
    return omma_go_result(omma_roi_pool_backward(ctx, params, OMMA_GO_TENSOR(dy), OMMA_GO_TENSOR(rois),
                                                 OMMA_GO_TENSOR(batch_indices), OMMA_GO_TENSOR(argmax),
                                                 OMMA_GO_TENSOR(dx)));
}

/* boxes */

static inline OmmaGoResult omma_go_box_iou(const OmmaContext *ctx, const OmmaBoxIouParams *params, OMMA_GO_ARG(a),
                                           OMMA_GO_ARG(b), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_box_iou(ctx, params, OMMA_GO_TENSOR(a), OMMA_GO_TENSOR(b), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_box_iou_elementwise(const OmmaContext *ctx, const OmmaBoxIouParams *params,
                                                       OMMA_GO_ARG(a), OMMA_GO_ARG(b), OMMA_GO_ARG(output))
{
    return omma_go_result(
        omma_box_iou_elementwise(ctx, params, OMMA_GO_TENSOR(a), OMMA_GO_TENSOR(b), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_nms(const OmmaContext *ctx, const OmmaNmsParams *params, OMMA_GO_ARG(boxes),
                                       OMMA_GO_ARG(scores), OMMA_GO_ARG(indices), int64_t *count)
{
    return omma_go_result(
        omma_nms(ctx, params, OMMA_GO_TENSOR(boxes), OMMA_GO_TENSOR(scores), OMMA_GO_TENSOR(indices), count));
}

static inline OmmaGoResult omma_go_batched_nms(const OmmaContext *ctx, const OmmaNmsParams *params, OMMA_GO_ARG(boxes),
                                               OMMA_GO_ARG(scores), OMMA_GO_ARG(classes), OMMA_GO_ARG(indices),
                                               int64_t *count)
{
    return omma_go_result(omma_batched_nms(ctx, params, OMMA_GO_TENSOR(boxes), OMMA_GO_TENSOR(scores),
                                           OMMA_GO_TENSOR(classes), OMMA_GO_TENSOR(indices), count));
}

static inline OmmaGoResult omma_go_box_iou_3d(const OmmaContext *ctx, OMMA_GO_ARG(a), OMMA_GO_ARG(b), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_box_iou_3d(ctx, OMMA_GO_TENSOR(a), OMMA_GO_TENSOR(b), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_box_convert(const OmmaContext *ctx, const OmmaBoxConvertParams *params,
                                               OMMA_GO_ARG(boxes), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_box_convert(ctx, params, OMMA_GO_TENSOR(boxes), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_nms_per_image(const OmmaContext *ctx, const OmmaNmsParams *params, OMMA_GO_ARG(boxes),
                                                 OMMA_GO_ARG(scores), OMMA_GO_ARG(classes), OMMA_GO_ARG(indices),
                                                 OMMA_GO_ARG(counts))
{
    return omma_go_result(omma_nms_per_image(ctx, params, OMMA_GO_TENSOR(boxes), OMMA_GO_TENSOR(scores),
                                             OMMA_GO_TENSOR(classes), OMMA_GO_TENSOR(indices), OMMA_GO_TENSOR(counts)));
}

static inline OmmaGoResult omma_go_soft_nms(const OmmaContext *ctx, const OmmaSoftNmsParams *params, OMMA_GO_ARG(boxes),
                                            OMMA_GO_ARG(scores), OMMA_GO_ARG(indices), OMMA_GO_ARG(kept_scores),
                                            int64_t *count)
{
    return omma_go_result(omma_soft_nms(ctx, params, OMMA_GO_TENSOR(boxes), OMMA_GO_TENSOR(scores),
                                        OMMA_GO_TENSOR(indices), OMMA_GO_TENSOR(kept_scores), count));
}

static inline OmmaGoResult omma_go_matrix_nms(const OmmaContext *ctx, const OmmaMatrixNmsParams *params,
                                              OMMA_GO_ARG(boxes), OMMA_GO_ARG(scores), OMMA_GO_ARG(classes),
                                              OMMA_GO_ARG(indices), OMMA_GO_ARG(kept_scores), int64_t *count)
{
    return omma_go_result(omma_matrix_nms(ctx, params, OMMA_GO_TENSOR(boxes), OMMA_GO_TENSOR(scores),
                                          OMMA_GO_TENSOR(classes), OMMA_GO_TENSOR(indices), OMMA_GO_TENSOR(kept_scores),
                                          count));
}

static inline OmmaGoResult omma_go_yolo_decode(const OmmaContext *ctx, const OmmaYoloDecodeParams *params,
                                               OMMA_GO_ARG(head), OMMA_GO_ARG(anchors), OMMA_GO_ARG(boxes),
                                               OMMA_GO_ARG(scores), OMMA_GO_ARG(classes), OMMA_GO_ARG(indices),
                                               OMMA_GO_ARG(counts), int64_t *count)
{
    return omma_go_result(omma_yolo_decode(ctx, params, OMMA_GO_TENSOR(head), OMMA_GO_TENSOR(anchors),
                                           OMMA_GO_TENSOR(boxes), OMMA_GO_TENSOR(scores), OMMA_GO_TENSOR(classes),
                                           OMMA_GO_TENSOR(indices), OMMA_GO_TENSOR(counts), count));
}

/* distances and clusters */

static inline OmmaGoResult omma_go_pairwise_distance(const OmmaContext *ctx, const OmmaPairwiseDistanceParams *params,
                                                     OMMA_GO_ARG(a), OMMA_GO_ARG(b), OMMA_GO_ARG(covariance),
                                                     OMMA_GO_ARG(output))
{
    return omma_go_result(omma_pairwise_distance(ctx, params, OMMA_GO_TENSOR(a), OMMA_GO_TENSOR(b),
                                                 OMMA_GO_TENSOR(covariance), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_kmeans_assign(const OmmaContext *ctx, OMMA_GO_ARG(x), OMMA_GO_ARG(centroids),
                                                 OMMA_GO_ARG(labels), OMMA_GO_ARG(distances))
{
    return omma_go_result(omma_kmeans_assign(ctx, OMMA_GO_TENSOR(x), OMMA_GO_TENSOR(centroids), OMMA_GO_TENSOR(labels),
                                             OMMA_GO_TENSOR(distances)));
}

static inline OmmaGoResult omma_go_kmeans(const OmmaContext *ctx, const OmmaKmeansParams *params, OMMA_GO_ARG(x),
                                          OMMA_GO_ARG(init), OMMA_GO_ARG(sample_weight), OMMA_GO_ARG(labels),
                                          OMMA_GO_ARG(centroids), double *inertia, int64_t *iterations)
{
    return omma_go_result(omma_kmeans(ctx, params, OMMA_GO_TENSOR(x), OMMA_GO_TENSOR(init),
                                      OMMA_GO_TENSOR(sample_weight), OMMA_GO_TENSOR(labels),
                                      OMMA_GO_TENSOR(centroids), inertia, iterations));
}

static inline OmmaGoResult omma_go_kmeans_accumulate(const OmmaContext *ctx, OMMA_GO_ARG(x), OMMA_GO_ARG(centroids),
                                                     OMMA_GO_ARG(sample_weight), OMMA_GO_ARG(sums),
                                                     OMMA_GO_ARG(counts), OMMA_GO_ARG(labels), double *inertia)
{
    return omma_go_result(omma_kmeans_accumulate(ctx, OMMA_GO_TENSOR(x), OMMA_GO_TENSOR(centroids),
                                                 OMMA_GO_TENSOR(sample_weight), OMMA_GO_TENSOR(sums),
                                                 OMMA_GO_TENSOR(counts), OMMA_GO_TENSOR(labels), inertia));
}

static inline OmmaGoResult omma_go_kmeans_update(const OmmaContext *ctx, OMMA_GO_ARG(sums), OMMA_GO_ARG(counts),
                                                 OMMA_GO_ARG(centroids), OMMA_GO_ARG(updated), double *moved)
{
    return omma_go_result(omma_kmeans_update(ctx, OMMA_GO_TENSOR(sums), OMMA_GO_TENSOR(counts),
                                             OMMA_GO_TENSOR(centroids), OMMA_GO_TENSOR(updated), moved));
}

static inline OmmaGoResult omma_go_kmeans_anchors(const OmmaContext *ctx, const OmmaKmeansAnchorsParams *params,
                                                  OMMA_GO_ARG(wh), OMMA_GO_ARG(init), OMMA_GO_ARG(anchors),
                                                  OMMA_GO_ARG(labels), double *mean_iou)
{
    return omma_go_result(omma_kmeans_anchors(ctx, params, OMMA_GO_TENSOR(wh), OMMA_GO_TENSOR(init),
                                              OMMA_GO_TENSOR(anchors), OMMA_GO_TENSOR(labels), mean_iou));
}

/* neighbours, matches, modes and assignment */

static inline OmmaGoResult omma_go_knn(const OmmaContext *ctx, const OmmaKnnParams *params, OMMA_GO_ARG(queries),
                                       OMMA_GO_ARG(data), OMMA_GO_ARG(covariance), OMMA_GO_ARG(indices),
                                       OMMA_GO_ARG(distances))
{
    return omma_go_result(omma_knn(ctx, params, OMMA_GO_TENSOR(queries), OMMA_GO_TENSOR(data),
                                   OMMA_GO_TENSOR(covariance), OMMA_GO_TENSOR(indices), OMMA_GO_TENSOR(distances)));
}

static inline OmmaGoResult omma_go_match_descriptors(const OmmaContext *ctx, const OmmaMatchDescriptorsParams *params,
                                                     OMMA_GO_ARG(a), OMMA_GO_ARG(b), OMMA_GO_ARG(pairs),
                                                     OMMA_GO_ARG(distances), int64_t *count)
{
    return omma_go_result(omma_match_descriptors(ctx, params, OMMA_GO_TENSOR(a), OMMA_GO_TENSOR(b),
                                                 OMMA_GO_TENSOR(pairs), OMMA_GO_TENSOR(distances), count));
}

static inline OmmaGoResult omma_go_mean_shift(const OmmaContext *ctx, const OmmaMeanShiftParams *params, OMMA_GO_ARG(x),
                                              OMMA_GO_ARG(seeds), OMMA_GO_ARG(labels), OMMA_GO_ARG(centers),
                                              int64_t *count)
{
    return omma_go_result(omma_mean_shift(ctx, params, OMMA_GO_TENSOR(x), OMMA_GO_TENSOR(seeds), OMMA_GO_TENSOR(labels),
                                          OMMA_GO_TENSOR(centers), count));
}

static inline OmmaGoResult omma_go_linear_assignment(const OmmaContext *ctx, const OmmaLinearAssignmentParams *params,
                                                     OMMA_GO_ARG(cost), OMMA_GO_ARG(rows), OMMA_GO_ARG(cols),
                                                     double *total)
{
    return omma_go_result(omma_linear_assignment(ctx, params, OMMA_GO_TENSOR(cost), OMMA_GO_TENSOR(rows),
                                                 OMMA_GO_TENSOR(cols), total));
}

/* the blocks of a transformer */

static inline OmmaGoResult omma_go_positional_encoding(const OmmaContext *ctx, OMMA_GO_ARG(output))
{
    return omma_go_result(omma_positional_encoding(ctx, OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_multi_head_attention(const OmmaContext *ctx,
                                                        const OmmaMultiHeadAttentionParams *params,
                                                        OMMA_GO_ARG(query), OMMA_GO_ARG(key), OMMA_GO_ARG(value),
                                                        OMMA_GO_ARG(w_q), OMMA_GO_ARG(b_q), OMMA_GO_ARG(w_k),
                                                        OMMA_GO_ARG(b_k), OMMA_GO_ARG(w_v), OMMA_GO_ARG(b_v),
                                                        OMMA_GO_ARG(w_o), OMMA_GO_ARG(b_o), OMMA_GO_ARG(mask),
                                                        OMMA_GO_ARG(output))
{
    return omma_go_result(omma_multi_head_attention(ctx, params, OMMA_GO_TENSOR(query), OMMA_GO_TENSOR(key),
                                                    OMMA_GO_TENSOR(value), OMMA_GO_TENSOR(w_q), OMMA_GO_TENSOR(b_q),
                                                    OMMA_GO_TENSOR(w_k), OMMA_GO_TENSOR(b_k), OMMA_GO_TENSOR(w_v),
                                                    OMMA_GO_TENSOR(b_v), OMMA_GO_TENSOR(w_o), OMMA_GO_TENSOR(b_o),
                                                    OMMA_GO_TENSOR(mask), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_multi_head_attention_create(const OmmaContext *ctx,
                                                               const OmmaMultiHeadAttentionParams *params,
                                                               OMMA_GO_ARG(w_q), OMMA_GO_ARG(b_q), OMMA_GO_ARG(w_k),
                                                               OMMA_GO_ARG(b_k), OMMA_GO_ARG(w_v), OMMA_GO_ARG(b_v),
                                                               OMMA_GO_ARG(w_o), OMMA_GO_ARG(b_o),
                                                               OmmaMultiHeadAttention **plan)
{
    return omma_go_result(omma_multi_head_attention_create(ctx, params, OMMA_GO_TENSOR(w_q), OMMA_GO_TENSOR(b_q),
                                                           OMMA_GO_TENSOR(w_k), OMMA_GO_TENSOR(b_k),
                                                           OMMA_GO_TENSOR(w_v), OMMA_GO_TENSOR(b_v),
                                                           OMMA_GO_TENSOR(w_o), OMMA_GO_TENSOR(b_o), plan));
}

static inline OmmaGoResult omma_go_multi_head_attention_run(const OmmaContext *ctx,
                                                            const OmmaMultiHeadAttention *plan, OMMA_GO_ARG(query),
                                                            OMMA_GO_ARG(key), OMMA_GO_ARG(value), OMMA_GO_ARG(mask),
                                                            OMMA_GO_ARG(residual), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_multi_head_attention_run(ctx, plan, OMMA_GO_TENSOR(query), OMMA_GO_TENSOR(key),
                                                        OMMA_GO_TENSOR(value), OMMA_GO_TENSOR(mask),
                                                        OMMA_GO_TENSOR(residual), OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_feed_forward_create(const OmmaContext *ctx, const OmmaFeedForwardParams *params,
                                                       OMMA_GO_ARG(w1), OMMA_GO_ARG(b1), OMMA_GO_ARG(w2),
                                                       OMMA_GO_ARG(b2), OmmaFeedForward **plan)
{
    return omma_go_result(omma_feed_forward_create(ctx, params, OMMA_GO_TENSOR(w1), OMMA_GO_TENSOR(b1),
                                                   OMMA_GO_TENSOR(w2), OMMA_GO_TENSOR(b2), plan));
}

static inline OmmaGoResult omma_go_feed_forward_run(const OmmaContext *ctx, const OmmaFeedForward *plan,
                                                    OMMA_GO_ARG(input), OMMA_GO_ARG(residual), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_feed_forward_run(ctx, plan, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(residual),
                                                OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_transformer_encoder_layer_create(const OmmaContext *ctx,
                                                                    const OmmaTransformerEncoderLayerParams *params,
                                                                    OMMA_GO_ARG(in_proj_weight),
                                                                    OMMA_GO_ARG(in_proj_bias),
                                                                    OMMA_GO_ARG(out_proj_weight),
                                                                    OMMA_GO_ARG(out_proj_bias),
                                                                    OMMA_GO_ARG(linear1_weight),
                                                                    OMMA_GO_ARG(linear1_bias),
                                                                    OMMA_GO_ARG(linear2_weight),
                                                                    OMMA_GO_ARG(linear2_bias),
                                                                    OMMA_GO_ARG(norm1_weight),
                                                                    OMMA_GO_ARG(norm1_bias),
                                                                    OMMA_GO_ARG(norm2_weight),
                                                                    OMMA_GO_ARG(norm2_bias),
                                                                    OmmaTransformerEncoderLayer **plan)
{
    return omma_go_result(omma_transformer_encoder_layer_create(ctx, params, OMMA_GO_TENSOR(in_proj_weight),
                                                                OMMA_GO_TENSOR(in_proj_bias),
                                                                OMMA_GO_TENSOR(out_proj_weight),
                                                                OMMA_GO_TENSOR(out_proj_bias),
                                                                OMMA_GO_TENSOR(linear1_weight),
                                                                OMMA_GO_TENSOR(linear1_bias),
                                                                OMMA_GO_TENSOR(linear2_weight),
                                                                OMMA_GO_TENSOR(linear2_bias),
                                                                OMMA_GO_TENSOR(norm1_weight),
                                                                OMMA_GO_TENSOR(norm1_bias),
                                                                OMMA_GO_TENSOR(norm2_weight),
                                                                OMMA_GO_TENSOR(norm2_bias), plan));
}

static inline OmmaGoResult omma_go_transformer_encoder_layer_run(const OmmaContext *ctx,
                                                                 const OmmaTransformerEncoderLayer *plan,
                                                                 OMMA_GO_ARG(input), OMMA_GO_ARG(mask),
                                                                 OMMA_GO_ARG(output))
{
    return omma_go_result(omma_transformer_encoder_layer_run(ctx, plan, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(mask),
                                                             OMMA_GO_TENSOR(output)));
}

static inline OmmaGoResult omma_go_patch_embedding_create(const OmmaContext *ctx, OMMA_GO_ARG(weight),
                                                          OMMA_GO_ARG(bias), OMMA_GO_ARG(class_token),
                                                          OMMA_GO_ARG(position_embedding), OmmaPatchEmbedding **plan)
{
    return omma_go_result(omma_patch_embedding_create(ctx, OMMA_GO_TENSOR(weight), OMMA_GO_TENSOR(bias),
                                                      OMMA_GO_TENSOR(class_token),
                                                      OMMA_GO_TENSOR(position_embedding), plan));
}

static inline OmmaGoResult omma_go_patch_embedding_run(const OmmaContext *ctx, const OmmaPatchEmbedding *plan,
                                                       OMMA_GO_ARG(input), OMMA_GO_ARG(output))
{
    return omma_go_result(omma_patch_embedding_run(ctx, plan, OMMA_GO_TENSOR(input), OMMA_GO_TENSOR(output)));
}

#endif
