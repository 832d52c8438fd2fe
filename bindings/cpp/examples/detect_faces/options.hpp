// The command line of detect_faces.
#pragma once

#include <string>

struct Options {
    std::string image;
    std::string output;           // empty: no picture is written
    std::string weights;          // default: mtcnn.weights beside the program
    std::string isa;              // empty: the best that the CPU has
    bool json = false;
    int threads = 0;              // 0: one for each core
    int min_face = 20;
    int repeat = 1;
};

// Parse the command line. Prints help or a complaint and exits where the program should not go on.
Options parse_options(int argc, char** argv);
