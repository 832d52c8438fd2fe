//! What a convolution is asked to do, checked once: the parameters, and the
//! shapes they make of an input and a weight.

use super::winograd;
use crate::error::{Result, bail, ensure};
use crate::simd::Activation;
pub use crate::tensor::Layout;
use crate::tensor::{Raw, View, expect_rank};

/// How to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// The fastest for the shape.
    #[default]
    Auto,
    /// A matrix product whose right side, the receptive fields, is gathered
    /// piece by piece while it runs.
    ImplicitGemm,
    /// Register tiles that read the image itself, or a padded piece of it.
    Direct,
    /// Windows of 3 x 3 with stride and dilation 1: tiles of 4 x 4 outputs with a fourth of the
    /// multiplications, and the rounding of a different sum. `Unsupported` for other windows.
    Winograd,
}

/// The options of a convolution; the default is torch's (stride 1, no padding,
/// dilation 1, one group, no activation, NCHW).
#[derive(Clone, Copy, Debug)]
pub struct Conv2dParams<'a> {
    /// Steps of the window: vertical, horizontal.
    pub stride: [usize; 2],
    /// Zeros around the image: top, bottom, left, right.
    pub padding: [usize; 4],
    /// Distance of the window's taps: vertical, horizontal.
    pub dilation: [usize; 2],
    /// Channels are cut into so many groups that do not see one another.
    pub groups: usize,
    /// Applied to each sum, after bias and residual.
    pub activation: Activation,
    /// PReLU in place of `activation`: the factors of negative sums, of shape
    /// (1,) or (O,).
    pub prelu_slope: Option<View<'a, f32>>,
    /// The order of axes.
    pub layout: Layout,
    /// How to compute.
    pub algorithm: Algorithm,
}

impl Default for Conv2dParams<'_> {
    fn default() -> Self {
        Conv2dParams {
            stride: [1, 1],
            padding: [0; 4],
            dilation: [1, 1],
            groups: 1,
            activation: Activation::None,
            prelu_slope: None,
            layout: Layout::Nchw,
            algorithm: Algorithm::Auto,
        }
    }
}

/// Where the axes (n, c, h, w) of an image stand, in this order.
pub(super) fn axes(layout: Layout) -> [usize; 4] {
    match layout {
        Layout::Nchw => [0, 1, 2, 3],
        Layout::Nhwc => [0, 3, 1, 2],
    }
}

/// The parameters and the weight's shape, known to go together: all that does
/// not depend on the image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub layout: Layout,
    pub algorithm: Algorithm,
    pub activation: Activation,
    pub groups: usize,
    /// Input channels of a group.
    pub cg: usize,
    /// Output channels of a group.
    pub og: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Top, bottom, left, right.
    pub padding: [usize; 4],
}

impl Spec {
    pub(super) fn new(
        params: &Conv2dParams<'_>,
        weight: &Raw<f32>,
        bias: Option<&Raw<f32>>,
    ) -> Result<Spec> {
        let Conv2dParams {
            stride,
            padding,
            dilation,
            groups,
            ..
        } = *params;
        for (name, [vertical, horizontal]) in [("stride", stride), ("dilation", dilation)] {
            ensure!(
                vertical >= 1 && horizontal >= 1,
                InvalidArgument,
                "conv2d: {name} is {vertical} x {horizontal}, the least is 1"
            );
        }
        ensure!(
            groups >= 1,
            InvalidArgument,
            "conv2d: groups is 0, the least is 1"
        );
        expect_rank("conv2d", "weight", weight, 4)?;
        let [_, c, h, w] = axes(params.layout);
        let (outputs, kernel) = (weight.dim(0), [weight.dim(h), weight.dim(w)]);
        ensure!(
            kernel[0] >= 1 && kernel[1] >= 1,
            InvalidArgument,
            "conv2d: weight has a window of {} x {}, the least is 1 x 1",
            kernel[0],
            kernel[1]
        );
        ensure!(
            outputs % groups == 0,
            ShapeMismatch,
            "conv2d: weight has {outputs} output channels, which groups {groups} do not divide"
        );
        let spec = Spec {
            layout: params.layout,
            algorithm: params.algorithm,
            activation: params.activation,
            groups,
            cg: weight.dim(c),
            og: outputs / groups,
            kernel,
            stride,
            dilation,
            padding,
        };
        ensure!(
            spec.algorithm != Algorithm::Winograd || winograd::can(&spec),
            Unsupported,
            "conv2d: algorithm is winograd, which takes a window of 3 x 3 with stride 1 and dilation 1, weight has {} x {} with stride {} x {} and dilation {} x {}",
            spec.kernel[0],
            spec.kernel[1],
            stride[0],
            stride[1],
            dilation[0],
            dilation[1]
        );
        if let Some(bias) = bias {
            spec.expect_per_channel("bias", bias, false)?;
        }
        if let Some(slope) = &params.prelu_slope {
            spec.expect_per_channel("activation_slope", slope, true)?;
            ensure!(
                params.activation == Activation::None,
                InvalidArgument,
                "conv2d: activation_slope is given and activation is {:?}, expected one of them",
                params.activation
            );
        }
        Ok(spec)
    }

