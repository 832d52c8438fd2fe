//! Layers that need not exist: what a convolution can take in before inference.
//!
//! Batch normalization, a parallel convolution (the branches of a RepVGG block) and average pooling
//! behind a convolution are linear, so that their numbers can be folded into weight and bias once, and cost nothing
//! from then on. Everything is computed in f64 and rounded once.

use super::params::{Layout, axes};
use crate::error::{Result, bail, ensure};
use crate::tensor::{
    Raw, View, ViewMut, expect_rank, expect_same_shape, expect_shape, forbid_overlap,
    forbid_partial_overlap,
};

/// The numbers of a batch normalization, each of shape (O,).
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// Factors; ones if there are none.
    pub gamma: Option<View<'a, f32>>,
    /// Summands; zeros if there are none.
    pub beta: Option<View<'a, f32>>,
    /// Running means.
    pub mean: View<'a, f32>,
    /// Running variances.
    pub variance: View<'a, f32>,
    /// Added to the variances.
    pub eps: f32,
}

/// Folds a batch normalization behind a convolution or linear layer into its weight and bias:
/// `weight' = weight * gamma / sqrt(variance + eps)`, `bias' = (bias - mean) * gamma / sqrt(variance + eps) + beta`.
///
/// `weight` has the O output channels as its first axis, any rank; `bias` is (O,), zeros if there is none. The
/// outputs may be the very arrays of inputs of their shape; other overlap with an input is an error.
/// A variance that is negative beyond `eps` gives NaN.
pub fn fold_batch_norm(
    norm: &BatchNorm<'_>,
    weight: &View<'_, f32>,
    bias: Option<&View<'_, f32>>,
    mut out_weight: ViewMut<'_, f32>,
    mut out_bias: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "fold_batch_norm";
    ensure!(
        weight.rank() >= 1,
        ShapeMismatch,
        "{op}: weight has no axes, expected the output channels first"
    );
    let outputs = weight.dim(0);
    let numbers = [
        ("bias", bias),
        ("gamma", norm.gamma.as_ref()),
        ("beta", norm.beta.as_ref()),
        ("mean", Some(&norm.mean)),
        ("variance", Some(&norm.variance)),
    ];
    for (name, array) in numbers {
        let Some(array) = array else { continue };
        expect_rank(op, name, array, 1)?;
        ensure!(
            array.dim(0) == outputs,
            ShapeMismatch,
            "{op}: {name} has {} values, weight has {outputs} output channels",
            array.dim(0)
        );
        forbid_overlap(op, "output_weight", &out_weight, name, array)?;
        forbid_partial_overlap(op, "output_bias", &out_bias, name, array)?;
    }
    expect_same_shape(op, "output_weight", &out_weight, "weight", weight)?;
    expect_shape(op, "output_bias", &out_bias, &[outputs])?;
    forbid_partial_overlap(op, "output_weight", &out_weight, "weight", weight)?;
    forbid_overlap(op, "output_bias", &out_bias, "weight", weight)?;
    forbid_overlap(op, "output_bias", &out_bias, "output_weight", &out_weight)?;
    ensure!(
        norm.eps.is_finite() && norm.eps.is_sign_positive(),
        InvalidArgument,
        "{op}: eps is {}, expected a finite number from 0 on",
        norm.eps
    );
    let at = |array: Option<&View<'_, f32>>, o: usize, default: f64| {
        array.map_or(default, |array| f64::from(array.get(&[o])))
    };
    for o in 0..outputs {
        let spread = (at(Some(&norm.variance), o, 1.0) + f64::from(norm.eps)).sqrt();
        let factor = at(norm.gamma.as_ref(), o, 1.0) / spread;
        let shift = at(norm.beta.as_ref(), o, 0.0);
        let centred = at(bias, o, 0.0) - at(Some(&norm.mean), o, 0.0);
        let own = weight.index(0, o);
        let mut to = out_weight.reborrow().index(0, o);
        each_index(own.shape(), |index| {
            to.set(index, (f64::from(own.get(index)) * factor) as f32);
        });
        out_bias.set(&[o], (centred * factor + shift) as f32);
    }
    Ok(())
}

