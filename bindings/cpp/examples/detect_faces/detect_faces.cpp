// detect_faces: find faces in a picture with MTCNN on omma. `detect_faces --help` tells the rest.

#include <omma.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "mtcnn.hpp"
#include "options.hpp"
#include "picture/picture.h"
#include "weights.hpp"

namespace {

const char* const kLandmarks[5] = {"left_eye", "right_eye", "nose", "mouth_left", "mouth_right"};

// The decoded picture, freed by the crate that made it.
class LoadedPicture {
public:
    explicit LoadedPicture(const std::string& path) {
        char message[512];
        if (picture_load(path.c_str(), &pixels_, &width_, &height_, message, sizeof message) != 0)
            throw std::runtime_error(path + ": " + message);
    }
    ~LoadedPicture() { picture_free(pixels_, width_, height_); }
    LoadedPicture(const LoadedPicture&) = delete;
    LoadedPicture& operator=(const LoadedPicture&) = delete;

    Picture view() const { return {pixels_, static_cast<int64_t>(width_), static_cast<int64_t>(height_)}; }

    void save_marked(const std::string& path, const std::vector<Face>& faces) const {
        std::vector<PictureFace> marks;
        for (const Face& face : faces) {
            PictureFace mark{static_cast<float>(face.box.left), static_cast<float>(face.box.top),
                             static_cast<float>(face.box.right), static_cast<float>(face.box.bottom), {}, {}, face.score};
            std::copy(face.landmark_x.begin(), face.landmark_x.end(), mark.landmark_x);
            std::copy(face.landmark_y.begin(), face.landmark_y.end(), mark.landmark_y);
            marks.push_back(mark);
        }
        char message[512];
        if (picture_save(path.c_str(), pixels_, width_, height_, marks.data(), marks.size(), message, sizeof message) != 0)
            throw std::runtime_error(path + ": " + message);
    }

private:
    uint8_t* pixels_ = nullptr;
    size_t width_ = 0, height_ = 0;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t middle = values.size() / 2;
    return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// The median of each time over several runs.
Profile median(const std::vector<Profile>& runs) {
    Profile result = runs.front();
    for (double Profile::*time : {&Profile::pyramid, &Profile::pnet, &Profile::rnet, &Profile::onet, &Profile::total}) {
        std::vector<double> values;
        for (const Profile& run : runs) values.push_back(run.*time);
        result.*time = median(values);
    }
    return result;
}

std::string quoted(const std::string& text) {
    std::string result = "\"";
    for (const char c : text) {
        char escape[8];
        if (c == '"' || c == '\\') {
            result += '\\';
            result += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
            result += escape;
        } else {
            result += c;
        }
    }
    return result + '"';
}

struct Report {
    const Options& options;
    const Picture picture;
    const std::vector<Face>& faces;
    const Profile& profile;
    std::string isa;
    int threads;
};

void print_json(const Report& report) {
    const Profile& profile = report.profile;
    std::printf("{\"image\": %s, \"width\": %lld, \"height\": %lld,\n", quoted(report.options.image).c_str(),
                static_cast<long long>(report.picture.width), static_cast<long long>(report.picture.height));
    std::printf(" \"isa\": %s, \"threads\": %d, \"runs\": %d,\n", quoted(report.isa).c_str(), report.threads, report.options.repeat);
    std::printf(" \"milliseconds\": {\"pyramid\": %.4f, \"pnet\": %.4f, \"rnet\": %.4f, \"onet\": %.4f, \"total\": %.4f},\n",
                profile.pyramid, profile.pnet, profile.rnet, profile.onet, profile.total);
    std::printf(" \"boxes\": {\"pnet\": %zu, \"rnet\": %zu, \"onet\": %zu},\n \"faces\": [", profile.pnet_boxes, profile.rnet_boxes, profile.faces);
    const char* separator = "";
    for (const Face& face : report.faces) {
        std::printf("%s\n  {\"left\": %.3f, \"top\": %.3f, \"right\": %.3f, \"bottom\": %.3f, \"score\": %.8f, \"landmarks\": {", separator,
                    face.box.left, face.box.top, face.box.right, face.box.bottom, static_cast<double>(face.score));
        for (size_t i = 0; i < 5; ++i)
            std::printf("%s\"%s\": [%.3f, %.3f]", i == 0 ? "" : ", ", kLandmarks[i], static_cast<double>(face.landmark_x[i]),
                        static_cast<double>(face.landmark_y[i]));
        std::printf("}}");
        separator = ",";
    }
    std::printf("]}\n");
}

void print_text(const Report& report) {
    const Profile& profile = report.profile;
    std::printf("%s: %lld x %lld, %zu %s\n", report.options.image.c_str(), static_cast<long long>(report.picture.width),
                static_cast<long long>(report.picture.height), report.faces.size(), report.faces.size() == 1 ? "face" : "faces");
    for (const Face& face : report.faces) {
        // Whole pixels, inside the picture, as the Python package prints them.
        const double x = std::max(0.0, std::trunc(face.box.left)), y = std::max(0.0, std::trunc(face.box.top));
        std::printf("  x %.0f  y %.0f  %.0fx%.0f  score %.5f\n   ", x, y, std::trunc(face.box.right - x),
                    std::trunc(face.box.bottom - y), std::floor(static_cast<double>(face.score) * 1e5) / 1e5);
        for (size_t i = 0; i < 5; ++i)
            std::printf(" %s %.0f,%.0f", kLandmarks[i], std::trunc(static_cast<double>(face.landmark_x[i])),
                        std::trunc(static_cast<double>(face.landmark_y[i])));
        std::printf("\n");
    }
    std::printf("isa %s, %d %s", report.isa.c_str(), report.threads, report.threads == 1 ? "thread" : "threads");
    if (report.options.repeat > 1) std::printf(", median of %d runs", report.options.repeat);
    std::printf("\n  pyramid %7.2f ms\n  P-Net   %7.2f ms  %zu boxes\n  R-Net   %7.2f ms  %zu boxes\n  O-Net   %7.2f ms  %zu %s\n  total   %7.2f ms\n",
                profile.pyramid, profile.pnet, profile.pnet_boxes, profile.rnet, profile.rnet_boxes, profile.onet, profile.faces,
                profile.faces == 1 ? "face" : "faces", profile.total);
    if (!report.options.output.empty()) std::printf("wrote %s\n", report.options.output.c_str());
}

// A mistake in the command line that only the library can see; exit status 2 or, for an
// instruction set that this CPU lacks, 3.
struct UsageError : std::runtime_error {
    UsageError(int status_, const std::string& what) : std::runtime_error(what), status(status_) {}
    int status;
};

// The OMMA_ISA_ constant of a name; an empty name is the default.
int32_t isa_named(const std::string& name) {
    if (name.empty()) return OMMA_ISA_DEFAULT;
    for (int32_t isa : {OMMA_ISA_PORTABLE, OMMA_ISA_NEON, OMMA_ISA_AVX2, OMMA_ISA_AVX512}) {
        if (name != omma_isa_name(isa)) continue;
        if (omma_isa_available(isa) == 0) throw UsageError(3, "this CPU does not have --isa " + name);
        return isa;
    }
    throw UsageError(2, "--isa takes portable, neon, avx2 or avx512, not '" + name + "'");
}

void run(const Options& options) {
    omma::Context context(options.threads, isa_named(options.isa));
    const LoadedPicture picture(options.image);
    Mtcnn mtcnn(context, Weights(options.weights));

    std::vector<Face> faces;
    std::vector<Profile> runs(static_cast<size_t>(options.repeat));
    for (Profile& profile : runs) faces = mtcnn.detect(picture.view(), options.min_face, profile);

    if (!options.output.empty()) picture.save_marked(options.output, faces);
    const Profile profile = median(runs);
    const Report report{options, picture.view(), faces, profile, omma_isa_name(context.isa()), context.num_threads()};
    options.json ? print_json(report) : print_text(report);
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = parse_options(argc, argv);
    try {
        run(options);
        return 0;
    } catch (const UsageError& error) {
        std::fprintf(stderr, "detect_faces: %s\n", error.what());
        return error.status;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "detect_faces: %s\n", error.what());
        return 1;
    }
}
