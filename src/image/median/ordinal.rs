//! Medians of floats in windows of any size, by rank.
//!
//! The samples that the windows of a block of the output see are sorted once, each with its place, so that
//! each has a rank of its own, equal ones in the order of their places. From there on there are no floats: a window is a
//! set of ranks, a bit each, and moves on by clearing the bits of a column and setting those of another. The median
//! is the bit with as many bits before it as behind. It lies near that of the window before: a word of 64 bits is
//! kept in which it was last, with the number of bits before it, and moves by whole words (J. Suomela, "Median filtering is
//! equivalent to sorting", 2014). A step costs `2 ksize` changes of a bit, none of which depends on a value.

use super::super::pixels::{Pieces, Rows, RowsMut};
use super::{Border, Median, Ordered};
use crate::error::Result;
use crate::runtime::Context;
use std::ops::Range;

/// A window as a set of ranks.
struct Window<'a> {
    words: &'a mut [u64],
    /// Of the words, the one that the median was in.
    at: usize,
    /// The ranks in the words before it.
    before: usize,
}

impl Window<'_> {
    #[inline(always)]
    fn insert(&mut self, rank: u32) {
        let word = rank as usize / 64;
        self.words[word] |= 1 << (rank % 64);
        self.before += usize::from(word < self.at);
    }
    #[inline(always)]
    fn remove(&mut self, rank: u32) {
        let word = rank as usize / 64;
        self.words[word] &= !(1 << (rank % 64));
        self.before -= usize::from(word < self.at);
    }
    /// The rank that has `count` others before it.
    #[inline(always)]
    fn find(&mut self, count: usize) -> usize {
        while self.before > count {
            self.at -= 1;
            self.before -= self.words[self.at].count_ones() as usize;
        }
        loop {
            let here = self.words[self.at].count_ones() as usize;
            if self.before + here > count {
                break;
            }
            self.before += here;
            self.at += 1;
        }
        let mut word = self.words[self.at];
        for _ in self.before..count {
            word &= word - 1;
        }
        self.at * 64 + word.trailing_zeros() as usize
    }
}

/// The filter of one image.
struct Ranks<'a> {
    src: Rows<'a, f32>,
    dst: RowsMut<'a, f32>,
    ksize: usize,
    border: Border,
    /// The side of a block of the output.
    block: usize,
}

impl Ranks<'_> {
    /// Samples that the windows of a block see.
    fn seen(&self) -> usize {
        (self.block + self.ksize - 1).pow(2)
    }

    /// Bytes of scratch for [`run`](Self::run).
    fn scratch(&self) -> usize {
        let seen = self.seen();
        Pieces::bytes::<u64>(seen)
            + Pieces::bytes::<u32>(seen)
            + Pieces::bytes::<u64>(seen / 64 + 1)
    }

    /// Makes a block of a channel.
    ///
    /// # Safety
    /// Nobody else has it.
    unsafe fn run(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        channel: usize,
        scratch: &mut [u8],
    ) {
        let (ksize, size) = (self.ksize, self.src.size);
        let half = ksize / 2;
        let (height, width) = (rows.len() + ksize - 1, columns.len() + ksize - 1);
        let seen = height * width;
        let mut pieces = Pieces::new(scratch);
        let sorted = pieces.take::<u64>(seen);
        let ranks = pieces.take::<u32>(seen);
        let words = pieces.take::<u64>(seen / 64 + 1);
        for (y, sorted) in sorted.chunks_exact_mut(width).enumerate() {
            let row = self.border.row(rows.start + y, half, size.height);
            let row = row.map(|y| self.src.row(y));
            for (x, sorted) in sorted.iter_mut().enumerate() {
                // Columns have the same border.
                let at = self.border.row(columns.start + x, half, size.width);
                let v = match (row, at) {
                    (Some(row), Some(at)) => row[at * size.channels + channel],
                    _ => 0.0,
                };
                // Keys become unsigned, and the place stands behind them.
                let key = (v.key() as u32) ^ (1 << 31);
                *sorted = u64::from(key) << 32 | (y * width + x) as u64;
            }
        }
        sorted.sort_unstable();
        for (rank, &place) in sorted.iter().enumerate() {
            ranks[place as u32 as usize] = rank as u32;
        }
        words.fill(0);
        let mut window = Window {
            words,
            at: 0,
            before: 0,
        };
        for row in ranks.chunks_exact(width).take(ksize) {
            row[..ksize].iter().for_each(|&rank| window.insert(rank));
        }
        let middle = ksize * ksize / 2;
        // Down the rows like a snake, so that every window is next to the one before.
        let (mut x, last) = (0, columns.len() - 1);
        for y in 0..rows.len() {
            if y > 0 {
                let (leaves, enters) = ((y - 1) * width + x, (y + ksize - 1) * width + x);
                for i in 0..ksize {
                    window.remove(ranks[leaves + i]);
                    window.insert(ranks[enters + i]);
                }
            }
            // SAFETY: the caller has the block to itself.
            let out = unsafe { self.dst.row(rows.start + y) };
            let window_rows = &ranks[y * width..][..ksize * width];
            loop {
                let key = (sorted[window.find(middle)] >> 32) as u32 ^ (1 << 31);
                out[(columns.start + x) * size.channels + channel] = f32::of_key(key as i32);
                let (leaves, enters, next) = match y % 2 {
                    0 if x < last => (x, x + ksize, x + 1),
                    1 if x > 0 => (x + ksize - 1, x - 1, x - 1),
                    _ => break,
                };
                for row in window_rows.chunks_exact(width) {
                    window.remove(row[leaves]);
                    window.insert(row[enters]);
                }
                x = next;
            }
        }
    }
}

impl Median for f32 {
    fn large(
        ctx: &Context,
        src: Rows<'_, f32>,
        dst: RowsMut<'_, f32>,
        ksize: usize,
        border: Border,
    ) -> Result<()> {
        let size = src.size;
        // Large beside the window, small beside the caches.
        let block = (2 * ksize)
            .clamp(32, 128)
            .max(ksize)
            .min(size.height.max(size.width));
        let filter = Ranks {
            src,
            dst,
            ksize,
            border,
            block,
        };
        // Ranks and places have 32 bits.
        crate::error::ensure!(
            filter.seen() <= u32::MAX as usize,
            Unsupported,
            "median_blur: ksize is {ksize} for an image of {} x {} float32, too many samples for one window's ranks",
            size.height,
            size.width
        );
        let across = size.width.div_ceil(block);
        let tasks = across * size.height.div_ceil(block) * size.channels;
        ctx.parallel_for_scratch::<u8>(tasks, filter.scratch(), |task, scratch| {
            let (channel, task) = (task % size.channels, task / size.channels);
            let (x, y) = (task % across * block, task / across * block);
            let rows = y..(y + block).min(size.height);
            // SAFETY: blocks and channels are disjoint.
            unsafe { filter.run(rows, x..(x + block).min(size.width), channel, scratch) };
        })
    }
}
