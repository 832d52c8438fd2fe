//! Images as rows of samples that lie next to each other.

use crate::error::{Result, ensure};
use crate::runtime::{Context, Scratch};
use crate::tensor::{Contiguous, ContiguousMut, Element, Raw, View, ViewMut};
use std::marker::PhantomData;

/// Height, width and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

impl Size {
    /// The size of an array (H, W) or (H, W, C).
    pub(super) fn of<T: Element>(op: &str, name: &str, array: &Raw<T>) -> Result<Size> {
        ensure!(
            matches!(array.rank(), 2 | 3),
            ShapeMismatch,
            "{op}: {name} has {} dimensions, expected 2 (H, W) or 3 (H, W, C)",
            array.rank()
        );
        let size = Size {
            height: array.dim(0),
            width: array.dim(1),
            channels: if array.rank() == 3 { array.dim(2) } else { 1 },
        };
        let limit = i32::MAX as usize;
        let row = size.width.checked_mul(size.channels);
        ensure!(
            size.height <= limit && row.is_some_and(|row| row <= limit),
            Unsupported,
            "{op}: {name} of shape {:?} has more than {limit} rows, or more samples in a row",
            array.shape()
        );
        Ok(size)
    }

    /// Samples in a row.
    pub(super) fn row(&self) -> usize {
        self.width * self.channels
    }
}

/// Equally long rows of consecutive samples, at any distance from each other.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    first: *const T,
    stride: isize,
    pub(super) size: Size,
    memory: PhantomData<&'a [T]>,
}

// SAFETY: a shared borrow of numbers.
unsafe impl<T: Element> Send for Rows<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for Rows<'_, T> {}

impl<'a, T: Element> Rows<'a, T> {
    /// The first sample of row 0, and the distance of rows: row `y` is the
    /// [`Size::row`] samples from `first + y * stride` on.
    #[inline(always)]
    pub(super) fn address(&self) -> (*const T, isize) {
        (self.first, self.stride)
    }

    /// Row `y`.
    #[inline(always)]
    pub(super) fn row(&self, y: usize) -> &'a [T] {
        assert!(y < self.size.height);
        // SAFETY: `Image::open` took rows and length from a view, or from a compact copy of it.
        unsafe {
            std::slice::from_raw_parts(self.first.offset(self.stride * y as isize), self.size.row())
        }
    }
}

/// The samples of a pixel, and the pixels of a row, are consecutive.
fn has_packed_rows<T: Element>(array: &Raw<T>, size: Size) -> bool {
    match array.rank() {
        2 => array.stride(1) == 1 || size.width == 1,
        _ => {
            (array.stride(2) == 1 || size.channels == 1)
                && (array.stride(1) == size.channels as isize || size.width == 1)
        }
    }
}

/// An image that is read.
pub(super) struct Image<'a, T: Element> {
    rows: Rows<'a, T>,
    /// The memory of `rows` when the view's own was not packed.
    _copy: Option<Contiguous<'a, T>>,
}

impl<'a, T: Element> Image<'a, T> {
    /// The rows of a view that is not empty.
    pub(super) fn open(ctx: &'a Context, view: &View<'a, T>, size: Size) -> Result<Image<'a, T>> {
        let rows = |first, stride| Rows {
            first,
            stride,
            size,
            memory: PhantomData,
        };
        if has_packed_rows(view, size) {
            return Ok(Image {
                rows: rows(view.ptr().cast_const(), view.stride(0)),
                _copy: None,
            });
        }
        let copy = view.contiguous(ctx)?;
        Ok(Image {
            rows: rows(copy.as_ptr(), size.row() as isize),
            _copy: Some(copy),
        })
    }

    /// The rows, for as long as the image lives.
    pub(super) fn rows(&self) -> Rows<'_, T> {
        self.rows
    }
}

/// The rows of an image that tasks write, each task its own.
#[derive(Clone, Copy)]
pub(super) struct RowsMut<'a, T> {
    first: *mut T,
    stride: isize,
    pub(super) size: Size,
    memory: PhantomData<&'a mut [T]>,
}

// SAFETY: writing takes unsafe code, which answers for tasks being disjoint.
unsafe impl<T: Element> Send for RowsMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for RowsMut<'_, T> {}

impl<'a, T: Element> RowsMut<'a, T> {
    /// Row `y`.
    ///
    /// # Safety
    /// No other slice of the row lives.
    #[inline(always)]
    pub(super) unsafe fn row(&self, y: usize) -> &'a mut [T] {
        assert!(y < self.size.height);
        // SAFETY: `ImageMut` took rows and length from a view; the caller keeps them apart.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.first.offset(self.stride * y as isize),
                self.size.row(),
            )
        }
    }
}

/// An image that is written: the view's own memory, or scratch that
/// [`finish`](ImageMut::finish) copies to it.
pub(super) struct ImageMut<'a, T: Element> {
    memory: Memory<'a, T>,
    size: Size,
}

enum Memory<'a, T: Element> {
    Own(ViewMut<'a, T>),
    Copied(ContiguousMut<'a, T>),
}

impl<'a, T: Element> ImageMut<'a, T> {
    /// The rows of a view that is not empty.
    pub(super) fn open(
        ctx: &'a Context,
        view: ViewMut<'a, T>,
        size: Size,
    ) -> Result<ImageMut<'a, T>> {
        let memory = match has_packed_rows(&view, size) {
            true => Memory::Own(view),
            false => Memory::Copied(view.contiguous(ctx)?),
        };
        Ok(ImageMut { memory, size })
    }

    /// The rows to write.
    pub(super) fn rows(&mut self) -> RowsMut<'_, T> {
        let (first, stride) = match &mut self.memory {
            Memory::Own(view) => (view.ptr(), view.stride(0)),
            Memory::Copied(copy) => (copy.as_mut_ptr(), self.size.row() as isize),
        };
        RowsMut {
            first,
            stride,
            size: self.size,
            memory: PhantomData,
        }
    }

    /// Brings the result to the view.
    pub(super) fn finish(self) {
        if let Memory::Copied(copy) = self.memory {
            copy.finish();
        }
    }
}

/// Scratch cut into typed pieces, each on a cache line of its own.
pub(super) struct Pieces<'a> {
    rest: &'a mut [u8],
}

impl<'a> Pieces<'a> {
    pub(super) fn new(scratch: &'a mut [u8]) -> Pieces<'a> {
        Pieces { rest: scratch }
    }

    /// The bytes that a piece of `len` elements takes.
    pub(super) const fn bytes<T>(len: usize) -> usize {
        (len * size_of::<T>()).next_multiple_of(64)
    }

    /// The next `len` elements.
    pub(super) fn take<T: Element>(&mut self, len: usize) -> &'a mut [T] {
        let rest = std::mem::take(&mut self.rest);
        let (piece, rest) = rest.split_at_mut(Pieces::bytes::<T>(len));
        self.rest = rest;
        assert!(piece.as_ptr().cast::<T>().is_aligned());
        // SAFETY: aligned, long enough, initialised, and any bits are a value of an `Element`.
        unsafe { std::slice::from_raw_parts_mut(piece.as_mut_ptr().cast(), len) }
    }
}

/// Shorthand for scratch that lives as long as a call.
pub(super) type Lent<'a, T> = Scratch<'a, T>;
