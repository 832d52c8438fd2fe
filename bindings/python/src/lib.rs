//! `omma._omma`, the extension module of the Python package: omma's operators over numpy arrays
//! and DLPack tensors.
//!
//! Each function here describes its arrays as tensors of the C ABI, makes the array of the result
//! and calls the export of omma with the same name, so that Python has the checks and the words of
//! the C ABI. An operator is one function in the file of its family, its name below, and its
//! signature in `python/omma/_omma.pyi`.

use pyo3::prelude::*;

mod attention;
mod boxes;
mod call;
mod context;
mod conv;
mod conv_transpose;
mod detect;
mod dlpack;
mod fold;
mod image;
mod linear;
mod multi_head;
mod nn;
mod plan;
mod roi;
mod tensor;
mod transformer;

#[pymodule]
mod _omma {
    use super::*;

    #[pymodule_export]
    use super::{
        attention::{attention, layer_norm, rms_norm},
        boxes::{batched_nms, box_convert, box_iou, box_iou_3d, box_iou_elementwise, nms},
        context::{Context, get_num_threads, isa, isa_available, set_num_threads},
        conv::{Conv2d, conv2d},
        conv_transpose::{ConvTranspose2d, conv_transpose2d},
        detect::{matrix_nms, nms_per_image, soft_nms, yolo_decode},
        fold::{fold_batch_norm, merge_conv2d_avg_pool2d, merge_parallel_conv2d, receptive_field},
        image::{Letterbox, image_to_tensor, letterbox, resize},
        linear::{Linear, linear, matmul},
        multi_head::{MultiHeadAttention, multi_head_attention},
        nn::{
            avg_pool2d, gelu, gelu_tanh, hardswish, leaky_relu, log_softmax, max_pool2d, prelu,
            relu, relu6, sigmoid, silu, softmax, tanh,
        },
        roi::{roi_align, roi_align_backward, roi_pool, roi_pool_backward},
        transformer::{FeedForward, PatchEmbedding, TransformerEncoderLayer, positional_encoding},
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", context::version())
    }
}
