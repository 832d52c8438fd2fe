//! How a product is cut into tasks, and who packs what.
//!
//! The cut follows from shapes alone, never from the number of threads, and
//! never divides a sum: results have the same bits on any number of threads.
//!
//! A side whose lines are used by one row (or column) of tasks is packed by
//! the task that uses it, just before it does: so the panels are in the
//! cache, and the receptive fields of a convolution are gathered once and never
//! stored as a whole. A side that several tasks need is packed once, in a
//! parallel phase before them. When that would take too much memory the
//! product is done in rounds over K, then over rows and columns.

use super::Shape;
use super::tile::Tile;

/// Below this many floating-point operations a product is not worth waking a thread.
const SERIAL_FLOPS: f64 = 4.0e6;
/// A task has about this much to do at least.
const TASK_FLOPS: f64 = 1.0e6;
/// Tasks that a product is cut into, work permitting: enough for many cores
/// with some to spare for balance.
const TASKS: usize = 32;
/// So many tasks of whole rows are enough: each packs its rows itself, right before it uses them.
const ROW_TASKS: usize = 12;
/// The most columns of such a task: its part of C stays in L2 from one block of k to the next.
const ROW_COLUMNS: usize = 1024;
/// The narrowest task whose side a split by columns (or rows) is worth.
const NARROW: usize = 64;
/// Elements that are rather packed several times than in a phase of their own.
const REPACK: usize = 1 << 15;
/// The most floats that are packed in the phase before the tasks (8 MiB, of L3).
const SHARED_FLOATS: usize = 1 << 21;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// Rows of C in a task, whole panels.
    pub rows: usize,
    /// Columns of C in a task, whole panels.
    pub columns: usize,
    /// Products of a batch in a task, when a task is not a part of one.
    pub products: usize,
    /// A is packed before the tasks.
    pub share_a: bool,
    /// B is packed before the tasks.
    pub share_b: bool,
    /// Rows, columns and steps of k in a round.
    pub round: Shape,
    /// Steps of k in a block.
    pub depth: usize,
    /// Rows whose panels are walked through for each panel of B.
    pub block_rows: usize,
    /// Columns that a task packs at once.
    pub block_columns: usize,
}

impl Split {
    /// The whole of each product in one task.
    pub fn whole(tile: &Tile, shape: Shape, a_packed: bool, b_packed: bool) -> Split {
        let rows = shape.m.next_multiple_of(tile.mr);
        let columns = shape.n.next_multiple_of(tile.nr);
        Split {
            rows,
            columns,
            products: 1,
            share_a: false,
            share_b: false,
            round: shape,
            depth: tile.depth(shape.k),
            block_rows: tile.mc.min(rows),
            block_columns: match (a_packed, b_packed) {
                // Nothing is packed for a strip of columns, so it may be as wide as C.
                (_, true) => columns,
                (_, false) => tile.nc.min(columns),
            },
        }
    }

