// What MTCNN does to boxes between its networks: a few operations on a few hundred boxes at most.
//
// The method comes from MATLAB and keeps its habits: a box is left, top, right, bottom with both
// ends inside, so its width is right - left + 1, and when pixels are cut out of the picture the
// numbers count from 1. The networks were trained with both, so both stay.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

struct Box {
    double left, top, right, bottom;
};

struct Candidate {
    Box box;
    float score;
    std::array<float, 4> offsets;       // what the network would move the box's sides by, in box sizes
    std::array<float, 5> landmark_x{};  // O-Net only
    std::array<float, 5> landmark_y{};
};

// The smallest pyramid level still has room for P-Net's 12x12 window; each is 0.709 (about the
// square root of a half) of the one before, and the first makes a face of `min_face` 12 pixels.
std::vector<double> pyramid_scales(int64_t width, int64_t height, int min_face);

// P-Net looks through a window of 12 pixels in steps of 2. This is the window of one cell of its
// output, in pixels of the picture.
Box pnet_window(int64_t column, int64_t row, double scale);

// Move the sides of the box by the network's offsets. P-Net's count in right - left (its windows'
// sides are exclusive there), those of the later networks in right - left + 1.
Box moved(const Box& box, const std::array<float, 4>& offsets, double extra);

// The square around the same centre with the longer side.
Box squared(const Box& box);

// Cut every side to whole pixels, towards zero.
Box truncated(const Box& box);

// A box of whole pixels as a half-open window of the picture, which may reach outside it.
struct Window {
    int64_t x, y, width, height;

    bool inside(int64_t image_width, int64_t image_height) const {
        return x >= 0 && y >= 0 && x + width <= image_width && y + height <= image_height;
    }
    bool touches(int64_t image_width, int64_t image_height) const {
        return width > 0 && height > 0 && x < image_width && y < image_height && x + width > 0 && y + height > 0;
    }
};
Window crop_window(const Box& box);
