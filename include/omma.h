/* omma: SIMD CPU kernels for computer vision and deep learning.
 *
 * Generated from src/capi by `make header`; changes made here are lost.
 *
 * Every function that can fail returns an OmmaStatus; omma_last_error() says what was wrong.
 * On any error no output is touched. A NULL context runs on the calling thread alone; NULL
 * params are all defaults. Errors, never crashes, answer wrong arguments; pointers must be valid. */

#ifndef OMMA_H
#define OMMA_H

#include <stddef.h>
#include <stdint.h>

/* Params and options begin with their own size; every other field that is zero is a default:
 *
 *     OmmaContextOptions options = OMMA_INIT(OmmaContextOptions);
 *     options.num_threads = 4; */
#ifdef __cplusplus
template <typename T> inline T omma_init_()
{
    T value = T();
    value.struct_size = sizeof(T);
    return value;
}
#define OMMA_INIT(type) omma_init_<type>()
#else
#define OMMA_INIT(type) {.struct_size = sizeof(type)}
#endif

/** The fastest tier that the CPU has. */
#define OMMA_ISA_DEFAULT 0

/** The baseline instruction set of the architecture. */
#define OMMA_ISA_PORTABLE 1

/** aarch64 Advanced SIMD. */
#define OMMA_ISA_NEON 2

/** x86-64 with AVX2, FMA and F16C. */
#define OMMA_ISA_AVX2 3

/** x86-64 with AVX-512 F, BW, CD, DQ and VL. */
#define OMMA_ISA_AVX512 4

/** Major version of this header; the soname follows it. */
#define OMMA_VERSION_MAJOR 0

/** Minor version of this header. */
#define OMMA_VERSION_MINOR 1

/** Patch version of this header. */
#define OMMA_VERSION_PATCH 0

/** Main memory. */
#define OMMA_DEVICE_CPU 1

/** Signed integer. */
#define OMMA_DTYPE_INT 0

/** Unsigned integer. */
#define OMMA_DTYPE_UINT 1

/** IEEE floating point. */
#define OMMA_DTYPE_FLOAT 2

/** Truth value in a byte. */
#define OMMA_DTYPE_BOOL 6

/**
 * Threads, instruction set and scratch memory of a run of operators.
 *
 * Wherever a function takes a context, NULL means the calling thread alone:
 * no thread is started and nothing is kept. A context may be used by several
 * threads at once. After `fork` it works in the child, too.
 */
typedef struct OmmaContext OmmaContext;

/** What a function that can fail returns: `OMMA_OK` or the kind of failure. */
typedef int32_t OmmaStatus;

/** A task that a caller's `parallel_for` runs. */
typedef void (*OmmaTask)(void *arg, size_t index);

/**
 * A caller's way to run work on its own threads: calls `task(arg, index)` once
 * for every `index` below `count`, on any threads, and returns when all calls have.
 */
typedef void (*OmmaParallelFor)(void *user, size_t count, OmmaTask task, void *arg);

/** Returns `size` bytes aligned to `alignment` (a power of two), or NULL. */
typedef void *(*OmmaAllocate)(void *user, size_t size, size_t alignment);

/** Takes back what `OmmaAllocate` returned for this size and alignment. */
typedef void (*OmmaDeallocate)(void *user, void *ptr, size_t size, size_t alignment);

/** How to make a context; zero in a field is its default. */
typedef struct OmmaContextOptions {
    /** `sizeof(OmmaContextOptions)`. */
    uint32_t struct_size;
    /** Threads that work at once; 0 is the number of cores, 1 starts none. */
    int32_t num_threads;
    /**
     * An `OMMA_ISA_…`: the fastest tier to use. A tier that the CPU lacks is
     * an error. The environment variable `OMMA_MAX_ISA` (`portable`, `neon`,
     * `avx2`, `avx512`) lowers the tier of every context.
     */
    int32_t max_isa;
    /** 0. */
    uint32_t flags;
    /** The caller's threads in place of own ones; `num_threads` then says how many there are. */
    OmmaParallelFor parallel_for;
    /** Passed to `parallel_for`. */
    void *parallel_for_user;
    /** The caller's memory in place of the system's; set both or none. */
    OmmaAllocate allocate;
    /** Takes memory back. */
    OmmaDeallocate deallocate;
    /** Passed to `allocate` and `deallocate`. */
    void *allocator_user;
} OmmaContextOptions;

/** Success. */
#define OMMA_OK 0

/** An argument is outside of its domain. */
#define OMMA_INVALID_ARGUMENT 1

/** The shapes of two arguments do not go together. */
#define OMMA_SHAPE_MISMATCH 2

/** A legal request that this build or CPU cannot serve. */
#define OMMA_UNSUPPORTED 3

/** An output has less room than the result needs; where a count is returned, it is the room needed. */
#define OMMA_BUFFER_TOO_SMALL 4

/** Memory could not be had. */
#define OMMA_OUT_OF_MEMORY 5

/** A defect of omma. */
#define OMMA_INTERNAL 6

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Makes a context. `options` may be NULL: all cores, the fastest tier, the system's memory.
 *
 * Destroy it with `omma_context_destroy`, when no call uses it any more.
 *
 * The caller ensures:
 * `options` is NULL or valid; `context` is valid for writing a pointer; callbacks may be
 * called from any thread while the context (for memory: or a plan made with it) lives.
 */
OmmaStatus omma_context_create(const struct OmmaContextOptions *options, struct OmmaContext **context);

/**
 * Ends a context: its threads and its memory. NULL is allowed.
 *
 * The caller ensures:
 * `context` is NULL or came from `omma_context_create`, is not in use, and is not used again.
 */
void omma_context_destroy(struct OmmaContext *context);

/**
 * How many tasks may run at once; 1 for NULL.
 *
 * The caller ensures:
 * `context` is NULL or a living context.
 */
int32_t omma_context_num_threads(const struct OmmaContext *context);

/**
 * The tier that the context uses, an `OMMA_ISA_…`. For NULL, that of calls
 * without a context (0 when `OMMA_MAX_ISA` names a tier that the CPU lacks).
 *
 * The caller ensures:
 * `context` is NULL or a living context.
 */
int32_t omma_context_isa(const struct OmmaContext *context);

/** 1 when this CPU has the tier, an `OMMA_ISA_…`, else 0. */
int32_t omma_isa_available(int32_t isa);

/** The name of a tier, an `OMMA_ISA_…`: `"portable"`, `"neon"`, `"avx2"`, `"avx512"`. Never NULL. */
const char *omma_isa_name(int32_t isa);

/** The version of the library: `major * 10000 + minor * 100 + patch`. */
uint32_t omma_version(void);

/** The name of a status, for example `"OMMA_SHAPE_MISMATCH"`. Never NULL. */
const char *omma_status_name(OmmaStatus status);

/**
 * What went wrong in this thread's last failed call, naming the argument and
 * both sides of a mismatch. UTF-8, never NULL, empty before the first
 * failure, valid until the next failure on this thread. A success leaves it.
 */
const char *omma_last_error(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* OMMA_H */
