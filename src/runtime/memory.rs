//! Scratch that a context keeps between calls, and buffers that plans own.
//!
//! The free list is behind a lock that is only ever *tried*: a thread that
//! finds it taken (or taken for ever, in the child of a fork) allocates for
//! itself, so nobody waits and nothing hangs.

use crate::error::{Error, Result, Status};
use crate::tensor::Element;
use std::alloc::Layout;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where memory comes from, if not from the system.
#[derive(Clone, Copy)]
pub struct Allocator {
    /// Returns `size` bytes aligned to `alignment` (a power of two), or NULL.
    pub allocate:
        unsafe extern "C" fn(user: *mut c_void, size: usize, alignment: usize) -> *mut c_void,
    /// Takes back what `allocate` returned for this size and alignment.
    pub deallocate:
        unsafe extern "C" fn(user: *mut c_void, ptr: *mut c_void, size: usize, alignment: usize),
    /// Passed to both.
    pub user: *mut c_void,
}

// SAFETY: whoever gives the callbacks promises that they may be called from any thread.
unsafe impl Send for Allocator {}
// SAFETY: as above.
unsafe impl Sync for Allocator {}

/// A cache line, and the widest vector.
const ALIGNMENT: usize = 64;
/// A large page of the CPUs that have them. Blocks from this size on start on one and ask
/// the system for such pages: packed weights of some megabytes are walked from end
/// to end by every call, and with pages of 4 KiB a fifth of that is the
/// translation of addresses.
const LARGE_PAGE: usize = 2 << 20;
/// Blocks kept for later calls; more are returned to the allocator.
const KEPT: usize = 32;

/// Raw, zero-initialised memory.
struct Block {
    ptr: NonNull<u8>,
    size: usize,
}

// SAFETY: a block owns its memory.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    fn new(size: usize, allocator: Option<&Allocator>) -> Result<Block> {
        let short = || {
            Error::new(
                Status::OutOfMemory,
                format!("{size} bytes could not be allocated"),
            )
        };
        let layout = Block::layout(size).ok_or_else(short)?;
        let ptr = match allocator {
            // SAFETY: the size is not zero (see the callers); the block is that large.
            None => unsafe {
                let ptr = std::alloc::alloc(layout);
                if !ptr.is_null() {
                    ask_for_large_pages(ptr, layout);
                    ptr.write_bytes(0, size);
                }
                ptr
            },
            Some(hooks) => {
                // SAFETY: the contract of the hook; on success `size` bytes are writable.
                unsafe {
                    let ptr = (hooks.allocate)(hooks.user, size, ALIGNMENT).cast::<u8>();
                    if !ptr.is_null() {
                        ptr.write_bytes(0, size);
                    }
                    ptr
                }
            }
        };
        let ptr = NonNull::new(ptr).ok_or_else(short)?;
        Ok(Block { ptr, size })
    }

    /// What is asked of the system's allocator; `None` when it overflows.
    fn layout(size: usize) -> Option<Layout> {
        let alignment = if size < LARGE_PAGE {
            ALIGNMENT
        } else {
            LARGE_PAGE
        };
        Layout::from_size_align(size, alignment).ok()
    }

    fn free(self, allocator: Option<&Allocator>) {
        match allocator {
            None => {
                if let Some(layout) = Block::layout(self.size) {
                    // SAFETY: allocated by `new` with this very layout.
                    unsafe { std::alloc::dealloc(self.ptr.as_ptr(), layout) };
                }
            }
            // SAFETY: came from `allocate` of the same hooks with this size and alignment.
            Some(hooks) => unsafe {
                (hooks.deallocate)(hooks.user, self.ptr.as_ptr().cast(), self.size, ALIGNMENT);
            },
        }
    }
}

