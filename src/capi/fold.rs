//! What a convolution can take in before inference, and what a stack of layers sees.

use super::call::{Call, Params};
use super::context::OmmaContext;
use super::conv::read_pair;
use super::layout::layout;
use super::status::{OmmaStatus, guard};
use super::tensor::OmmaTensor;
use crate::conv::{
    BatchNorm, Window, fold_batch_norm, merge_conv2d_avg_pool2d, merge_parallel_conv2d,
    receptive_field,
};
use crate::error::ensure;

/// Options of `omma_fold_batch_norm`; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaFoldBatchNormParams {
    /// `sizeof(OmmaFoldBatchNormParams)`.
    pub struct_size: u32,
    /// Added to the variances; 0 is 1e-5.
    pub eps: f32,
}

// SAFETY: repr(C), struct_size first, numbers without padding.
unsafe impl Params for OmmaFoldBatchNormParams {}

/// Options of `omma_merge_parallel_conv2d`; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaMergeParallelConv2dParams {
    /// `sizeof(OmmaMergeParallelConv2dParams)`.
    pub struct_size: u32,
    /// An `OMMA_LAYOUT_…`: the order of axes of the weights.
    pub layout: i32,
}

// SAFETY: repr(C), struct_size first, numbers without padding.
unsafe impl Params for OmmaMergeParallelConv2dParams {}

/// Options of `omma_merge_conv2d_avg_pool2d`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaMergeConv2dAvgPool2dParams {
    /// `sizeof(OmmaMergeConv2dAvgPool2dParams)`.
    pub struct_size: u32,
    /// An `OMMA_LAYOUT_…`: the order of axes of the weights.
    pub layout: i32,
    /// The window of the pooling; required.
    pub kernel_size: [i32; 2],
    /// The stride of the convolution; 0 is 1.
    pub stride: [i32; 2],
}

// SAFETY: repr(C), struct_size first, numbers without padding.
unsafe impl Params for OmmaMergeConv2dAvgPool2dParams {}

/// A layer with a window, along one axis.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaWindow {
    /// Taps.
    pub kernel: u32,
    /// Inputs from output to output; 0 is 1.
    pub stride: u32,
    /// Zeros before the input.
    pub padding: u32,
    /// Distance of the taps; 0 is 1.
    pub dilation: u32,
}

/// What an output of a stack of layers sees of the input of the first, along one axis.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaReceptiveField {
    /// Inputs that an output sees, from the first to the last.
    pub size: i64,
    /// Inputs from the field of an output to that of the next.
    pub stride: i64,
    /// The first input that the first output sees; negative in the padding.
    pub start: i64,
}

/// Folds a batch normalization behind a convolution or linear layer into its weight and bias, in float32:
/// `weight' = weight * gamma / sqrt(variance + eps)`,
/// `bias' = (bias - mean) * gamma / sqrt(variance + eps) + beta`.
///
/// `weight` has the O output channels as its first axis and any rank; `bias` (O,) or NULL for zeros, `gamma` (O,) or NULL
/// for ones, `beta` (O,) or NULL for zeros, `mean` and `variance` (O,), `output_weight` of the shape of `weight`,
/// `output_bias` (O,). The outputs may be the very arrays of inputs of their shape, `weight` and `bias` for instance; other overlap
/// with an input is an error. Computed in f64 and rounded once; a variance below `-eps` gives NaN.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_fold_batch_norm(
    ctx: *const OmmaContext,
    params: *const OmmaFoldBatchNormParams,
    weight: *const OmmaTensor,
    bias: *const OmmaTensor,
    gamma: *const OmmaTensor,
    beta: *const OmmaTensor,
    mean: *const OmmaTensor,
    variance: *const OmmaTensor,
    output_weight: *const OmmaTensor,
    output_bias: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p) = unsafe {
            let call = Call::new("fold_batch_norm", ctx)?;
            (call, call.params(params)?)
        };
        // SAFETY: as above.
        let (w, b, gamma, beta, mean, variance, mut new_w, mut new_b) = unsafe {
            (
                call.input::<f32>("weight", weight)?,
                call.optional::<f32>("bias", bias)?,
                call.optional::<f32>("gamma", gamma)?,
                call.optional::<f32>("beta", beta)?,
                call.input::<f32>("mean", mean)?,
                call.input::<f32>("variance", variance)?,
                call.output::<f32>("output_weight", output_weight)?,
                call.output::<f32>("output_bias", output_bias)?,
            )
        };
        let norm = BatchNorm {
            gamma: gamma.as_ref().map(|g| g.view()),
            beta: beta.as_ref().map(|b| b.view()),
            mean: mean.view(),
            variance: variance.view(),
            eps: if p.eps == 0.0 { 1e-5 } else { p.eps },
        };
        let b = b.as_ref().map(|b| b.view());
        fold_batch_norm(&norm, &w.view(), b.as_ref(), new_w.view()?, new_b.view()?)?;
        new_w.finish()?;
        new_b.finish()
    })
}

