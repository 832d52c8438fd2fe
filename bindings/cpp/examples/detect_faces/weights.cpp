#include "weights.hpp"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace {

// A cursor over the file's bytes that refuses to run past their end.
class Reader {
public:
    Reader(const std::string& path, const std::vector<char>& bytes) : path_(path), bytes_(bytes) {}

    const char* take(size_t count) {
        if (count > bytes_.size() - position_) throw std::runtime_error(path_ + ": the weight file ends too early");
        const char* start = bytes_.data() + position_;
        position_ += count;
        return start;
    }

    uint32_t number() {
        const char* start = take(4);
        uint32_t value = 0;
        for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(start[i]);
        return value;
    }

    bool at_end() const { return position_ == bytes_.size(); }

private:
    const std::string& path_;
    const std::vector<char>& bytes_;
    size_t position_ = 0;
};

}  // namespace

Weights::Weights(const std::string& path) : path_(path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot read the weights (bindings/cpp/examples/detect_faces/fetch.py fetches them)");
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    Reader reader(path_, bytes);
    if (bytes.size() < 8 || std::memcmp(reader.take(8), "OMMAWTS1", 8) != 0)
        throw std::runtime_error(path + ": not a weight file of this demo");
    for (uint32_t left = reader.number(); left > 0; --left) {
        const uint32_t name_length = reader.number();
        const std::string name(reader.take(name_length), name_length);
        WeightTensor tensor;
        uint64_t count = 1;
        for (uint32_t rank = reader.number(); rank > 0; --rank) {
            tensor.shape.push_back(reader.number());
            count *= static_cast<uint64_t>(tensor.shape.back());
            if (count > bytes.size()) throw std::runtime_error(path + ": " + name + " is larger than the file");
        }
        const char* data = reader.take(count * 4);
        tensor.values.resize(count);
        std::memcpy(tensor.values.data(), data, count * 4);
        tensors_[name] = std::move(tensor);
    }
    if (!reader.at_end()) throw std::runtime_error(path + ": bytes are left over after the last tensor");
}

const WeightTensor& Weights::at(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw std::runtime_error(path_ + ": has no tensor " + name);
    return found->second;
}
