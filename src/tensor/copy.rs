//! Compact copies of strided arrays, for kernels that want one run of memory.

use super::{Element, Raw, View, ViewMut};
use crate::error::Result;
use crate::runtime::{Context, Scratch};

/// A view's elements as one run: borrowed when they already are, else copied to scratch.
pub enum Contiguous<'a, T: Element> {
    /// The view was compact.
    Borrowed(&'a [T]),
    /// The view was not.
    Copied(Scratch<'a, T>),
}

impl<'a, T: Element> View<'a, T> {
    /// The elements in row-major order as one run.
    pub fn contiguous(&self, ctx: &'a Context) -> Result<Contiguous<'a, T>> {
        if let Some(slice) = self.as_slice() {
            return Ok(Contiguous::Borrowed(slice));
        }
        let mut copy = ctx.scratch::<T>(self.len())?;
        // SAFETY: the view's elements are readable, the scratch has as many.
        unsafe { gather(self, copy.as_mut_ptr()) };
        Ok(Contiguous::Copied(copy))
    }
}

impl<T: Element> std::ops::Deref for Contiguous<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            Contiguous::Borrowed(slice) => slice,
            Contiguous::Copied(scratch) => scratch,
        }
    }
}

/// An output as one run: the view's own memory when it is compact, else
/// scratch that [`finish`](ContiguousMut::finish) copies to the view.
pub struct ContiguousMut<'a, T: Element> {
    view: ViewMut<'a, T>,
    scratch: Option<Scratch<'a, T>>,
}

impl<'a, T: Element> ViewMut<'a, T> {
    /// Room for the elements in row-major order as one run. Its contents are
    /// unspecified until written.
    pub fn contiguous(self, ctx: &'a Context) -> Result<ContiguousMut<'a, T>> {
        let scratch = match self.is_contiguous() {
            true => None,
            false => Some(ctx.scratch::<T>(self.len())?),
        };
        Ok(ContiguousMut {
            view: self,
            scratch,
        })
    }

    /// Copies from a compact slice of as many elements.
    pub fn copy_from_slice(&mut self, src: &[T]) {
        assert_eq!(src.len(), self.len());
        // SAFETY: the view's elements are writable and the slice has as many.
        unsafe { scatter(src.as_ptr(), self) };
    }
}

impl<T: Element> ContiguousMut<'_, T> {
    /// Copies the run to the view, if it is not the view's own memory.
    pub fn finish(self) {
        if let Some(scratch) = &self.scratch {
            // SAFETY: the scratch has as many elements as the view.
            unsafe { scatter(scratch.as_ptr(), &self.view) };
        }
    }
}

impl<T: Element> std::ops::Deref for ContiguousMut<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match &self.scratch {
            Some(scratch) => scratch,
            // SAFETY: without scratch the view is compact, and it is borrowed exclusively.
            None => unsafe { run(&self.view) },
        }
    }
}

impl<T: Element> std::ops::DerefMut for ContiguousMut<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.scratch {
            Some(scratch) => scratch,
            // SAFETY: without scratch the view is compact, and it is borrowed exclusively.
            None => unsafe { run(&self.view) },
        }
    }
}

/// # Safety
/// `raw` is compact and its memory borrowed as the result says.
unsafe fn run<'a, T: Element>(raw: &Raw<T>) -> &'a mut [T] {
    if raw.is_empty() {
        return &mut [];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(raw.ptr(), raw.len()) }
}

/// Calls `row(offset of the row in the array, its position in row-major order)` for every
/// run along the last axis.
fn for_each_row<T: Element>(raw: &Raw<T>, mut row: impl FnMut(isize, usize)) {
    if raw.is_empty() {
        return;
    }
    let outer = raw.rank().saturating_sub(1);
    let width = if raw.rank() == 0 { 1 } else { raw.dim(outer) };
    let mut index = [0usize; super::MAX_RANK];
    let mut at = 0;
    loop {
        let offset = (0..outer).map(|a| raw.stride(a) * index[a] as isize).sum();
        row(offset, at);
        at += width;
        let mut axis = outer;
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            if index[axis] < raw.dim(axis) {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// Copies all elements to `dst` in row-major order.
///
/// # Safety
/// The elements of `raw` are readable (at any alignment) and `dst` has room for all.
pub(crate) unsafe fn gather<T: Element>(raw: &Raw<T>, dst: *mut T) {
    let (width, step) = last_axis(raw);
    for_each_row(raw, |offset, at| {
        let src = raw.ptr().wrapping_offset(offset);
        // SAFETY: rows of `raw` are readable, `dst` has room; the two do not overlap
        // because `dst` is fresh scratch.
        unsafe {
            if step == 1 {
                std::ptr::copy_nonoverlapping(
                    src.cast::<u8>(),
                    dst.add(at).cast::<u8>(),
                    width * size_of::<T>(),
                );
            } else {
                for i in 0..width {
                    *dst.add(at + i) = src.offset(step * i as isize).read_unaligned();
                }
            }
        }
    });
}

/// Copies elements in row-major order from `src`.
///
/// # Safety
/// The elements of `raw` are writable (at any alignment) and `src` holds as many.
pub(crate) unsafe fn scatter<T: Element>(src: *const T, raw: &Raw<T>) {
    let (width, step) = last_axis(raw);
    for_each_row(raw, |offset, at| {
        let dst = raw.ptr().wrapping_offset(offset);
        // SAFETY: rows of `raw` are writable, `src` holds as many; they do not overlap
        // because `src` is scratch.
        unsafe {
            if step == 1 {
                std::ptr::copy_nonoverlapping(
                    src.add(at).cast::<u8>(),
                    dst.cast::<u8>(),
                    width * size_of::<T>(),
                );
            } else {
                for i in 0..width {
                    dst.offset(step * i as isize)
                        .write_unaligned(*src.add(at + i));
                }
            }
        }
    });
}

fn last_axis<T: Element>(raw: &Raw<T>) -> (usize, isize) {
    match raw.rank() {
        0 => (1, 1),
        rank => (raw.dim(rank - 1), raw.stride(rank - 1)),
    }
}
