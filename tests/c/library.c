/* The library as a C99 program sees it: contexts, tensors, params, errors,
 * plans, the caller's own threads and memory. Runs under valgrind, too. */
#define _POSIX_C_SOURCE 200112L
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "omma.h"

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n  last error: %s\n", __FILE__, __LINE__, #condition, omma_last_error()); \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

static OmmaTensor tensor(void *data, int ndim, const int64_t *shape)
{
    OmmaTensor t;
    memset(&t, 0, sizeof t);
    t.data = data;
    t.device.device_type = OMMA_DEVICE_CPU;
    t.ndim = ndim;
    t.dtype.code = OMMA_DTYPE_FLOAT;
    t.dtype.bits = 32;
    t.dtype.lanes = 1;
    t.shape = shape;
    return t;
}

static void version_and_names(void)
{
    CHECK(omma_version() == OMMA_VERSION_MAJOR * 10000 + OMMA_VERSION_MINOR * 100 + OMMA_VERSION_PATCH);
    CHECK(strcmp(omma_status_name(OMMA_SHAPE_MISMATCH), "OMMA_SHAPE_MISMATCH") == 0);
    CHECK(strcmp(omma_status_name(-12345), "unknown status") == 0);
    CHECK(strcmp(omma_isa_name(OMMA_ISA_AVX512), "avx512") == 0);
    CHECK(omma_isa_available(OMMA_ISA_PORTABLE) == 1);
    CHECK(omma_isa_available(77) == 0);
    CHECK(strcmp(omma_last_error(), "") == 0);
}

static void contexts(void)
{
    OmmaContext *context = NULL;
    OmmaContextOptions options = OMMA_INIT(OmmaContextOptions);
    int32_t isa;
    CHECK(omma_context_create(NULL, &context) == OMMA_OK);
    CHECK(omma_context_num_threads(context) >= 1);
    omma_context_destroy(context);
    omma_context_destroy(NULL);
    CHECK(omma_context_num_threads(NULL) == 1);
    CHECK(omma_context_create(&options, NULL) == OMMA_INVALID_ARGUMENT);
    CHECK(strstr(omma_last_error(), "context") != NULL);
    options.num_threads = -1;
    CHECK(omma_context_create(&options, &context) == OMMA_INVALID_ARGUMENT);
    CHECK(strstr(omma_last_error(), "num_threads") != NULL);
    options.num_threads = 1;
    options.max_isa = 99;
    CHECK(omma_context_create(&options, &context) == OMMA_INVALID_ARGUMENT);
    CHECK(strstr(omma_last_error(), "max_isa") != NULL);
    options.max_isa = 0;
    options.struct_size = 0;
    CHECK(omma_context_create(&options, &context) == OMMA_INVALID_ARGUMENT);
    CHECK(strstr(omma_last_error(), "struct_size") != NULL);
    options.struct_size = sizeof options;
    for (isa = OMMA_ISA_PORTABLE; isa <= OMMA_ISA_AVX512; ++isa) {
        options.max_isa = isa;
        if (omma_isa_available(isa)) {
            CHECK(omma_context_create(&options, &context) == OMMA_OK);
            CHECK(omma_context_isa(context) == isa);
            omma_context_destroy(context);
        } else {
            CHECK(omma_context_create(&options, &context) == OMMA_UNSUPPORTED);
            CHECK(strstr(omma_last_error(), omma_isa_name(isa)) != NULL);
        }
    }
}

/* A 3x3 box filter over a picture of ones: 9 inside, 6 at the sides, 4 in the corners. */
static void convolution(const OmmaContext *context)
{
    float x[1 * 2 * 8 * 8], w[3 * 2 * 3 * 3], y[1 * 3 * 8 * 8], z[1 * 3 * 8 * 8];
    const int64_t x_shape[] = {1, 2, 8, 8}, w_shape[] = {3, 2, 3, 3}, y_shape[] = {1, 3, 8, 8};
    const int64_t wrong[] = {3, 5, 3, 3};
    OmmaTensor input = tensor(x, 4, x_shape), weight = tensor(w, 4, w_shape), output = tensor(y, 4, y_shape);
    OmmaConv2dParams params = OMMA_INIT(OmmaConv2dParams);
    OmmaConv2d *plan = NULL;
    char text[64];
    int64_t oh = 0, ow = 0;
    size_t i;
    for (i = 0; i < sizeof x / sizeof *x; ++i) x[i] = 0.5f;
    for (i = 0; i < sizeof w / sizeof *w; ++i) w[i] = 1.0f;
    for (i = 0; i < 4; ++i) params.padding[i] = 1;

    CHECK(omma_conv2d(context, &params, &input, &weight, NULL, NULL, &output) == OMMA_OK);
    CHECK(y[0] == 4.0f && y[1] == 6.0f && y[9] == 9.0f && y[3 * 64 - 1] == 4.0f);

    CHECK(omma_conv2d_create(context, &params, &weight, NULL, &plan) == OMMA_OK);
    CHECK(omma_conv2d_output_shape(plan, 8, 8, &oh, &ow) == OMMA_OK && oh == 8 && ow == 8);
    omma_conv2d_describe(plan, text, sizeof text);
    CHECK(strlen(text) > 0);
    output.data = z;
    CHECK(omma_conv2d_run(context, plan, &input, NULL, &output) == OMMA_OK);
    CHECK(memcmp(y, z, sizeof y) == 0);
    omma_conv2d_destroy(plan);
    omma_conv2d_destroy(NULL);

    weight.shape = wrong;
    memset(z, 0x5A, sizeof z);
    memcpy(y, z, sizeof y);
    CHECK(omma_conv2d(context, &params, &input, &weight, NULL, NULL, &output) == OMMA_SHAPE_MISMATCH);
    CHECK(strstr(omma_last_error(), "conv2d: weight") == omma_last_error());
    CHECK(memcmp(y, z, sizeof y) == 0);
}