/// One convolution in place of two that see the same input and whose outputs are added (the branches of a RepVGG
/// block): the windows are added, the smaller one centred in the larger, and so are the biases.
///
/// `weight_1` and `weight_2` (O, C / groups, KH, KW), or (O, KH, KW, C / groups), with odd windows of
/// any two sizes; `bias_1` and `bias_2` (O,) or NULL for zeros; `output_weight` with the larger extents
/// of both, `output_bias` (O,). The convolutions agree in stride, dilation and groups, and each is padded by
/// `dilation * (kernel - 1) / 2`; an identity is a window of 1 x 1. The outputs overlap nothing.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_merge_parallel_conv2d(
    ctx: *const OmmaContext,
    params: *const OmmaMergeParallelConv2dParams,
    weight_1: *const OmmaTensor,
    bias_1: *const OmmaTensor,
    weight_2: *const OmmaTensor,
    bias_2: *const OmmaTensor,
    output_weight: *const OmmaTensor,
    output_bias: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p) = unsafe {
            let call = Call::new("merge_parallel_conv2d", ctx)?;
            (call, call.params(params)?)
        };
        // SAFETY: as above.
        let (w1, b1, w2, b2, mut new_w, mut new_b) = unsafe {
            (
                call.input::<f32>("weight_1", weight_1)?,
                call.optional::<f32>("bias_1", bias_1)?,
                call.input::<f32>("weight_2", weight_2)?,
                call.optional::<f32>("bias_2", bias_2)?,
                call.output::<f32>("output_weight", output_weight)?,
                call.output::<f32>("output_bias", output_bias)?,
            )
        };
        let biases = [b1.as_ref().map(|b| b.view()), b2.as_ref().map(|b| b.view())];
        merge_parallel_conv2d(
            layout(call.op, p.layout)?,
            [&w1.view(), &w2.view()],
            [biases[0].as_ref(), biases[1].as_ref()],
            new_w.view()?,
            new_b.view()?,
        )?;
        new_w.finish()?;
        new_b.finish()
    })
}

/// The weight of one convolution in place of a convolution and average pooling, without padding of its own, behind it.
///
/// `weight` (O, C / groups, KH, KW), or (O, KH, KW, C / groups); `output_weight` the same with a
/// window of `KH + (kernel_size - 1) * stride`, and likewise KW. The merged convolution has the padding, groups
/// and bias of the first and the product of both strides; its dilation has to be 1. The output overlaps nothing.
///
/// # Safety
/// Tensors are NULL or describe valid memory; `ctx` and `params` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_merge_conv2d_avg_pool2d(
    ctx: *const OmmaContext,
    params: *const OmmaMergeConv2dAvgPool2dParams,
    weight: *const OmmaTensor,
    output_weight: *const OmmaTensor,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, p, w, mut new_w) = unsafe {
            let call = Call::new("merge_conv2d_avg_pool2d", ctx)?;
            (
                call,
                call.params(params)?,
                call.input::<f32>("weight", weight)?,
                call.output::<f32>("output_weight", output_weight)?,
            )
        };
        ensure!(
            p.kernel_size.iter().all(|&k| k >= 1),
            InvalidArgument,
            "{}: kernel_size is {} x {}, the least is 1",
            call.op,
            p.kernel_size[0],
            p.kernel_size[1]
        );
        merge_conv2d_avg_pool2d(
            layout(call.op, p.layout)?,
            &w.view(),
            p.kernel_size.map(|k| k as usize),
            read_pair(call.op, "stride", p.stride)?,
            new_w.view()?,
        )?;
        new_w.finish()
    })
}

/// The receptive field of a stack of `count` layers, the first first, along one axis; of no layers that
/// of the input itself.
///
/// # Safety
/// `layers` is valid for reading `count` windows, or NULL if there are none; `field` is NULL (an error) or valid
/// for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_receptive_field(
    layers: *const OmmaWindow,
    count: usize,
    field: *mut OmmaReceptiveField,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, field) = unsafe {
            let call = Call::new("receptive_field", std::ptr::null())?;
            (call, call.out("field", field)?)
        };
        ensure!(
            count == 0 || !layers.is_null(),
            InvalidArgument,
            "{}: layers is NULL",
            call.op
        );
        ensure!(
            count <= isize::MAX as usize / size_of::<OmmaWindow>(),
            InvalidArgument,
            "{}: count is {count}",
            call.op
        );
        let layers = match count {
            0 => &[][..],
            // SAFETY: the caller's promise; any bits are a window.
            _ => unsafe { std::slice::from_raw_parts(layers, count) },
        };
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| Window {
                kernel: layer.kernel,
                stride: layer.stride.max(1),
                padding: layer.padding,
                dilation: layer.dilation.max(1),
            })
            .collect();
        let found = receptive_field(&layers)?;
        *field = OmmaReceptiveField {
            size: found.size,
            stride: found.stride,
            start: found.start,
        };
        Ok(())
    })
}