/// One convolution in place of two that see the same input and whose outputs are added: `weight` is the sum of both windows,
/// the smaller one centred in the larger, `bias` the sum of both (one that is not there counts as zero).
///
/// `weights` are (O, C / groups, KH, KW), or (O, KH, KW, C / groups), with odd windows; the
/// output has the larger extents of both. The convolutions agree in stride, dilation and groups, and each is padded by
/// `dilation * (kernel - 1) / 2`. An identity is a window of 1 x 1.
pub fn merge_parallel_conv2d(
    layout: Layout,
    weights: [&View<'_, f32>; 2],
    biases: [Option<&View<'_, f32>>; 2],
    mut out_weight: ViewMut<'_, f32>,
    mut out_bias: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "merge_parallel_conv2d";
    let names = ["weight_1", "weight_2"];
    let order = axes(layout);
    let [_, _, h, w] = order;
    for (name, weight) in names.into_iter().zip(weights) {
        expect_rank(op, name, weight, 4)?;
        let window = [weight.dim(h), weight.dim(w)];
        ensure!(
            window.iter().all(|k| k % 2 == 1),
            InvalidArgument,
            "{op}: {name} has a window of {} x {}, expected odd numbers",
            window[0],
            window[1]
        );
        forbid_overlap(op, "output_weight", &out_weight, name, weight)?;
        forbid_overlap(op, "output_bias", &out_bias, name, weight)?;
    }
    let [first, second] = weights.map(|weight| order.map(|axis| weight.dim(axis)));
    ensure!(
        first[..2] == second[..2],
        ShapeMismatch,
        "{op}: weight_1 has {} output channels and {} input channels, weight_2 has {} and {}",
        first[0],
        first[1],
        second[0],
        second[1]
    );
    let outputs = first[0];
    let larger = [2, 3].map(|axis: usize| first[axis].max(second[axis]));
    let mut expected = [0; 4];
    for (axis, dim) in order
        .into_iter()
        .zip([outputs, first[1], larger[0], larger[1]])
    {
        expected[axis] = dim;
    }
    expect_shape(op, "output_weight", &out_weight, &expected)?;
    expect_biases(op, outputs, &out_bias, ["bias_1", "bias_2"], biases)?;
    for (name, bias) in ["bias_1", "bias_2"].into_iter().zip(biases) {
        if let Some(bias) = bias {
            forbid_overlap(op, "output_weight", &out_weight, name, bias)?;
        }
    }
    forbid_overlap(op, "output_bias", &out_bias, "output_weight", &out_weight)?;
    each_index(&expected, |index| {
        let sum: f64 = weights
            .iter()
            .map(|weight| {
                let mut own = [index[0], index[1], index[2], index[3]];
                for axis in [h, w] {
                    let margin = (expected[axis] - weight.dim(axis)) / 2;
                    match index[axis].checked_sub(margin) {
                        Some(at) if at < weight.dim(axis) => own[axis] = at,
                        _ => return 0.0,
                    }
                }
                f64::from(weight.get(&own))
            })
            .sum();
        out_weight.set(index, sum as f32);
    });
    for o in 0..outputs {
        let sum: f64 = biases
            .iter()
            .flatten()
            .map(|b| f64::from(b.get(&[o])))
            .sum();
        out_bias.set(&[o], sum as f32);
    }
    Ok(())
}

/// The weight of one convolution in place of a convolution and average pooling without padding behind it:
/// each tap of the pooling's window adds a copy of the convolution's, moved by the convolution's stride.
///
/// `weight` is (O, C / groups, KH, KW), or (O, KH, KW, C / groups); the output has a window of
/// `KH + (kernel - 1) * stride`. The merged convolution has the padding and groups of the first, the
/// product of both strides, and the same bias; dilation has to be 1.
pub fn merge_conv2d_avg_pool2d(
    layout: Layout,
    weight: &View<'_, f32>,
    kernel: [usize; 2],
    stride: [usize; 2],
    mut out_weight: ViewMut<'_, f32>,
) -> Result<()> {
    let op = "merge_conv2d_avg_pool2d";
    expect_rank(op, "weight", weight, 4)?;
    let [_, _, h, w] = axes(layout);
    let mut expected = [0; 4];
    expected.copy_from_slice(weight.shape());
    for (i, axis) in [h, w].into_iter().enumerate() {
        ensure!(
            kernel[i] >= 1 && stride[i] >= 1 && weight.dim(axis) >= 1,
            InvalidArgument,
            "{op}: kernel {}, stride {} and a window of {}, the least is 1",
            kernel[i],
            stride[i],
            weight.dim(axis)
        );
        let moved = (kernel[i] - 1).checked_mul(stride[i]);
        expected[axis] = match moved.and_then(|moved| moved.checked_add(weight.dim(axis))) {
            Some(size) => size,
            None => bail!(
                InvalidArgument,
                "{op}: kernel {} with stride {} overflows",
                kernel[i],
                stride[i]
            ),
        };
    }
    expect_shape(op, "output_weight", &out_weight, &expected)?;
    forbid_overlap(op, "output_weight", &out_weight, "weight", weight)?;
    let share = 1.0 / (kernel[0] as f64 * kernel[1] as f64);
    // Taps of the pooling whose copy of the window covers a place.
    let covers = |i: usize, axis: usize, at: usize| {
        let (stride, window) = (stride[i], weight.dim(axis));
        let first = (at + 1).saturating_sub(window).div_ceil(stride);
        first..(at / stride + 1).min(kernel[i]).max(first)
    };
    each_index(&expected, |index| {
        let mut sum = 0.0;
        for y in covers(0, h, index[h]) {
            for x in covers(1, w, index[w]) {
                let mut own = [index[0], index[1], index[2], index[3]];
                own[h] -= y * stride[0];
                own[w] -= x * stride[1];
                sum += f64::from(weight.get(&own));
            }
        }
        out_weight.set(index, (sum * share) as f32);
    });
    Ok(())
}

/// A layer with a window, along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Taps.
    pub kernel: u32,
    /// Inputs from output to output.
    pub stride: u32,
    /// Zeros before the input.
    pub padding: u32,
    /// Distance of the taps.
    pub dilation: u32,
}

/// What an output of a stack of layers sees of the input of the first, along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceptiveField {
    /// Inputs that an output sees, from the first to the last.
    pub size: i64,
    /// Inputs from the field of an output to that of the next.
    pub stride: i64,
    /// The first input that the first output sees; negative in the padding.
    pub start: i64,
}

