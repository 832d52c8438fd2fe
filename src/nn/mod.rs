//! Activations, softmax, normalization, pooling, linear layers.

mod activation;
mod linear;
mod loops;
mod norm;
mod pool;
mod softmax;

pub use activation::{
    gelu, gelu_tanh, hardswish, leaky_relu, prelu, relu, relu6, sigmoid, silu, tanh,
};
pub use linear::{Linear, linear, matmul};
pub use norm::{Norm, layer_norm, rms_norm};
pub use pool::{AverageOver, Pool2d, avg_pool2d, max_pool2d};
pub use softmax::{log_softmax, softmax};
