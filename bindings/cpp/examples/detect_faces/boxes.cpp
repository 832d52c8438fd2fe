#include "boxes.hpp"

#include <algorithm>
#include <cmath>

std::vector<double> pyramid_scales(int64_t width, int64_t height, int min_face) {
    const double factor = 0.709;
    std::vector<double> scales;
    double scale = 12.0 / min_face;
    for (double side = scale * static_cast<double>(std::min(width, height)); side >= 12.0; side *= factor) {
        scales.push_back(scale);
        scale *= factor;
    }
    return scales;
}

Box pnet_window(int64_t column, int64_t row, double scale) {
    const double x = 2.0 * static_cast<double>(column);
    const double y = 2.0 * static_cast<double>(row);
    return truncated({(x + 1.0) / scale, (y + 1.0) / scale, (x + 12.0) / scale, (y + 12.0) / scale});
}

Box moved(const Box& box, const std::array<float, 4>& offsets, double extra) {
    const double width = box.right - box.left + extra;
    const double height = box.bottom - box.top + extra;
    return {box.left + offsets[0] * width, box.top + offsets[1] * height,
            box.right + offsets[2] * width, box.bottom + offsets[3] * height};
}

Box squared(const Box& box) {
    const double width = box.right - box.left;
    const double height = box.bottom - box.top;
    const double side = std::max(width, height);
    const double left = box.left + width * 0.5 - side * 0.5;
    const double top = box.top + height * 0.5 - side * 0.5;
    return {left, top, left + side, top + side};
}

Box truncated(const Box& box) {
    return {std::trunc(box.left), std::trunc(box.top), std::trunc(box.right), std::trunc(box.bottom)};
}

Window crop_window(const Box& box) {
    const auto left = static_cast<int64_t>(box.left);
    const auto top = static_cast<int64_t>(box.top);
    const auto right = static_cast<int64_t>(box.right);
    const auto bottom = static_cast<int64_t>(box.bottom);
    return {left - 1, top - 1, right - left + 1, bottom - top + 1};
}