struct shared {
    const OmmaContext *context;
    int wrong;
};

/* One context, many threads, each with data of its own; and each with its own last error. */
static void *worker(void *arg)
{
    struct shared *shared = arg;
    const int64_t shape[] = {64, 50}, other[] = {50, 64};
    float *x = malloc(3200 * sizeof *x), *y = malloc(3200 * sizeof *y);
    OmmaTensor in = tensor(x, 2, shape), out = tensor(y, 2, shape), bad = tensor(y, 2, other);
    int round, i, row;
    for (i = 0; i < 3200; ++i) x[i] = (float)(i % 50) * 0.1f;
    for (round = 0; round < 50; ++round) {
        if (omma_softmax(shared->context, NULL, &in, &out) != OMMA_OK) shared->wrong = 1;
        for (row = 0; row < 64; ++row) {
            float sum = 0;
            for (i = 0; i < 50; ++i) sum += y[row * 50 + i];
            if (fabsf(sum - 1.0f) > 1e-5f) shared->wrong = 1;
        }
        if (omma_softmax(shared->context, NULL, &in, &bad) != OMMA_SHAPE_MISMATCH) shared->wrong = 1;
        if (strstr(omma_last_error(), "softmax: output") != omma_last_error()) shared->wrong = 1;
    }
    free(x);
    free(y);
    return NULL;
}

static void threads(const OmmaContext *context)
{
    struct shared shared = {NULL, 0};
    pthread_t ids[4];
    int i;
    shared.context = context;
    for (i = 0; i < 4; ++i) CHECK(pthread_create(&ids[i], NULL, worker, &shared) == 0);
    for (i = 0; i < 4; ++i) CHECK(pthread_join(ids[i], NULL) == 0);
    CHECK(!shared.wrong);
}

static void serial_for(void *user, size_t count, OmmaTask task, void *arg)
{
    size_t i;
    ++*(int *)user;
    for (i = count; i-- > 0;) task(arg, i);
}

static int live_blocks, made_blocks;

static void *allocate(void *user, size_t size, size_t alignment)
{
    void *ptr = NULL;
    (void)user;
    if (posix_memalign(&ptr, alignment, size) != 0) return NULL;
    ++live_blocks;
    ++made_blocks;
    return ptr;
}

static void deallocate(void *user, void *ptr, size_t size, size_t alignment)
{
    (void)user;
    (void)size;
    (void)alignment;
    --live_blocks;
    free(ptr);
}

static void *no_memory(void *user, size_t size, size_t alignment)
{
    (void)user;
    (void)size;
    (void)alignment;
    return NULL;
}

static void callbacks(void)
{
    int calls = 0, before;
    OmmaContext *context = NULL;
    OmmaContextOptions options = OMMA_INIT(OmmaContextOptions);
    options.num_threads = 3;
    options.parallel_for = serial_for;
    options.parallel_for_user = &calls;
    options.allocate = allocate;
    CHECK(omma_context_create(&options, &context) == OMMA_INVALID_ARGUMENT);
    options.deallocate = deallocate;
    CHECK(omma_context_create(&options, &context) == OMMA_OK);
    convolution(context);
    threads(context);
    {
        /* Long enough to be shared out. */
        const int64_t shape[] = {1 << 20};
        float *x = calloc(1 << 20, sizeof *x);
        OmmaTensor both = tensor(x, 1, shape);
        x[(1 << 20) - 1] = -1.0f;
        CHECK(omma_relu(context, &both, &both) == OMMA_OK && x[(1 << 20) - 1] == 0.0f);
        free(x);
    }
    CHECK(calls > 0 && made_blocks > 0);
    before = made_blocks;
    {
        /* Columns of a transposed matrix: needs scratch, and the second time there is some. */
        static float x[60 * 40], y[60 * 40];
        const int64_t shape[] = {60, 40}, strides[] = {1, 60};
        OmmaTensor in = tensor(x, 2, shape), out = tensor(y, 2, shape);
        in.strides = strides;
        out.strides = strides;
        CHECK(omma_softmax(context, NULL, &in, &out) == OMMA_OK);
        before = made_blocks;
        CHECK(omma_softmax(context, NULL, &in, &out) == OMMA_OK);
        CHECK(made_blocks == before);
        CHECK(omma_context_scratch_bytes(context) > 0 && omma_context_scratch_bytes(NULL) == 0);
    }
    omma_context_destroy(context);
    CHECK(live_blocks == 0);

    options.allocate = no_memory;
    options.parallel_for = NULL;
    options.num_threads = 1;
    CHECK(omma_context_create(&options, &context) == OMMA_OK);
    {
        float w[2 * 2 * 9] = {0};
        const int64_t shape[] = {2, 2, 3, 3};
        OmmaTensor weight = tensor(w, 4, shape);
        OmmaConv2d *plan = NULL;
        CHECK(omma_conv2d_create(context, NULL, &weight, NULL, &plan) == OMMA_OUT_OF_MEMORY);
        CHECK(plan == NULL);
    }
    omma_context_destroy(context);
}

int main(void)
{
    OmmaContext *context = NULL;
    OmmaContextOptions options = OMMA_INIT(OmmaContextOptions);
    version_and_names();
    contexts();
    convolution(NULL);
    options.num_threads = 3;
    CHECK(omma_context_create(&options, &context) == OMMA_OK);
    convolution(context);
    threads(context);
    omma_context_destroy(context);
    callbacks();
    puts("library: ok");
    return 0;
}
