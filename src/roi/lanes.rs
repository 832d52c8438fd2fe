//! Channels in the lanes of vectors: how they are cut into blocks, how planes
//! become pixels with neighbouring channels, and back.

use crate::simd::{MAX_LANES, Simd};
use crate::tensor::{Element, Layout, Raw};

/// Vectors of a wide block.
pub(super) const WIDE: usize = 4;

/// Channels as blocks of [`WIDE`] vectors and, for the rest, of one.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    pub(super) channels: usize,
    pub(super) lanes: usize,
    wide: usize,
    pub(super) blocks: usize,
}

/// Channels that are worked on together.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// The first of them.
    pub(super) channel: usize,
    /// Lanes that repeat channels of the block before, as the last vector of all may; these are not written.
    pub(super) skip: usize,
    /// Lanes before this block.
    pub(super) at: usize,
    /// Lanes of this block.
    pub(super) width: usize,
    /// Channels of this block: as many, or fewer when there is less than a vector of them in all.
    pub(super) count: usize,
}

impl Cut {
    pub(super) fn new(channels: usize, lanes: usize) -> Cut {
        let wide = channels / (WIDE * lanes);
        let rest = channels - wide * WIDE * lanes;
        Cut {
            channels,
            lanes,
            wide,
            blocks: wide + rest.div_ceil(lanes),
        }
    }

    /// Lanes of all blocks.
    pub(super) fn width(&self) -> usize {
        (self.wide * WIDE + self.blocks - self.wide) * self.lanes
    }

    /// Lanes of the widest block.
    pub(super) fn widest(&self) -> usize {
        if self.wide > 0 {
            WIDE * self.lanes
        } else {
            self.lanes
        }
    }

    pub(super) fn block(&self, index: usize) -> Block {
        if index < self.wide {
            let at = index * WIDE * self.lanes;
            return Block {
                channel: at,
                skip: 0,
                at,
                width: WIDE * self.lanes,
                count: WIDE * self.lanes,
            };
        }
        let at = (self.wide * WIDE + index - self.wide) * self.lanes;
        let channel = at.min(self.channels.saturating_sub(self.lanes));
        Block {
            channel,
            skip: at - channel,
            at,
            width: self.lanes,
            count: self.lanes.min(self.channels),
        }
    }
}

impl Block {
    /// All lanes are channels that this block writes.
    #[inline(always)]
    pub(super) fn whole(&self) -> bool {
        self.skip == 0 && self.count == self.width
    }
}

/// Address and strides of an array of images in either layout.
#[derive(Clone, Copy)]
pub(super) struct Maps<T> {
    pub(super) ptr: *mut T,
    pub(super) n: isize,
    pub(super) c: isize,
    pub(super) y: isize,
    pub(super) x: isize,
}

// SAFETY: an address and numbers; whoever reads or writes through it answers for that.
unsafe impl<T> Send for Maps<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Maps<T> {}

impl<T: Element> Maps<T> {
    pub(super) fn new(ptr: *mut T, array: &Raw<T>, layout: Layout) -> Maps<T> {
        let axes = layout.axes();
        let [n, c, y, x] = axes.map(|axis| match array.dim(axis) {
            // The step along a single one is never taken.
            1 => 1,
            _ => array.stride(axis),
        });
        Maps { ptr, n, c, y, x }
    }

    /// The address of an element.
    #[inline(always)]
    pub(super) fn at(&self, n: usize, c: usize, y: usize, x: usize) -> *mut T {
        self.ptr.wrapping_offset(
            n as isize * self.n + c as isize * self.c + y as isize * self.y + x as isize * self.x,
        )
    }
}

/// Copies `run` elements of each channel of a block, `step` apart and with channels `plane` apart, to pixels
/// of `block.width` lanes. Lanes that are no channel become zero.
///
/// # Safety
/// The elements are readable, `run * block.width` floats writable at `dst`.
#[inline(always)]
pub(super) unsafe fn to_lanes<S: Simd>(
    simd: S,
    src: *const f32,
    plane: isize,
    step: isize,
    run: usize,
    block: &Block,
    dst: *mut f32,
) {
    let (lanes, width) = (S::LANES, block.width);
    // SAFETY: the caller's promise; vectors of pixels end inside of the run.
    unsafe {
        if step == 1 && run >= lanes && block.count == width {
            for c in (0..width).step_by(lanes) {
                let mut rows = [src; MAX_LANES];
                for (i, row) in rows.iter_mut().enumerate() {
                    *row = src.wrapping_offset((c + i) as isize * plane);
                }
                for at in (0..run).step_by(lanes) {
                    let at = at.min(run - lanes);
                    let from = rows.map(|row| row.wrapping_add(at));
                    simd.transpose_ptr(&from, dst.add(at * width + c), width);
                }
            }
            return;
        }
        if plane == 1 && block.count == width {
            for i in 0..run {
                let (from, to) = (src.offset(i as isize * step), dst.add(i * width));
                for c in (0..width).step_by(lanes) {
                    simd.store_ptr(to.add(c), simd.load_ptr(from.add(c)));
                }
            }
            return;
        }
        for i in 0..run {
            for c in 0..width {
                *dst.add(i * width + c) = match c < block.count {
                    true => *src.offset(c as isize * plane + i as isize * step),
                    false => 0.0,
                };
            }
        }
    }
}

/// The way back: pixels of `block.width` lanes to `run` elements of each channel. Words are moved, not
/// numbers, so integers may pass for floats.
///
/// # Safety
/// `run * block.width` floats are readable at `src`, the elements writable.
#[inline(always)]
pub(super) unsafe fn from_lanes<S: Simd>(
    simd: S,
    src: *const f32,
    block: &Block,
    dst: *mut f32,
    plane: isize,
    step: isize,
    run: usize,
) {
    let (lanes, width) = (S::LANES, block.width);
    // SAFETY: the caller's promise; vectors of pixels end inside of the run.
    unsafe {
        if step == 1 && run >= lanes && block.whole() && plane >= run as isize {
            for c in (0..width).step_by(lanes) {
                let to = dst.offset(c as isize * plane);
                for at in (0..run).step_by(lanes) {
                    let at = at.min(run - lanes);
                    let mut rows = [src; MAX_LANES];
                    for (i, row) in rows.iter_mut().enumerate() {
                        *row = src.wrapping_add((at + i) * width + c);
                    }
                    simd.transpose_ptr(&rows, to.add(at), plane as usize);
                }
            }
            return;
        }
        if plane == 1 && block.whole() {
            for i in 0..run {
                let (from, to) = (src.add(i * width), dst.offset(i as isize * step));
                for c in (0..width).step_by(lanes) {
                    simd.store_ptr(to.add(c), simd.load_ptr(from.add(c)));
                }
            }
            return;
        }
        for c in block.skip..block.count {
            for i in 0..run {
                *dst.offset(c as isize * plane + i as isize * step) = *src.add(i * width + c);
            }
        }
    }
}
