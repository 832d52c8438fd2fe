//! Contexts and instruction set tiers.

use super::status::{OmmaStatus, guard};
use crate::capi::call::{Call, Params};
use crate::error::{Result, bail, ensure};
use crate::runtime::{Allocator, Context, Options, ParallelFor};
use crate::simd::{Isa, Tier};
use std::ffi::{c_char, c_void};

/// Threads, instruction set and scratch memory of a run of operators.
///
/// Wherever a function takes a context, NULL means the calling thread alone:
/// no thread is started and nothing is kept. A context may be used by several
/// threads at once. After `fork` it works in the child, too.
pub struct OmmaContext {
    pub(crate) context: Context,
}

/// The fastest tier that the CPU has.
pub const OMMA_ISA_DEFAULT: i32 = 0;
/// The baseline instruction set of the architecture.
pub const OMMA_ISA_PORTABLE: i32 = 1;
/// aarch64 Advanced SIMD.
pub const OMMA_ISA_NEON: i32 = 2;
/// x86-64 with AVX2, FMA and F16C.
pub const OMMA_ISA_AVX2: i32 = 3;
/// x86-64 with AVX-512 F, BW, CD, DQ and VL.
pub const OMMA_ISA_AVX512: i32 = 4;

/// A task that a caller's `parallel_for` runs.
pub type OmmaTask = unsafe extern "C" fn(arg: *mut c_void, index: usize);

/// A caller's way to run work on its own threads: calls `task(arg, index)` once
/// for every `index` below `count`, on any threads, and returns when all calls have.
pub type OmmaParallelFor =
    unsafe extern "C" fn(user: *mut c_void, count: usize, task: OmmaTask, arg: *mut c_void);

/// Returns `size` bytes aligned to `alignment` (a power of two), or NULL.
pub type OmmaAllocate =
    unsafe extern "C" fn(user: *mut c_void, size: usize, alignment: usize) -> *mut c_void;

/// Takes back what `OmmaAllocate` returned for this size and alignment.
pub type OmmaDeallocate =
    unsafe extern "C" fn(user: *mut c_void, ptr: *mut c_void, size: usize, alignment: usize);

/// How to make a context; zero in a field is its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OmmaContextOptions {
    /// `sizeof(OmmaContextOptions)`.
    pub struct_size: u32,
    /// Threads that work at once; 0 is the number of cores, 1 starts none.
    pub num_threads: i32,
    /// An `OMMA_ISA_…`: the fastest tier to use. A tier that the CPU lacks is
    /// an error. The environment variable `OMMA_MAX_ISA` (`portable`, `neon`,
    /// `avx2`, `avx512`) lowers the tier of every context.
    pub max_isa: i32,
    /// 0.
    pub flags: u32,
    /// The caller's threads in place of own ones; `num_threads` then says how many there are.
    pub parallel_for: Option<OmmaParallelFor>,
    /// Passed to `parallel_for`.
    pub parallel_for_user: *mut c_void,
    /// The caller's memory in place of the system's; set both or none.
    pub allocate: Option<OmmaAllocate>,
    /// Takes memory back.
    pub deallocate: Option<OmmaDeallocate>,
    /// Passed to `allocate` and `deallocate`.
    pub allocator_user: *mut c_void,
}

// SAFETY: repr(C), struct_size first, integers, pointers and optional function pointers.
unsafe impl Params for OmmaContextOptions {}

fn tier(isa: i32) -> Result<Option<Tier>> {
    Ok(match isa {
        OMMA_ISA_DEFAULT => None,
        OMMA_ISA_PORTABLE => Some(Tier::Portable),
        OMMA_ISA_NEON => Some(Tier::Neon),
        OMMA_ISA_AVX2 => Some(Tier::Avx2),
        OMMA_ISA_AVX512 => Some(Tier::Avx512),
        other => bail!(
            InvalidArgument,
            "context_create: max_isa is {other}, not an OMMA_ISA_ constant"
        ),
    })
}

fn number(tier: Tier) -> i32 {
    match tier {
        Tier::Portable => OMMA_ISA_PORTABLE,
        Tier::Neon => OMMA_ISA_NEON,
        Tier::Avx2 => OMMA_ISA_AVX2,
        Tier::Avx512 => OMMA_ISA_AVX512,
    }
}