/// A hint, before the block is first written; nothing is lost where it is not heeded.
#[cfg(target_os = "linux")]
fn ask_for_large_pages(block: *mut u8, layout: Layout) {
    if layout.align() == LARGE_PAGE {
        // SAFETY: changes how the pages of this block are backed, not what they hold.
        unsafe { libc::madvise(block.cast(), layout.size(), libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages(_: *mut u8, _: Layout) {}

fn bytes<T>(len: usize) -> Result<usize> {
    len.checked_mul(size_of::<T>())
        .map(|n| n.max(1))
        .and_then(|n| n.checked_next_multiple_of(4096))
        .ok_or_else(|| {
            Error::new(
                Status::OutOfMemory,
                format!("{len} elements overflow the address space"),
            )
        })
}

/// The free blocks of a context.
pub(super) struct Arena {
    allocator: Option<Allocator>,
    keep: bool,
    free: Mutex<Vec<Block>>,
    /// Bytes of all blocks, lent and free.
    held: AtomicUsize,
}

impl Arena {
    pub(super) fn new(allocator: Option<Allocator>, keep: bool) -> Arena {
        let free = Vec::with_capacity(if keep { KEPT + 1 } else { 0 });
        Arena {
            allocator,
            keep,
            free: Mutex::new(free),
            held: AtomicUsize::new(0),
        }
    }

    pub(super) fn allocator(&self) -> Option<Allocator> {
        self.allocator
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(super) fn scratch<T: Element>(&self, len: usize) -> Result<Scratch<'_, T>> {
        let block = self.take(bytes::<T>(len)?)?;
        Ok(Scratch {
            ptr: block.ptr.cast(),
            len,
            block: Some(block),
            arena: self,
            elements: PhantomData,
        })
    }

    /// Runs `f` on the free list unless other threads keep it busy.
    fn with_free<R>(&self, mut f: impl FnMut(&mut Vec<Block>) -> R) -> Option<R> {
        for _ in 0..100 {
            match self.free.try_lock() {
                Ok(mut free) => return Some(f(&mut free)),
                // A panic cannot leave the list half changed.
                Err(std::sync::TryLockError::Poisoned(free)) => {
                    return Some(f(&mut free.into_inner()));
                }
                Err(std::sync::TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
        None
    }

    /// The smallest free block that is large enough, else a new one.
    fn take(&self, size: usize) -> Result<Block> {
        let found = self.with_free(|free| {
            let fitting = free
                .iter()
                .enumerate()
                .filter(|(_, b)| b.size >= size)
                .min_by_key(|(_, b)| b.size);
            fitting.map(|(at, _)| at).map(|at| free.swap_remove(at))
        });
        match found.flatten() {
            Some(block) => Ok(block),
            None => {
                let block = Block::new(size, self.allocator.as_ref())?;
                self.held.fetch_add(size, Ordering::Relaxed);
                Ok(block)
            }
        }
    }

    /// Keeps the block for later calls; of too many, the smallest goes.
    fn give(&self, block: Block) {
        let mut surplus = Some(block);
        if self.keep {
            self.with_free(|free| {
                free.extend(surplus.take());
                if free.len() > KEPT {
                    let smallest = free.iter().enumerate().min_by_key(|(_, b)| b.size);
                    surplus = smallest.map(|(at, _)| at).map(|at| free.swap_remove(at));
                }
            });
        }
        if let Some(block) = surplus {
            self.held.fetch_sub(block.size, Ordering::Relaxed);
            block.free(self.allocator.as_ref());
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let free = self.free.get_mut().unwrap_or_else(|e| e.into_inner());
        for block in free.drain(..) {
            block.free(self.allocator.as_ref());
        }
    }
}

/// Memory lent by a context for the time of a call. The values are unspecified.
pub struct Scratch<'c, T: Element> {
    ptr: NonNull<T>,
    len: usize,
    block: Option<Block>,
    arena: &'c Arena,
    elements: PhantomData<T>,
}

// SAFETY: owns its memory until it is dropped.
unsafe impl<T: Element> Send for Scratch<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for Scratch<'_, T> {}

impl<T: Element> std::ops::Deref for Scratch<'_, T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the block has room for `len` elements and was initialised; any bits are a value.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Element> std::ops::DerefMut for Scratch<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; the memory is owned.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Element> Drop for Scratch<'_, T> {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.arena.give(block);
        }
    }
}

/// Owned memory, aligned to 64 bytes, from a context's allocator.
pub struct Buffer<T: Element> {
    block: Option<Block>,
    len: usize,
    allocator: Option<Allocator>,
    elements: PhantomData<T>,
}

impl<T: Element> Buffer<T> {
    pub(super) fn zeroed(len: usize, allocator: Option<Allocator>) -> Result<Buffer<T>> {
        Ok(Buffer {
            block: Some(Block::new(bytes::<T>(len)?, allocator.as_ref())?),
            len,
            allocator,
            elements: PhantomData,
        })
    }
}

impl<T: Element> std::ops::Deref for Buffer<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        match &self.block {
            // SAFETY: the block has room for `len` elements and was initialised.
            Some(block) => unsafe {
                std::slice::from_raw_parts(block.ptr.as_ptr().cast(), self.len)
            },
            None => &[],
        }
    }
}

impl<T: Element> std::ops::DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.block {
            // SAFETY: as in `deref`; the memory is owned.
            Some(block) => unsafe {
                std::slice::from_raw_parts_mut(block.ptr.as_ptr().cast(), self.len)
            },
            None => &mut [],
        }
    }
}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            block.free(self.allocator.as_ref());
        }
    }
}