    pub fn new(tile: &Tile, shape: Shape, batch: usize, a_packed: bool, b_packed: bool) -> Split {
        let mut split = Split::whole(tile, shape, a_packed, b_packed);
        let Shape { m, n, k } = shape;
        let flops = 2.0 * m as f64 * n as f64 * k as f64;
        if flops * (batch as f64) < SERIAL_FLOPS {
            split.products = batch;
            return split;
        }
        if batch >= TASKS || flops < 2.0 * TASK_FLOPS {
            split.products = ((TASK_FLOPS / flops.max(1.0)).ceil() as usize).clamp(1, batch);
            return split;
        }

        let wanted = TASKS
            .div_ceil(batch)
            .min((flops / TASK_FLOPS).ceil() as usize);
        let narrow_rows = NARROW.next_multiple_of(tile.mr);
        let narrow_columns = NARROW.next_multiple_of(tile.nr);
        let by_columns = n.div_ceil(narrow_columns) >= wanted;
        // All of B fits the phase before the tasks, so there is one round.
        let one_round = b_packed || n.saturating_mul(k) <= SHARED_FLOATS;
        let row_tasks = if one_round {
            wanted.min(ROW_TASKS)
        } else {
            wanted
        };
        let by_rows = m.div_ceil(narrow_rows) >= row_tasks;
        let cut = |len: usize, width: usize, most: usize| {
            len.div_ceil(wanted)
                .next_multiple_of(width)
                .clamp(width, most)
        };
        let prefer_columns = if a_packed == b_packed {
            m <= n
        } else {
            a_packed
        };
        let mut packs_own_rows = false;
        if by_columns && (prefer_columns || !by_rows) && (a_packed || m <= 4 * tile.mc) {
            split.columns = cut(n, tile.nr, tile.nc);
        } else if by_rows && !(prefer_columns && by_columns) && (one_round || n <= tile.nc) {
            let strips = n.div_ceil(ROW_COLUMNS);
            split.rows = cut(m, tile.mr, tile.mc).max(narrow_rows.min(split.rows));
            split.columns = n.div_ceil(strips).next_multiple_of(tile.nr);
            packs_own_rows = !a_packed;
        } else {
            // Tiles as square as the caches like them, then smaller until there are enough.
            split.rows = tile.mc.min(split.rows);
            split.columns = (tile.nc / 2).next_multiple_of(tile.nr).min(split.columns);
            while m.div_ceil(split.rows) * n.div_ceil(split.columns) < wanted {
                let (tall, wide) = (split.rows / tile.mr, split.columns / tile.nr);
                if tall * tile.mr >= wide * tile.nr && tall > 1 {
                    split.rows = tall.div_ceil(2) * tile.mr;
                } else if wide > 1 {
                    split.columns = wide.div_ceil(2) * tile.nr;
                } else {
                    break;
                }
            }
        }
        split.block_rows = split.block_rows.min(split.rows);
        split.block_columns = split.block_columns.min(split.columns);

        let (down, across) = (m.div_ceil(split.rows), n.div_ceil(split.columns));
        split.share_a = !packs_own_rows && !a_packed && across > 1 && m * k > REPACK / across;
        split.share_b = !b_packed && down > 1 && n * k > REPACK / down;
        if split.share_b {
            // Nothing is packed for a strip of columns, so it may be as wide as the task.
            split.block_columns = split.columns;
        }
        split.choose_rounds(tile, shape, a_packed, b_packed);
        split
    }

    fn choose_rounds(&mut self, tile: &Tile, shape: Shape, a_packed: bool, b_packed: bool) {
        let shared = |rows: usize, columns: usize, s: &Split| {
            let a = if s.share_a {
                rows.next_multiple_of(tile.mr)
            } else {
                0
            };
            let b = if s.share_b {
                columns.next_multiple_of(tile.nr)
            } else {
                0
            };
            a.saturating_add(b)
        };
        let lines = shared(shape.m, shape.n, self);
        if lines.saturating_mul(shape.k) <= SHARED_FLOATS {
            return;
        }
        // A task of a later round must not need scratch: it could be refused
        // when C is already half written.
        self.share_a = !a_packed;
        self.share_b = !b_packed;
        let most = SHARED_FLOATS / self.depth;
        let (mut rows, mut columns) = (shape.m, shape.n);
        if shared(rows, columns, self) > most {
            rows = rows.min((most / 2 / self.rows).max(1) * self.rows);
            columns = columns.min((most / 2 / self.columns).max(1) * self.columns);
        }
        let blocks = (most / shared(rows, columns, self).max(1)).max(1);
        self.round = Shape {
            m: rows,
            n: columns,
            k: shape.k.min(blocks * self.depth),
        };
    }

    /// Floats of scratch that a task needs.
    pub fn task_scratch(&self, a_packed: bool, b_packed: bool) -> (usize, usize) {
        let a = match a_packed || self.share_a {
            true => 0,
            // Panels of B start on a cache line.
            false => (self.block_rows * self.depth).next_multiple_of(16),
        };
        let b = match b_packed || self.share_b {
            true => 0,
            false => self.block_columns * self.depth,
        };
        (a, b)
    }
}
