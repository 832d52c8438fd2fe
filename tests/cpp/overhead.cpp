// What omma.hpp costs over the C ABI: the same calls both ways, for tools/steps/c to count the
// instructions of each. Without arguments it holds the results of both against one another.
//
//     overhead c|cpp relu|conv2d|nms CALLS
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "omma.hpp"

namespace {

struct Data {
    std::vector<float> x = {-1, 2, -3, 4}, y = std::vector<float>(4), weight = {2}, bias = {1};
    std::vector<float> boxes = {0, 0, 1, 1, 5, 5, 6, 6}, scores = {0.5f, 0.9f};
    std::vector<int64_t> kept = std::vector<int64_t>(2);
    int64_t count = 0;
};

OmmaTensor tensor(void* data, int32_t ndim, const int64_t* shape, OmmaDataType dtype = {OMMA_DTYPE_FLOAT, 32, 1}) {
    return {data, {OMMA_DEVICE_CPU, 0}, ndim, dtype, shape, nullptr, 0};
}

// As a careful C programmer writes it.
void in_c(const char* what, long calls, Data& d) {
    const auto checked = [](OmmaStatus status) {
        if (status != OMMA_OK) std::exit(1);
    };
    const int64_t flat[] = {2, 2}, image[] = {1, 1, 2, 2}, one[] = {1, 1, 1, 1}, four[] = {2, 4};
    if (std::strcmp(what, "relu") == 0) {
        for (long i = 0; i < calls; ++i) {
            const OmmaTensor x = tensor(d.x.data(), 2, flat), y = tensor(d.y.data(), 2, flat);
            checked(omma_relu(nullptr, &x, &y));
        }
    } else if (std::strcmp(what, "conv2d") == 0) {
        OmmaConv2d* plan = nullptr;
        const OmmaTensor weight = tensor(d.weight.data(), 4, one), bias = tensor(d.bias.data(), 1, one);
        OmmaConv2dParams params = OMMA_INIT(OmmaConv2dParams);
        checked(omma_conv2d_create(nullptr, &params, &weight, &bias, &plan));
        for (long i = 0; i < calls; ++i) {
            const OmmaTensor x = tensor(d.x.data(), 4, image), y = tensor(d.y.data(), 4, image);
            checked(omma_conv2d_run(nullptr, plan, &x, nullptr, &y));
        }
        omma_conv2d_destroy(plan);
    } else {
        for (long i = 0; i < calls; ++i) {
            const OmmaTensor boxes = tensor(d.boxes.data(), 2, four), scores = tensor(d.scores.data(), 1, four);
            const OmmaTensor kept = tensor(d.kept.data(), 1, four, {OMMA_DTYPE_INT, 64, 1});
            OmmaNmsParams params = OMMA_INIT(OmmaNmsParams);
            params.iou_threshold = 0.5;
            checked(omma_nms(nullptr, &params, &boxes, &scores, &kept, &d.count));
        }
    }
}

void in_cpp(const char* what, long calls, Data& d) {
    const auto serial = omma::Context::serial();
    if (std::strcmp(what, "relu") == 0) {
        for (long i = 0; i < calls; ++i) omma::relu(serial, omma::view(d.x, {2, 2}), omma::view(d.y, {2, 2}));
    } else if (std::strcmp(what, "conv2d") == 0) {
        const omma::Conv2d plan(serial, omma::view(d.weight, {1, 1, 1, 1}), omma::view(d.bias, {1}));
        for (long i = 0; i < calls; ++i) plan.run(serial, omma::view(d.x, {1, 1, 2, 2}), omma::view(d.y, {1, 1, 2, 2}));
    } else {
        for (long i = 0; i < calls; ++i)
            omma::nms(serial, omma::NmsOptions(0.5), omma::view(d.boxes, {2, 4}), omma::view(d.scores, {2}),
                      omma::view(d.kept, {2}), d.count);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 4) {
        Data data;
        (std::strcmp(argv[1], "c") == 0 ? in_c : in_cpp)(argv[2], std::atol(argv[3]), data);
        return 0;
    }
    for (const char* what : {"relu", "conv2d", "nms"}) {
        Data c, cpp;
        in_c(what, 1, c);
        in_cpp(what, 1, cpp);
        if (c.y != cpp.y || c.kept != cpp.kept) return 1;
        const bool worked = std::strcmp(what, "nms") == 0 ? c.kept[0] == 1 : c.y[3] != 0;
        if (!worked) return 2;
    }
    std::puts("overhead: ok");
}
