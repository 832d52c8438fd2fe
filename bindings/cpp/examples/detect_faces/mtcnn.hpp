// MTCNN (Zhang, Zhang, Li, Qiao: "Joint Face Detection and Alignment using Multi-task Cascaded
// Convolutional Networks", 2016) on omma's kernels: three small networks, each looking closer at
// what the one before let through.
//
//   P-Net  slides over a pyramid of shrunken pictures       thousands of windows -> ~100 boxes
//   R-Net  looks at each box as a picture of 24x24           ~100 boxes -> ~10
//   O-Net  looks at each box as a picture of 48x48           ~10 boxes -> faces with landmarks
//
// Thresholds, factors and rounding are those of the Python package the weights come from, whose
// results compare.py holds against these.
#pragma once

#include <omma.hpp>

#include <array>
#include <cstdint>
#include <vector>

#include "boxes.hpp"
#include "network.hpp"
#include "weights.hpp"

struct Face {
    Box box;
    float score;
    std::array<float, 5> landmark_x;  // left eye, right eye, nose, left and right corner of the mouth
    std::array<float, 5> landmark_y;
};

// An RGB picture, rows without gaps.
struct Picture {
    const uint8_t* pixels;
    int64_t width, height;
};

// Milliseconds of each stage and how many boxes it passed on.
struct Profile {
    double pyramid = 0, pnet = 0, rnet = 0, onet = 0, total = 0;
    size_t pnet_boxes = 0, rnet_boxes = 0, faces = 0;
};

class Mtcnn {
public:
    Mtcnn(omma::Context& context, const Weights& weights);

    // The faces, the surest first.
    std::vector<Face> detect(const Picture& picture, int min_face, Profile& profile);

private:
    std::vector<Candidate> propose(const Picture& picture, int min_face, Profile& profile);
    std::vector<Candidate> refine(const Picture& picture, const std::vector<Candidate>& candidates);
    std::vector<Candidate> output(const Picture& picture, const std::vector<Candidate>& candidates);
    template <typename Accept>
    void look_closer(const Picture& picture, const std::vector<Candidate>& candidates, Network& network,
                     int64_t side, Accept accept);

    omma::Context& context_;
    Network pnet_, rnet_, onet_;
    std::vector<uint8_t> padded_;
    std::vector<float> tensor_, scores_;
};
