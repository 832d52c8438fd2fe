// Convolution in a page: finds the edges of a small picture.
//
//     c++ -std=c++17 conv2d.cpp $(pkg-config --cflags --libs omma) -o conv2d
#include <omma.hpp>

#include <cstdio>
#include <vector>

int main() try {
    // Threads and scratch memory of what follows. Without an argument it takes all cores.
    const omma::Context context(2);

    // A picture of 12 rows and 32 columns: dark, with a bright rectangle in it.
    constexpr int64_t height = 12, width = 32;
    std::vector<float> picture(height * width);
    for (int64_t y = 3; y < 9; ++y)
        for (int64_t x = 6; x < 26; ++x) picture[static_cast<size_t>(y * width + x)] = 1;

    // The weights of the convolution, as torch has them: (output channels, input channels, height,
    // width of the window). Two windows of 3x3, Sobel's: how much brighter is it to the right, and below?
    const std::vector<float> weight = {
        -1, 0, 1,  -2, 0, 2,  -1, 0, 1,
        -1, -2, -1,  0, 0, 0,  1, 2, 1,
    };

    // A plan packs the weights once, for the instruction set of this CPU; it can then run any number
    // of times and in any number of threads. A padding of 1 keeps the size of the picture. There is
    // no bias, so it is nullptr. view() is a vector with a shape: nothing is copied.
    const omma::Conv2d sobel(context, omma::view(weight, {2, 1, 3, 3}), nullptr, omma::Conv2dOptions().padding(1));

    // In: one picture of one channel. Out: one picture of two channels.
    std::vector<float> edges(2 * height * width);
    sobel.run(context, omma::view(picture, {1, 1, height, width}), omma::view(edges, {1, 2, height, width}));

    // The picture of the edges: '|' where it changes to the right, '-' where it changes below.
    for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
            const auto at = static_cast<size_t>(y * width + x);
            const bool right = edges[at] != 0, below = edges[at + height * width] != 0;
            std::putchar(right && below ? '+' : right ? '|' : below ? '-' : '.');
        }
        std::putchar('\n');
    }
    std::printf("%s\n", sobel.describe().c_str());
} catch (const omma::Error& error) {
    // What was wrong, with the argument and both sides of a mismatch.
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
