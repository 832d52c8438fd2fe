//! The activation functions over vectors: for the epilogues of convolutions
//! and matrix products, and for the elementwise operators.

use super::{Arithmetic, math};

/// An activation that needs no more than the value. (PReLU, whose slope comes
/// per channel, is [`leaky_relu`] with a vector.)
///
/// NaN gives NaN for every kind.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Activation {
    /// `x`
    #[default]
    None,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x` if positive, else `slope * x`
    LeakyRelu {
        /// The factor for negative values.
        slope: f32,
    },
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `x * sigmoid(x)`
    Silu,
    /// `x * relu6(x + 3) / 6`
    HardSwish,
    /// `x / 2 * (1 + erf(x / sqrt 2))`
    Gelu,
    /// `x / 2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x³)))`
    GeluTanh,
}

impl Activation {
    /// Applies the activation to every lane. The match is on a value that is
    /// the same for a whole call, so it belongs outside of the inner loop: the
    /// compiler hoists it, or the caller does.
    #[inline(always)]
    pub fn apply<S: Arithmetic>(self, simd: S, x: S::F32) -> S::F32 {
        match self {
            Activation::None => x,
            Activation::Relu => relu(simd, x),
            Activation::Relu6 => relu6(simd, x),
            Activation::LeakyRelu { slope } => leaky_relu(simd, x, simd.splat(slope)),
            Activation::Sigmoid => math::sigmoid(simd, x),
            Activation::Tanh => math::tanh(simd, x),
            Activation::Silu => simd.mul(x, math::sigmoid(simd, x)),
            Activation::HardSwish => {
                let gate = relu6(simd, simd.add(x, simd.splat(3.0)));
                simd.mul(x, simd.mul(gate, simd.splat(1.0 / 6.0)))
            }
            Activation::Gelu => math::gelu(simd, x),
            Activation::GeluTanh => math::gelu_tanh(simd, x),
        }
    }
}

/// `max(x, 0)`; NaN stays NaN, because `max` gives its second operand then.
#[inline(always)]
pub fn relu<S: Arithmetic>(simd: S, x: S::F32) -> S::F32 {
    simd.max(simd.splat(0.0), x)
}

/// `min(max(x, 0), 6)`; NaN stays NaN.
#[inline(always)]
pub fn relu6<S: Arithmetic>(simd: S, x: S::F32) -> S::F32 {
    simd.min(simd.splat(6.0), relu(simd, x))
}

/// `x` if positive, else `slope * x`; NaN stays NaN.
#[inline(always)]
pub fn leaky_relu<S: Arithmetic>(simd: S, x: S::F32, slope: S::F32) -> S::F32 {
    simd.select(simd.gt(x, simd.splat(0.0)), x, simd.mul(x, slope))
}
