//go:build go1.24

package omma

// What these C functions do with pointers: none of them keeps one, so arguments may stay on the
// stack of the goroutine, and none calls back into Go, so the runtime need not be ready for it.
// Toolchains before Go 1.24 do not know the directives; there each call allocates its layouts.

// #cgo noescape omma_go_attention
// #cgo nocallback omma_go_attention
// #cgo noescape omma_go_avg_pool2d
// #cgo nocallback omma_go_avg_pool2d
// #cgo noescape omma_go_batched_nms
// #cgo nocallback omma_go_batched_nms
// #cgo noescape omma_go_box_convert
// #cgo nocallback omma_go_box_convert
// #cgo noescape omma_go_box_iou
// #cgo nocallback omma_go_box_iou
// #cgo noescape omma_go_box_iou_3d
// #cgo nocallback omma_go_box_iou_3d
// #cgo noescape omma_go_box_iou_elementwise
// #cgo nocallback omma_go_box_iou_elementwise
// #cgo noescape omma_go_conv2d
// #cgo nocallback omma_go_conv2d
// #cgo noescape omma_go_conv2d_create
// #cgo nocallback omma_go_conv2d_create
// #cgo noescape omma_go_conv2d_output_shape
// #cgo nocallback omma_go_conv2d_output_shape
// #cgo noescape omma_go_conv2d_run
// #cgo nocallback omma_go_conv2d_run
// #cgo noescape omma_go_gelu
// #cgo nocallback omma_go_gelu
// #cgo noescape omma_go_gelu_tanh
// #cgo nocallback omma_go_gelu_tanh
// #cgo noescape omma_go_hardswish
// #cgo nocallback omma_go_hardswish
// #cgo noescape omma_go_image_to_tensor
// #cgo nocallback omma_go_image_to_tensor
// #cgo noescape omma_go_layer_norm
// #cgo nocallback omma_go_layer_norm
// #cgo noescape omma_go_leaky_relu
// #cgo nocallback omma_go_leaky_relu
// #cgo noescape omma_go_letterbox
// #cgo nocallback omma_go_letterbox
// #cgo noescape omma_go_linear
// #cgo nocallback omma_go_linear
// #cgo noescape omma_go_linear_create
// #cgo nocallback omma_go_linear_create
// #cgo noescape omma_go_linear_run
// #cgo nocallback omma_go_linear_run
// #cgo noescape omma_go_log_softmax
// #cgo nocallback omma_go_log_softmax
// #cgo noescape omma_go_matmul
// #cgo nocallback omma_go_matmul
// #cgo noescape omma_go_matrix_nms
// #cgo nocallback omma_go_matrix_nms
// #cgo noescape omma_go_max_pool2d
// #cgo nocallback omma_go_max_pool2d
// #cgo noescape omma_go_nms
// #cgo nocallback omma_go_nms
// #cgo noescape omma_go_nms_per_image
// #cgo nocallback omma_go_nms_per_image
// #cgo noescape omma_go_prelu
// #cgo nocallback omma_go_prelu
// #cgo noescape omma_go_relu
// #cgo nocallback omma_go_relu
// #cgo noescape omma_go_relu6
// #cgo nocallback omma_go_relu6
// #cgo noescape omma_go_resize
// #cgo nocallback omma_go_resize
// #cgo noescape omma_go_rms_norm
// #cgo nocallback omma_go_rms_norm
// #cgo noescape omma_go_roi_align
// #cgo nocallback omma_go_roi_align
// #cgo noescape omma_go_roi_align_backward
// #cgo nocallback omma_go_roi_align_backward
// #cgo noescape omma_go_roi_pool
// #cgo nocallback omma_go_roi_pool
// #cgo noescape omma_go_roi_pool_backward
// #cgo nocallback omma_go_roi_pool_backward
// #cgo noescape omma_go_sigmoid
// #cgo nocallback omma_go_sigmoid
// #cgo noescape omma_go_silu
// #cgo nocallback omma_go_silu
// #cgo noescape omma_go_soft_nms
// #cgo nocallback omma_go_soft_nms
// #cgo noescape omma_go_softmax
// #cgo nocallback omma_go_softmax
// #cgo noescape omma_go_tanh
// #cgo nocallback omma_go_tanh
// #cgo noescape omma_go_yolo_decode
// #cgo nocallback omma_go_yolo_decode
// #include "bridge.h"
import "C"
