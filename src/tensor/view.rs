//! The views themselves.

use super::Element;
use crate::error::{Result, ensure};
use std::marker::PhantomData;

/// The most dimensions a view can have.
pub const MAX_RANK: usize = 8;

/// The most bytes that a view can span: no process has a larger address space,
/// so strides that reach further are wrong, and are told so instead of being followed.
const MAX_BYTES: usize = if usize::BITS == 64 {
    1 << 57
} else {
    isize::MAX as usize
};

/// Address, shape and strides: what [`View`] and [`ViewMut`] have in common.
/// Strides are in elements and may be zero or negative.
#[derive(Clone, Copy, Debug)]
pub struct Raw<T> {
    ptr: *mut T,
    rank: usize,
    shape: [usize; MAX_RANK],
    strides: [isize; MAX_RANK],
}

impl<T: Element> Raw<T> {
    /// A checked description: rank, overflow of sizes and of offsets.
    /// `name` opens the message of an error.
    pub fn new(
        name: &dyn std::fmt::Display,
        ptr: *mut T,
        shape: &[usize],
        strides: Option<&[isize]>,
    ) -> Result<Raw<T>> {
        let rank = shape.len();
        ensure!(
            rank <= MAX_RANK,
            InvalidArgument,
            "{name} has {rank} dimensions, the most is {MAX_RANK}"
        );
        let limit = MAX_BYTES / size_of::<T>();
        let mut raw = Raw {
            ptr,
            rank,
            shape: [1; MAX_RANK],
            strides: [0; MAX_RANK],
        };
        raw.shape[..rank].copy_from_slice(shape);
        // A dimension of zero does not excuse the others from being sane.
        let mut step: usize = 1;
        for axis in (0..rank).rev() {
            raw.strides[axis] = step as isize;
            step = match step.checked_mul(shape[axis].max(1)) {
                Some(step) if step <= limit => step,
                _ => {
                    ensure!(
                        false,
                        InvalidArgument,
                        "{name} of shape {shape:?} is larger than the address space"
                    );
                    0
                }
            };
        }
        if let Some(strides) = strides {
            ensure!(
                strides.len() == rank,
                InvalidArgument,
                "{name} has {rank} dimensions and {} strides",
                strides.len()
            );
            raw.strides[..rank].copy_from_slice(strides);
            ensure!(
                raw.extent().is_some(),
                InvalidArgument,
                "{name} of shape {shape:?} with strides {strides:?} is larger than the address space"
            );
        }
        Ok(raw)
    }

    /// The smallest and the largest offset of an element, `None` on overflow; `(0, -1)` when empty.
    fn extent(&self) -> Option<(isize, isize)> {
        if self.is_empty() {
            return Some((0, -1));
        }
        let limit = (MAX_BYTES / size_of::<T>()) as isize;
        let (mut low, mut high) = (0isize, 0isize);
        for axis in 0..self.rank {
            let span =
                self.strides[axis].checked_mul(isize::try_from(self.shape[axis] - 1).ok()?)?;
            if span < 0 {
                low = low.checked_add(span)?;
            } else {
                high = high.checked_add(span)?;
            }
        }
        (low >= -limit && high < limit).then_some((low, high))
    }

