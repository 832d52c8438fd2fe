// omma.hpp without exceptions: every function returns a Status.
#define OMMA_NO_EXCEPTIONS
#include <cstdio>
#include <string>
#include <vector>

#include "omma.hpp"

int main() {
    omma::Context context;
    auto options = omma::params<OmmaContextOptions>();
    options.num_threads = 1;
    if (!omma::Context::create(options, context)) return 1;
    std::vector<float> x{-1, 1}, y(2);
    if (!omma::relu(context, omma::view(x, {2}), omma::view(y, {2}))) return 2;
    if (y[0] != 0 || y[1] != 1) return 3;
    const omma::Status status = omma::relu(context, omma::view(x, {2}), omma::view(y, {1}));
    if (status.ok() || status.code() != OMMA_SHAPE_MISMATCH || status.message().find("relu") != 0) return 4;
    omma::Conv2d plan;
    const omma::Status missing = omma::Conv2d::create(context, nullptr, nullptr, {}, plan);
    if (missing.code() != OMMA_INVALID_ARGUMENT) return 5;
    if (plan.run(context, omma::view(x, {1, 1, 1, 2}), omma::view(y, {1, 1, 1, 2})).ok()) return 6;
    if (std::string(status.name()) != "OMMA_SHAPE_MISMATCH") return 7;
    // A container that is too small has no data, which the call refuses.
    const omma::Status small = omma::relu(context, omma::view(x, {3}), omma::view(y, {3}));
    if (small.code() != OMMA_INVALID_ARGUMENT || small.message() != "relu: input has data NULL") return 8;
    std::puts("no_exceptions: ok");
    return 0;
}
