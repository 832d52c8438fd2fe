// Reads the weight file that fetch.py writes (its doc comment describes the format).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

struct WeightTensor {
    std::vector<int64_t> shape;
    std::vector<float> values;  // row-major
};

class Weights {
public:
    // Throws std::runtime_error naming the file and what is wrong with it.
    explicit Weights(const std::string& path);

    bool has(const std::string& name) const { return tensors_.count(name) != 0; }
    // Throws std::runtime_error when the file has no tensor of that name.
    const WeightTensor& at(const std::string& name) const;

private:
    std::string path_;
    std::map<std::string, WeightTensor> tensors_;
};