    /// The address of the element with index zero on every axis.
    #[inline]
    pub fn ptr(&self) -> *mut T {
        self.ptr
    }
    /// Number of dimensions.
    #[inline]
    pub fn rank(&self) -> usize {
        self.rank
    }
    /// Elements along each axis.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        &self.shape[..self.rank]
    }
    /// Distance of neighbours along each axis, in elements.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        &self.strides[..self.rank]
    }
    /// Elements along `axis`.
    #[inline]
    pub fn dim(&self, axis: usize) -> usize {
        self.shape[axis]
    }
    /// Distance of neighbours along `axis`, in elements.
    #[inline]
    pub fn stride(&self, axis: usize) -> isize {
        self.strides[axis]
    }
    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }
    /// No elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.shape().contains(&0)
    }
    /// Compact and row-major from `axis` on (axes of one element may have any stride).
    pub fn is_contiguous_from(&self, axis: usize) -> bool {
        let mut step = 1isize;
        for a in (axis..self.rank).rev() {
            if self.shape[a] != 1 && self.strides[a] != step {
                return self.is_empty();
            }
            step *= self.shape[a] as isize;
        }
        true
    }
    /// Compact and row-major.
    pub fn is_contiguous(&self) -> bool {
        self.is_contiguous_from(0)
    }
    /// The bytes between the first and the last element, both included, as addresses.
    pub fn address_range(&self) -> std::ops::Range<usize> {
        match self.extent() {
            Some((low, high)) if high >= low => {
                let start = self.ptr.wrapping_offset(low) as usize;
                start..start + (high - low + 1) as usize * size_of::<T>()
            }
            _ => self.ptr as usize..self.ptr as usize,
        }
    }
    /// True when the address range wraps around the end of the address space.
    pub fn wraps(&self) -> bool {
        match self.extent() {
            Some((low, high)) if high >= low => {
                let at = self.ptr as usize as i128;
                let size = size_of::<T>() as i128;
                at + low as i128 * size < 0 || at + (high as i128 + 1) * size > usize::MAX as i128
            }
            Some(_) => false,
            None => true,
        }
    }
    /// True unless some element may be reached by two indices. (Strides are
    /// sorted: each must step over everything that the smaller ones span.)
    fn is_injective(&self) -> bool {
        if self.is_empty() {
            return true;
        }
        let mut axes = [(0usize, 1usize); MAX_RANK];
        for (axis, entry) in axes.iter_mut().enumerate().take(self.rank) {
            if self.shape[axis] > 1 {
                *entry = (self.strides[axis].unsigned_abs(), self.shape[axis]);
            }
        }
        axes.sort_unstable();
        let mut span = 0usize;
        for (stride, dim) in axes {
            if dim == 1 {
                continue;
            }
            if stride <= span {
                return false;
            }
            span += stride * (dim - 1);
        }
        true
    }

    fn index(&self, axis: usize, at: usize) -> Raw<T> {
        assert!(axis < self.rank && at < self.shape[axis]);
        let mut raw = *self;
        raw.ptr = self.ptr.wrapping_offset(self.strides[axis] * at as isize);
        raw.shape.copy_within(axis + 1.., axis);
        raw.strides.copy_within(axis + 1.., axis);
        raw.rank -= 1;
        raw
    }

    fn narrow(&self, axis: usize, start: usize, len: usize) -> Raw<T> {
        assert!(axis < self.rank && start <= self.shape[axis] && len <= self.shape[axis] - start);
        let mut raw = *self;
        raw.ptr = self
            .ptr
            .wrapping_offset(self.strides[axis] * start as isize);
        raw.shape[axis] = len;
        raw
    }

    fn every(&self, axis: usize, start: usize, step: usize) -> Raw<T> {
        assert!(step >= 1);
        let start = start.min(self.shape[axis]);
        let mut raw = self.narrow(axis, start, self.shape[axis] - start);
        raw.shape[axis] = raw.shape[axis].div_ceil(step);
        // With one index left or none the stride is not used, and may overflow.
        raw.strides[axis] = raw.strides[axis].wrapping_mul(step as isize);
        raw
    }

    fn permute(&self, axes: &[usize]) -> Raw<T> {
        assert_eq!(axes.len(), self.rank);
        let mut raw = *self;
        let mut seen = [false; MAX_RANK];
        for (to, &from) in axes.iter().enumerate() {
            assert!(from < self.rank && !std::mem::replace(&mut seen[from], true));
            raw.shape[to] = self.shape[from];
            raw.strides[to] = self.strides[from];
        }
        raw
    }

    fn reshape(&self, shape: &[usize]) -> Option<Raw<T>> {
        if !self.is_contiguous() || shape.iter().product::<usize>() != self.len() {
            return None;
        }
        Raw::new(&"reshape", self.ptr, shape, None).ok()
    }
}

/// A read-only view of an array of `T`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    raw: Raw<T>,
    memory: PhantomData<&'a [T]>,
}

/// A view of an array that is written: no two elements share an address.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    raw: Raw<T>,
    memory: PhantomData<&'a mut [T]>,
}

// SAFETY: a view is a shared borrow of numbers.
unsafe impl<T: Element> Send for View<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for View<'_, T> {}
// SAFETY: a mutable view is an exclusive borrow of numbers.
unsafe impl<T: Element> Send for ViewMut<'_, T> {}
// SAFETY: through a shared reference to it nothing can be written.
unsafe impl<T: Element> Sync for ViewMut<'_, T> {}

impl<T> std::ops::Deref for View<'_, T> {
    type Target = Raw<T>;
    #[inline]
    fn deref(&self) -> &Raw<T> {
        &self.raw
    }
}

impl<T> std::ops::Deref for ViewMut<'_, T> {
    type Target = Raw<T>;
    #[inline]
    fn deref(&self) -> &Raw<T> {
        &self.raw
    }
}