/// Makes a context. `options` may be NULL: all cores, the fastest tier, the system's memory.
///
/// Destroy it with `omma_context_destroy`, when no call uses it any more.
///
/// # Safety
/// `options` is NULL or valid; `context` is valid for writing a pointer; callbacks may be
/// called from any thread while the context (for memory: or a plan made with it) lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_context_create(
    options: *const OmmaContextOptions,
    context: *mut *mut OmmaContext,
) -> OmmaStatus {
    guard(|| {
        // SAFETY: the caller's pointers, as documented.
        let (call, slot, o) = unsafe {
            let call = Call::new("context_create", std::ptr::null())?;
            (call, call.out("context", context)?, call.params(options)?)
        };
        let op = call.op;
        ensure!(
            o.num_threads >= 0,
            InvalidArgument,
            "{op}: num_threads is {}",
            o.num_threads
        );
        ensure!(
            o.flags == 0,
            InvalidArgument,
            "{op}: flags is {}, expected 0",
            o.flags
        );
        let allocator = match (o.allocate, o.deallocate) {
            (Some(allocate), Some(deallocate)) => Some(Allocator {
                allocate,
                deallocate,
                user: o.allocator_user,
            }),
            (None, None) => None,
            (Some(_), None) => bail!(InvalidArgument, "{op}: allocate is set, deallocate is NULL"),
            (None, Some(_)) => bail!(InvalidArgument, "{op}: deallocate is set, allocate is NULL"),
        };
        let made = Context::new(Options {
            num_threads: o.num_threads as usize,
            max_isa: tier(o.max_isa)?,
            parallel_for: o.parallel_for.map(|run| ParallelFor {
                run,
                user: o.parallel_for_user,
            }),
            allocator,
        })?;
        *slot = Box::into_raw(Box::new(OmmaContext { context: made }));
        Ok(())
    })
}

/// Ends a context: its threads and its memory. NULL is allowed.
///
/// # Safety
/// `context` is NULL or came from `omma_context_create`, is not in use, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_context_destroy(context: *mut OmmaContext) {
    guard(|| {
        if !context.is_null() {
            // SAFETY: the caller's promise.
            drop(unsafe { Box::from_raw(context) });
        }
        Ok(())
    });
}

/// How many tasks may run at once; 1 for NULL.
///
/// # Safety
/// `context` is NULL or a living context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_context_num_threads(context: *const OmmaContext) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { context.as_ref() }.map_or(1, |c| c.context.num_threads() as i32)
}

/// Bytes of scratch memory that the context holds: what running calls borrow, and what is kept for
/// later ones. After the first call on a new context that is all the memory which this call used
/// beyond its inputs, outputs and plan. 0 for NULL, which keeps nothing.
///
/// # Safety
/// `context` is NULL or a living context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_context_scratch_bytes(context: *const OmmaContext) -> usize {
    // SAFETY: the caller's promise.
    unsafe { context.as_ref() }.map_or(0, |c| c.context.scratch_bytes())
}

/// The tier that the context uses, an `OMMA_ISA_…`. For NULL, that of calls
/// without a context (0 when `OMMA_MAX_ISA` names a tier that the CPU lacks).
///
/// # Safety
/// `context` is NULL or a living context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omma_context_isa(context: *const OmmaContext) -> i32 {
    let mut isa = 0;
    guard(|| {
        // SAFETY: the caller's promise.
        let call = unsafe { Call::new("context_isa", context)? };
        isa = number(call.ctx.isa().tier());
        Ok(())
    });
    isa
}

/// 1 when this CPU has the tier, an `OMMA_ISA_…`, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn omma_isa_available(isa: i32) -> i32 {
    matches!(tier(isa), Ok(None)) as i32
        | tier(isa).ok().flatten().and_then(Isa::of).is_some() as i32
}

/// The name of a tier, an `OMMA_ISA_…`: `"portable"`, `"neon"`, `"avx2"`, `"avx512"`. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn omma_isa_name(isa: i32) -> *const c_char {
    let name = match isa {
        OMMA_ISA_DEFAULT => c"default",
        OMMA_ISA_PORTABLE => c"portable",
        OMMA_ISA_NEON => c"neon",
        OMMA_ISA_AVX2 => c"avx2",
        OMMA_ISA_AVX512 => c"avx512",
        _ => c"unknown",
    };
    name.as_ptr()
}
