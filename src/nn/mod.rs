//! Activations, softmax, pooling, linear layers.

mod activation;
mod loops;
mod softmax;

pub use activation::{
    gelu, gelu_tanh, hardswish, leaky_relu, prelu, relu, relu6, sigmoid, silu, tanh,
};
pub use softmax::{log_softmax, softmax};