    fn expect_per_channel(&self, name: &str, values: &Raw<f32>, or_one: bool) -> Result<()> {
        expect_rank("conv2d", name, values, 1)?;
        let (len, outputs) = (values.dim(0), self.outputs());
        ensure!(
            len == outputs || (or_one && len == 1),
            ShapeMismatch,
            "conv2d: {name} has {len} values, weight has {outputs} output channels"
        );
        Ok(())
    }

    /// Output channels of all groups.
    pub(super) fn outputs(&self) -> usize {
        self.groups * self.og
    }

    /// Terms of a sum.
    pub(super) fn depth(&self) -> usize {
        self.cg * self.kernel[0] * self.kernel[1]
    }

    /// Every input channel is a group of its own.
    pub(super) fn is_depthwise(&self) -> bool {
        self.cg == 1 && self.groups > 1
    }

    /// Output rows and columns of an image of `h` rows and `w` columns.
    pub(super) fn output_size(&self, h: usize, w: usize) -> Result<[usize; 2]> {
        let mut size = [0; 2];
        for (axis, extent) in [h, w].into_iter().enumerate() {
            let side = ["height", "width"][axis];
            let (kernel, dilation) = (self.kernel[axis], self.dilation[axis]);
            let padding = &self.padding[2 * axis..2 * axis + 2];
            let padded = extent
                .checked_add(padding[0])
                .and_then(|sum| sum.checked_add(padding[1]))
                .filter(|&sum| sum <= isize::MAX as usize / 4);
            let span = (kernel - 1).checked_mul(dilation);
            let (Some(padded), Some(span)) = (padded, span) else {
                bail!(
                    InvalidArgument,
                    "conv2d: {side} {extent} with padding {} + {} and a kernel of {kernel} with dilation {dilation} overflows",
                    padding[0],
                    padding[1]
                );
            };
            ensure!(
                padded > span,
                ShapeMismatch,
                "conv2d: weight spans {} in {side} (kernel {kernel}, dilation {dilation}), the padded input has {padded}",
                span as u128 + 1
            );
            size[axis] = (padded - span - 1) / self.stride[axis] + 1;
        }
        Ok(size)
    }

    /// Checks the arrays of a run and describes it.
    pub(super) fn extents(
        &self,
        x: &Raw<f32>,
        residual: Option<&Raw<f32>>,
        out: &Raw<f32>,
    ) -> Result<Extents> {
        expect_rank("conv2d", "input", x, 4)?;
        let order = axes(self.layout);
        let [n, c, h, w] = order.map(|axis| x.dim(axis));
        ensure!(
            self.cg.checked_mul(self.groups) == Some(c),
            ShapeMismatch,
            "conv2d: weight has {} input channels per group, input has {c} / groups {}",
            self.cg,
            self.groups
        );
        let [oh, ow] = self.output_size(h, w)?;
        let mut expected = [0; 4];
        for (axis, dim) in order.into_iter().zip([n, self.outputs(), oh, ow]) {
            expected[axis] = dim;
        }
        for (name, array) in [("output", Some(out)), ("residual", residual)] {
            if let Some(array) = array {
                ensure!(
                    array.shape() == expected,
                    ShapeMismatch,
                    "conv2d: {name} has shape {:?}, expected {expected:?} for input {:?}",
                    array.shape(),
                    x.shape()
                );
            }
        }
        Ok(Extents { n, h, w, oh, ow })
    }
}

/// The sizes of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extents {
    /// Images.
    pub n: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Output rows.
    pub oh: usize,
    /// Output columns.
    pub ow: usize,
}

/// Address and strides of an image array, whatever its layout. A stride of an
/// axis with one element is never used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub ptr: *mut f32,
    pub n: isize,
    pub c: isize,
    pub y: isize,
    pub x: isize,
}

// SAFETY: an address and numbers; whoever reads or writes through it answers for that.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    pub(super) fn new(array: &Raw<f32>, layout: Layout) -> Image {
        let [n, c, y, x] = axes(layout).map(|axis| match array.dim(axis) {
            // So that a single column or channel counts as contiguous.
            1 => 1,
            _ => array.stride(axis),
        });
        Image {
            ptr: array.ptr(),
            n,
            c,
            y,
            x,
        }
    }

    /// The offset of an element, in elements.
    #[inline(always)]
    pub(super) fn offset(&self, n: usize, c: usize, y: usize, x: usize) -> isize {
        n as isize * self.n + c as isize * self.c + y as isize * self.y + x as isize * self.x
    }
}
