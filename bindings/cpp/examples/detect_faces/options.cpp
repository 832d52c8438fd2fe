#include "options.hpp"

#include <getopt.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace {

const char* const kHelp =
    "usage: detect_faces IMAGE [-o OUT.png] [options]\n"
    "\n"
    "Finds faces in a PNG or JPEG picture: a box, a score and five landmarks for each.\n"
    "\n"
    "  -o, --output FILE    write the picture with the faces marked (.png or .jpg)\n"
    "      --json           print one JSON object instead of text\n"
    "      --threads N      threads to use (default: one for each core)\n"
    "      --isa NAME       instruction set: portable, neon, avx2, avx512 (default: the best here)\n"
    "      --min-face PX    smallest face to look for, in pixels (default: 20)\n"
    "      --weights FILE   the networks (default: mtcnn.weights beside this program)\n"
    "      --repeat N       detect N times and print the median of each time\n"
    "  -h, --help           print this\n";

[[noreturn]] void complain(const std::string& what) {
    std::fprintf(stderr, "detect_faces: %s\nTry 'detect_faces --help'.\n", what.c_str());
    std::exit(2);
}

int number(const char* option, const char* text, long least, long most) {
    errno = 0;
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < least || value > most)
        complain(std::string(option) + " takes a whole number from " + std::to_string(least) + " to " +
                 std::to_string(most) + ", not '" + text + "'");
    return static_cast<int>(value);
}

std::string beside_program(const char* name) {
    std::error_code error;
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
    return error ? std::string(name) : (program.parent_path() / name).string();
}

}  // namespace

Options parse_options(int argc, char** argv) {
    enum { kJson = 256, kThreads, kIsa, kMinFace, kWeights, kRepeat };
    static const option long_options[] = {
        {"output", required_argument, nullptr, 'o'},      {"json", no_argument, nullptr, kJson},
        {"threads", required_argument, nullptr, kThreads}, {"isa", required_argument, nullptr, kIsa},
        {"min-face", required_argument, nullptr, kMinFace}, {"weights", required_argument, nullptr, kWeights},
        {"repeat", required_argument, nullptr, kRepeat},  {"help", no_argument, nullptr, 'h'},
        {nullptr, 0, nullptr, 0},
    };
    Options options;
    for (int got; (got = getopt_long(argc, argv, "o:h", long_options, nullptr)) != -1;) {
        switch (got) {
            case 'o': options.output = optarg; break;
            case kJson: options.json = true; break;
            case kThreads: options.threads = number("--threads", optarg, 1, 1024); break;
            case kIsa: options.isa = optarg; break;
            case kMinFace: options.min_face = number("--min-face", optarg, 12, INT_MAX); break;
            case kWeights: options.weights = optarg; break;
            case kRepeat: options.repeat = number("--repeat", optarg, 1, 1000000); break;
            case 'h': std::fputs(kHelp, stdout); std::exit(0);
            default: std::fputs("Try 'detect_faces --help'.\n", stderr); std::exit(2);
        }
    }
    if (optind == argc) complain("which picture?");
    if (optind + 1 < argc) complain(std::string("one picture at a time, but there is also '") + argv[optind + 1] + "'");
    options.image = argv[optind];
    if (options.weights.empty()) options.weights = beside_program("mtcnn.weights");
    return options;
}
