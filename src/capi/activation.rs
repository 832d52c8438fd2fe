//! The kinds of activation that operators apply to their results.

use crate::error::{Result, bail};
use crate::simd::Activation;

/// `x`
pub const OMMA_ACTIVATION_NONE: i32 = 0;
/// `max(x, 0)`
pub const OMMA_ACTIVATION_RELU: i32 = 1;
/// `min(max(x, 0), 6)`
pub const OMMA_ACTIVATION_RELU6: i32 = 2;
/// `x` if positive, else `negative_slope * x`
pub const OMMA_ACTIVATION_LEAKY_RELU: i32 = 3;
/// `x` if positive, else `slope * x` with a slope for each channel
pub const OMMA_ACTIVATION_PRELU: i32 = 4;
/// `1 / (1 + exp(-x))`
pub const OMMA_ACTIVATION_SIGMOID: i32 = 5;
/// Hyperbolic tangent
pub const OMMA_ACTIVATION_TANH: i32 = 6;
/// `x * sigmoid(x)`
pub const OMMA_ACTIVATION_SILU: i32 = 7;
/// `x * relu6(x + 3) / 6`
pub const OMMA_ACTIVATION_HARDSWISH: i32 = 8;
/// `x / 2 * (1 + erf(x / sqrt(2)))`
pub const OMMA_ACTIVATION_GELU: i32 = 9;
/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`
pub const OMMA_ACTIVATION_GELU_TANH: i32 = 10;

/// The activation of that kind; PReLU is `None` here, its slopes are the
/// operator's. `negative_slope` belongs to leaky ReLU, where zero means 0.01.
pub(crate) fn activation(op: &str, kind: i32, negative_slope: f32) -> Result<Activation> {
    Ok(match kind {
        OMMA_ACTIVATION_NONE | OMMA_ACTIVATION_PRELU => Activation::None,
        OMMA_ACTIVATION_RELU => Activation::Relu,
        OMMA_ACTIVATION_RELU6 => Activation::Relu6,
        OMMA_ACTIVATION_LEAKY_RELU => Activation::LeakyRelu {
            slope: match negative_slope {
                0.0 => 0.01,
                slope => slope,
            },
        },
        OMMA_ACTIVATION_SIGMOID => Activation::Sigmoid,
        OMMA_ACTIVATION_TANH => Activation::Tanh,
        OMMA_ACTIVATION_SILU => Activation::Silu,
        OMMA_ACTIVATION_HARDSWISH => Activation::HardSwish,
        OMMA_ACTIVATION_GELU => Activation::Gelu,
        OMMA_ACTIVATION_GELU_TANH => Activation::GeluTanh,
        other => bail!(
            InvalidArgument,
            "{op}: activation is {other}, not an OMMA_ACTIVATION_ constant"
        ),
    })
}
