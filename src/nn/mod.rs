//! Activations, softmax, pooling, linear layers.