impl<'a, T: Element> View<'a, T> {
    /// A compact row-major view; the slice has exactly as many elements as the shape.
    pub fn new(data: &'a [T], shape: &[usize]) -> Result<View<'a, T>> {
        let raw = Raw::new(&"view", data.as_ptr().cast_mut(), shape, None)?;
        ensure!(
            raw.len() == data.len(),
            ShapeMismatch,
            "view: shape {shape:?} has {} elements, the slice {}",
            raw.len(),
            data.len()
        );
        Ok(View {
            raw,
            memory: PhantomData,
        })
    }

    /// A strided view whose element at index zero is `data[offset]`.
    pub fn strided(
        data: &'a [T],
        offset: usize,
        shape: &[usize],
        strides: &[isize],
    ) -> Result<View<'a, T>> {
        let raw = Raw::new(
            &"view",
            data.as_ptr().cast_mut().wrapping_add(offset),
            shape,
            Some(strides),
        )?;
        check_inside(&raw, offset, data.len())?;
        Ok(View {
            raw,
            memory: PhantomData,
        })
    }

    /// A view of memory that the caller vouches for.
    ///
    /// # Safety
    /// Every element of `raw` is aligned and valid for reading during `'a`, and written by nobody
    /// but through views that the operator's contract allows to overlap.
    pub unsafe fn from_raw(raw: Raw<T>) -> View<'a, T> {
        View {
            raw,
            memory: PhantomData,
        }
    }

    /// The elements as a slice, if compact.
    pub fn as_slice(&self) -> Option<&'a [T]> {
        if self.is_empty() {
            return Some(&[]);
        }
        // SAFETY: compact, so the elements are one run of valid memory.
        self.is_contiguous()
            .then(|| unsafe { std::slice::from_raw_parts(self.ptr(), self.len()) })
    }

    /// The sub-array at index `at` of `axis`, which disappears.
    pub fn index(&self, axis: usize, at: usize) -> View<'a, T> {
        View {
            raw: self.raw.index(axis, at),
            memory: PhantomData,
        }
    }
    /// `len` indices of `axis` from `start` on.
    pub fn narrow(&self, axis: usize, start: usize, len: usize) -> View<'a, T> {
        View {
            raw: self.raw.narrow(axis, start, len),
            memory: PhantomData,
        }
    }
    /// The same array with its axes in another order.
    pub fn permute(&self, axes: &[usize]) -> View<'a, T> {
        View {
            raw: self.raw.permute(axes),
            memory: PhantomData,
        }
    }
    /// The same elements under another shape, if compact and equally many.
    pub fn reshape(&self, shape: &[usize]) -> Option<View<'a, T>> {
        Some(View {
            raw: self.raw.reshape(shape)?,
            memory: PhantomData,
        })
    }
    /// The element at an index; panics outside of the shape.
    pub fn get(&self, index: &[usize]) -> T {
        // SAFETY: `address` asserts that the index is inside the shape.
        unsafe { *address(&self.raw, index) }
    }
}

impl<'a, T: Element> ViewMut<'a, T> {
    /// A compact row-major view; the slice has exactly as many elements as the shape.
    pub fn new(data: &'a mut [T], shape: &[usize]) -> Result<ViewMut<'a, T>> {
        let raw = Raw::new(&"view", data.as_mut_ptr(), shape, None)?;
        ensure!(
            raw.len() == data.len(),
            ShapeMismatch,
            "view: shape {shape:?} has {} elements, the slice {}",
            raw.len(),
            data.len()
        );
        Ok(ViewMut {
            raw,
            memory: PhantomData,
        })
    }

    /// A strided view whose element at index zero is `data[offset]`.
    pub fn strided(
        data: &'a mut [T],
        offset: usize,
        shape: &[usize],
        strides: &[isize],
    ) -> Result<ViewMut<'a, T>> {
        let raw = Raw::new(
            &"view",
            data.as_mut_ptr().wrapping_add(offset),
            shape,
            Some(strides),
        )?;
        check_inside(&raw, offset, data.len())?;
        // SAFETY: inside the slice, which is borrowed exclusively.
        unsafe { ViewMut::from_raw(&"view", raw) }
    }