/// The receptive field of a stack of layers, the first first; of no layers that of the input itself.
pub fn receptive_field(layers: &[Window]) -> Result<ReceptiveField> {
    let op = "receptive_field";
    let mut field = ReceptiveField {
        size: 1,
        stride: 1,
        start: 0,
    };
    for (i, layer) in layers.iter().enumerate() {
        ensure!(
            layer.kernel >= 1 && layer.stride >= 1 && layer.dilation >= 1,
            InvalidArgument,
            "{op}: layer {i} has kernel {}, stride {} and dilation {}, the least is 1",
            layer.kernel,
            layer.stride,
            layer.dilation
        );
        let next = || {
            let span = i64::from(layer.kernel - 1).checked_mul(i64::from(layer.dilation))?;
            let before = i64::from(layer.padding).checked_mul(field.stride)?;
            Some(ReceptiveField {
                size: field.size.checked_add(span.checked_mul(field.stride)?)?,
                stride: field.stride.checked_mul(i64::from(layer.stride))?,
                start: field.start.checked_sub(before)?,
            })
        };
        field = match next() {
            Some(field) => field,
            None => bail!(InvalidArgument, "{op}: the field overflows at layer {i}"),
        };
    }
    Ok(field)
}

fn expect_biases(
    op: &str,
    outputs: usize,
    out: &Raw<f32>,
    names: [&str; 2],
    biases: [Option<&View<'_, f32>>; 2],
) -> Result<()> {
    expect_shape(op, "output_bias", out, &[outputs])?;
    for (name, bias) in names.into_iter().zip(biases) {
        let Some(bias) = bias else { continue };
        expect_shape(op, name, bias, &[outputs])?;
        forbid_overlap(op, "output_bias", out, name, bias)?;
    }
    Ok(())
}

/// Calls `visit` with every index of an array of this shape.
fn each_index(shape: &[usize], mut visit: impl FnMut(&[usize])) {
    let mut index = [0; crate::tensor::MAX_RANK];
    let index = &mut index[..shape.len()];
    if shape.contains(&0) {
        return;
    }
    loop {
        visit(index);
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}
