// omma for C++17: header-only, and nothing between the call and the C ABI but
// the filling of its structs.
//
//     omma::Context context;                                    // all cores
//     std::vector<float> x(8 * 100), y(x.size());
//     omma::softmax(context, omma::view(x, {8, 100}), omma::view(y, {8, 100}));
//
// A Tensor<T> borrows memory: pointer, shape and, if not compact, strides in
// elements. Inputs are Tensor<const T>, outputs Tensor<T>. view() makes one
// from a pointer, a std::vector, a std::array or a std::span (C++20);
// from_dlpack() passes a DLPack DLTensor as it is.
//
// Failures throw omma::Error. With OMMA_NO_EXCEPTIONS defined (or exceptions
// switched off in the compiler) every function returns an omma::Status
// instead, which must be looked at; objects are then made by their create().
// Files of one program may differ in this.
//
// One file a family stands in omma/; this is the one to include.
#ifndef OMMA_HPP
#define OMMA_HPP

#include "omma.h"

#include "omma/attention.hpp"
#include "omma/boxes.hpp"
#include "omma/cluster.hpp"
#include "omma/conv.hpp"
#include "omma/image.hpp"
#include "omma/linear.hpp"
#include "omma/neighbours.hpp"
#include "omma/nn.hpp"
#include "omma/roi.hpp"
#include "omma/transformer.hpp"
#include "omma/warp.hpp"

#endif  // OMMA_HPP