    /// A view of memory that the caller vouches for; `name` opens the message of an error.
    ///
    /// # Safety
    /// Every element of `raw` is aligned and valid for writing during `'a`, and neither read nor
    /// written by others but through views that the operator's contract allows to overlap.
    pub unsafe fn from_raw(name: &dyn std::fmt::Display, raw: Raw<T>) -> Result<ViewMut<'a, T>> {
        ensure!(
            raw.is_injective(),
            InvalidArgument,
            "{name} is written and may not overlap itself, but has shape {:?} with strides {:?}",
            raw.shape(),
            raw.strides()
        );
        Ok(ViewMut {
            raw,
            memory: PhantomData,
        })
    }

    /// The same array, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> ViewMut<'_, T> {
        ViewMut {
            raw: self.raw,
            memory: PhantomData,
        }
    }
    /// The array as it is now.
    pub fn as_view(&self) -> View<'_, T> {
        View {
            raw: self.raw,
            memory: PhantomData,
        }
    }
    /// The elements as a slice, if compact.
    pub fn as_slice_mut(&mut self) -> Option<&mut [T]> {
        if self.is_empty() {
            return Some(&mut []);
        }
        // SAFETY: compact, so the elements are one run of valid memory, borrowed exclusively.
        self.is_contiguous()
            .then(|| unsafe { std::slice::from_raw_parts_mut(self.ptr(), self.len()) })
    }
    /// A handle that tasks share to write disjoint parts.
    pub fn writer(&mut self) -> Writer<'_, T> {
        Writer {
            raw: self.raw,
            memory: PhantomData,
        }
    }
    /// The sub-array at index `at` of `axis`, which disappears.
    pub fn index(self, axis: usize, at: usize) -> ViewMut<'a, T> {
        ViewMut {
            raw: self.raw.index(axis, at),
            memory: PhantomData,
        }
    }
    /// `len` indices of `axis` from `start` on.
    pub fn narrow(self, axis: usize, start: usize, len: usize) -> ViewMut<'a, T> {
        ViewMut {
            raw: self.raw.narrow(axis, start, len),
            memory: PhantomData,
        }
    }
    /// The indices `start`, `start + step`, … of `axis`.
    pub fn every(self, axis: usize, start: usize, step: usize) -> ViewMut<'a, T> {
        ViewMut {
            raw: self.raw.every(axis, start, step),
            memory: PhantomData,
        }
    }
    /// The same array with its axes in another order.
    pub fn permute(self, axes: &[usize]) -> ViewMut<'a, T> {
        ViewMut {
            raw: self.raw.permute(axes),
            memory: PhantomData,
        }
    }
    /// The same elements under another shape, if compact and equally many.
    pub fn reshape(self, shape: &[usize]) -> Option<ViewMut<'a, T>> {
        Some(ViewMut {
            raw: self.raw.reshape(shape)?,
            memory: PhantomData,
        })
    }
    /// Writes the element at an index; panics outside of the shape.
    pub fn set(&mut self, index: &[usize], value: T) {
        // SAFETY: `address` asserts that the index is inside the shape; the borrow is exclusive.
        unsafe { *address(&self.raw, index) = value }
    }
}

/// The address of an element; panics outside of the shape.
fn address<T: Element>(raw: &Raw<T>, index: &[usize]) -> *mut T {
    assert_eq!(index.len(), raw.rank);
    let mut offset = 0;
    for (axis, &at) in index.iter().enumerate() {
        assert!(
            at < raw.shape[axis],
            "index {index:?} outside of shape {:?}",
            raw.shape()
        );
        offset += raw.strides[axis] * at as isize;
    }
    raw.ptr.wrapping_offset(offset)
}

fn check_inside<T: Element>(raw: &Raw<T>, offset: usize, len: usize) -> Result<()> {
    let inside = match raw.extent() {
        Some((low, high)) if high >= low => {
            offset as i128 + low as i128 >= 0 && offset as i128 + (high as i128) < len as i128
        }
        Some(_) => true,
        None => false,
    };
    ensure!(
        inside,
        InvalidArgument,
        "view: shape {:?} with strides {:?} from element {offset} leaves the slice of {len}",
        raw.shape(),
        raw.strides()
    );
    Ok(())
}

/// Lets several tasks write parts of one output. Copyable and shared by
/// threads, so that the tasks keep to disjoint parts is up to the unsafe code
/// that uses it.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a, T> {
    raw: Raw<T>,
    memory: PhantomData<&'a mut [T]>,
}

// SAFETY: writing takes unsafe code, which answers for tasks being disjoint.
unsafe impl<T: Element> Send for Writer<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for Writer<'_, T> {}

impl<T> std::ops::Deref for Writer<'_, T> {
    type Target = Raw<T>;
    #[inline]
    fn deref(&self) -> &Raw<T> {
        &self.raw
    }
}

impl<'a, T: Element> Writer<'a, T> {
    /// `len` consecutive elements from `offset` elements after index zero.
    ///
    /// # Safety
    /// The run lies inside the view, and no other slice of it overlaps this one while it lives.
    #[inline]
    pub unsafe fn slice(&self, offset: isize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.raw.ptr.offset(offset), len) }
    }
}
