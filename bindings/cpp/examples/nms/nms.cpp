// Non-maximum suppression in a page: of the many boxes that a detector finds around each object,
// the best ones.
//
//     c++ -std=c++17 nms.cpp $(pkg-config --cflags --libs omma) -o nms
#include <omma.hpp>

#include <cstdio>
#include <vector>

int main() try {
    // No context of its own: the calling thread alone, which is enough for a few boxes.
    const auto serial = omma::Context::serial();

    // What a detector says of a street: boxes as left, top, right, bottom, how sure it is of each,
    // and what it is. A cyclist, found three times, sits on a bicycle, found twice.
    const std::vector<float> boxes = {
        100, 50, 160, 210,   104, 54, 162, 214,   96, 40, 158, 200,
        95, 70, 168, 215,    99, 72, 170, 212,    300, 80, 340, 190,
    };
    const std::vector<float> scores = {0.97f, 0.88f, 0.61f, 0.92f, 0.45f, 0.30f};
    enum : int64_t { person, bicycle };
    const std::vector<int64_t> classes = {person, person, person, bicycle, bicycle, person};

    // A box goes when a better one that stays covers more than half of what both cover together.
    const auto options = omma::NmsOptions(/*iou_threshold=*/0.5).score_threshold(0.4);
    // The shapes: six boxes of four numbers, six scores. Nothing is copied.
    const auto all = omma::view(boxes, {6, 4});
    const auto sure = omma::view(scores, {6});

    // Without classes one box is left. The result is indices, the surest first.
    std::vector<int64_t> kept;
    omma::nms(serial, options, all, sure, kept);
    std::printf("all together:");
    for (const int64_t i : kept) std::printf(" %d", static_cast<int>(i));

    // The cyclist must not suppress the bicycle: boxes compete with those of their own class.
    omma::batched_nms(serial, options, all, sure, omma::view(classes, {6}), kept);
    std::printf("\nby class:");
    for (const int64_t i : kept)
        std::printf(" %d (%s)", static_cast<int>(i), classes[static_cast<size_t>(i)] == person ? "person" : "bicycle");

    // How much do both overlap? A view of part of an array is a pointer and a shape.
    std::vector<float> overlap(1);
    omma::box_iou(serial, omma::view(boxes.data() + 4 * kept[0], {1, 4}), omma::view(boxes.data() + 4 * kept[1], {1, 4}),
                  omma::view(overlap, {1, 1}));
    std::printf("\ntheir overlap: %.2f\n", static_cast<double>(overlap[0]));
} catch (const omma::Error& error) {
    // What was wrong, with the argument and both sides of a mismatch.
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
