//! Attention: `softmax(scale · Q · Kᵀ + mask) · V`, fused.
//!
//! The matrix of logits never exists. A task takes some rows (queries) and goes over the keys in
//! tiles; for each row it keeps the largest logit so far, the sum of exponentials relative to
//! it, and the output that belongs to them, and when a larger logit appears sum and output are
//! scaled down (the online softmax of Milakov and Gimelshein, as in FlashAttention). Scratch is
//! that of a tile, whatever the number of queries and keys.
//!
//! Two kernels: [`panels`] for many rows, which runs near the peak of the multiply-add units,
//! and [`few`] for the handful of rows of decoding, which runs at the speed of memory. Either
//! may be split over the keys, when there would be few tasks otherwise; the results of the
//! parts are merged by their maxima and sums, in order.

mod few;
mod panels;
mod problem;

pub use problem::Mask;

use crate::error::{Result, ensure};
use crate::runtime::Context;
use crate::simd::dispatch;
use crate::tensor::{Element, Raw, View, ViewMut, expect_rank, expect_shape, forbid_overlap};
use problem::{Masking, Part, Problem, Target};

/// What [`attention`] is beyond its arrays. The default is torch's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Attention {
    /// The factor of the products; `1 / sqrt(D)` if there is none.
    pub scale: Option<f32>,
    /// Query `i` sees the keys up to `i + offset` and no others. 0 aligns the first query with the
    /// first key, the number of keys that a cache holds aligns what is new with the end.
    pub causal: Option<i64>,
    /// `c` makes a logit `x` to `c * tanh(x / c)`, before the mask.
    pub softcap: Option<f32>,
}

/// Rows of a task with many rows.
const ROWS: usize = 128;
/// Tasks that a call is split into at least, if it has the keys for it.
const TASKS: usize = 64;
/// Keys of a part at least.
const KEYS: usize = 512;

/// `out = softmax(scale · q · kᵀ + mask) · v`, in float32.
///
/// `q` is (B, H, N, D), `k` (B, G, M, D), `v` (B, G, M, E), `out` (B, H, N, E). G divides H: each
/// head of keys serves H / G neighbouring heads of queries. `mask` broadcasts to (B, H, N, M):
/// it has at most four dimensions, aligned at the right, each of that size or 1.
/// `log_sum_exp` (B, H, N) takes the logarithm of the sum of the exponentials of a row.
///
/// Any strides; (B, N, H, D) permuted needs no copy. The outputs overlap nothing. A row
/// that sees no key is 0, and its logarithm -inf. What a hidden key or its value holds has no influence,
/// be it infinite or NaN; a NaN that a row sees makes the row NaN. The bits do not depend on
/// the number of threads.
pub fn attention(
    ctx: &Context,
    options: &Attention,
    q: &View<'_, f32>,
    k: &View<'_, f32>,
    v: &View<'_, f32>,
    mask: Option<Mask<'_>>,
    mut out: ViewMut<'_, f32>,
    mut log_sum_exp: Option<ViewMut<'_, f32>>,
) -> Result<()> {
    let op = "attention";
    for (name, array) in [("q", q), ("k", k), ("v", v)] {
        expect_rank(op, name, array, 4)?;
    }
    let (batch, heads, queries, dim) = (q.dim(0), q.dim(1), q.dim(2), q.dim(3));
    let (groups, keys, value_dim) = (k.dim(1), k.dim(2), v.dim(3));
    for (name, array) in [("k", k), ("v", v)] {
        ensure!(
            array.dim(0) == batch,
            ShapeMismatch,
            "{op}: {name} has {} batches, q has {batch}",
            array.dim(0)
        );
    }
    ensure!(
        k.dim(3) == dim,
        ShapeMismatch,
        "{op}: k has {} elements per head, q has {dim}",
        k.dim(3)
    );
    ensure!(
        v.dim(1) == groups && v.dim(2) == keys,
        ShapeMismatch,
        "{op}: v has {} heads of {}, k has {groups} of {keys}",
        v.dim(1),
        v.dim(2)
    );
    ensure!(
        heads == 0 || (groups > 0 && heads.is_multiple_of(groups)),
        ShapeMismatch,
        "{op}: q has {heads} heads, which the {groups} of k do not divide"
    );
    expect_shape(op, "output", &out, &[batch, heads, queries, value_dim])?;
    for (name, array) in [("q", q), ("k", k), ("v", v)] {
        forbid_overlap(op, "output", &out, name, array)?;
    }
    let mask = mask
        .map(|mask| masking(mask, [batch, heads, queries, keys]))
        .transpose()?;
    match mask.as_ref().map(|m| m.mask) {
        None => {}
        Some(Mask::Select(mask)) => forbid_overlap(op, "output", &out, "mask", &mask)?,
        Some(Mask::Add(mask)) => forbid_overlap(op, "output", &out, "mask", &mask)?,
    }
    if let Some(log) = &log_sum_exp {
        expect_shape(op, "log_sum_exp", log, &[batch, heads, queries])?;
        forbid_overlap(op, "log_sum_exp", log, "output", &out)?;
        for (name, array) in [("q", q), ("k", k), ("v", v)] {
            forbid_overlap(op, "log_sum_exp", log, name, array)?;
        }
        match mask.as_ref().map(|m| m.mask) {
            None => {}
            Some(Mask::Select(mask)) => forbid_overlap(op, "log_sum_exp", log, "mask", &mask)?,
            Some(Mask::Add(mask)) => forbid_overlap(op, "log_sum_exp", log, "mask", &mask)?,
        }
    }
    let scale = options.scale.unwrap_or(match dim {
        0 => 1.0,
        _ => 1.0 / (dim as f32).sqrt(),
    });
    let cap = options.softcap;
    ensure!(
        cap.is_none_or(|cap| cap > 0.0 && cap.is_finite()),
        InvalidArgument,
        "{op}: softcap is {}, expected a positive number",
        cap.unwrap_or_default()
    );
    if batch * heads * queries == 0 {
        return Ok(());
    }
    let problem = Problem {
        q: *q,
        k: *k,
        v: *v,
        mask,
        out: Target::of(&out.writer()),
        log_sum_exp: log_sum_exp.as_mut().map(|log| Target::of(&log.writer())),
        scale,
        cap,
        causal: options.causal,
    };
    run(ctx, &problem)
}

/// The strides that make `mask` an array of this shape.
fn masking(mask: Mask<'_>, shape: [usize; 4]) -> Result<Masking<'_>> {
    fn strides<T: Element>(raw: &Raw<T>, shape: [usize; 4]) -> Option<[isize; 4]> {
        let mut strides = [0; 4];
        let first = 4usize.checked_sub(raw.rank())?;
        for axis in 0..raw.rank() {
            match raw.dim(axis) {
                1 => {}
                dim if dim == shape[first + axis] => strides[first + axis] = raw.stride(axis),
                _ => return None,
            }
        }
        Some(strides)
    }
    let (own, strides) = match &mask {
        Mask::Select(view) => (view.shape(), strides(view, shape)),
        Mask::Add(view) => (view.shape(), strides(view, shape)),
    };
    ensure!(
        strides.is_some(),
        ShapeMismatch,
        "attention: mask has shape {own:?}, which does not broadcast to {shape:?} (batches, heads, queries, keys)"
    );
    Ok(Masking {
        mask,
        strides: strides.unwrap_or_default(),
    })
}

/// How a call is cut into tasks. Follows from its shape and the tier.
struct Split {
    /// Few rows for each head of keys.
    few: bool,
    /// Rows of a task, and tasks for each head of keys.
    rows: usize,
    blocks: usize,
    /// Keys of a task, and tasks for each block of rows.
    keys: usize,
    parts: usize,
}

impl Split {
    fn new(p: &Problem<'_>, width: usize) -> Split {
        let rows = p.queries() * p.sharing();
        let few = rows <= few::MOST;
        let (blocks, of) = match few {
            true => (1, rows),
            false => {
                let blocks = rows.div_ceil(ROWS);
                let of = rows.div_ceil(blocks).next_multiple_of(width);
                (rows.div_ceil(of), of)
            }
        };
        let tasks = p.q.dim(0) * p.k.dim(1) * blocks;
        let parts = TASKS.div_ceil(tasks).min(p.keys() / KEYS).max(1);
        let keys = p.keys().div_ceil(parts).max(1);
        Split {
            few,
            rows: of,
            blocks,
            keys,
            parts: p.keys().div_ceil(keys).max(1),
        }
    }

    /// The rows and keys of a task; without keys when there are none.
    fn part(&self, p: &Problem<'_>, task: usize) -> Part {
        let (task, part) = (task / self.parts, task % self.parts);
        let (head, block) = (task / self.blocks, task % self.blocks);
        // Where later rows see more keys, they come first: the last tasks are the short ones.
        let block = if p.causal.is_some() {
            self.blocks - 1 - block
        } else {
            block
        };
        let rows = p.queries() * p.sharing();
        let (first, start) = (block * self.rows, part * self.keys);
        Part {
            batch: head / p.k.dim(1),
            group: head % p.k.dim(1),
            rows: first..rows.min(first + self.rows),
            keys: start..p.keys().min(start + self.keys),
        }
    }
}

fn run(ctx: &Context, p: &Problem<'_>) -> Result<()> {
    let isa = ctx.isa();
    let tier = isa.tier();
    let split = Split::new(p, panels::sizes(tier).width);
    let (room, result) = match split.few {
        true => (few::room(p, split.rows), few::result_len(p, split.rows)),
        false => (
            panels::Room::new(tier, p, split.rows).len,
            panels::result_len(tier, p, split.rows),
        ),
    };
    let blocks = p.q.dim(0) * p.k.dim(1) * split.blocks;
    if split.parts == 1 {
        return ctx.parallel_for_scratch::<f32>(blocks, room + result, |task, scratch| {
            let part = split.part(p, task);
            let (result, scratch) = scratch.split_at_mut(result);
            dispatch!(isa, simd => {
                // SAFETY: the arrays of the call; rows are this task's alone.
                unsafe {
                    if split.few {
                        few::attend(simd, p, &part, scratch, result);
                        few::store(simd, p, &part, result);
                    } else {
                        let result = &mut result[..panels::result_len(tier, p, part.rows.len())];
                        panels::attend(simd, p, &part, scratch, result);
                        panels::store(simd, p, &part, result);
                    }
                }
            });
        });
    }
    let tasks = blocks * split.parts;
    let pitch = result.next_multiple_of(64);
    let mut results = ctx.scratch::<f32>(tasks * pitch)?;
    let base = Results(results.as_mut_ptr());
    ctx.parallel_for_scratch::<f32>(tasks, room, |task, scratch| {
        let part = split.part(p, task);
        // SAFETY: each task has a result of its own.
        let result = unsafe { base.of(task, pitch) };
        dispatch!(isa, simd => {
            // SAFETY: the arrays of the call.
            unsafe {
                if split.few {
                    few::attend(simd, p, &part, scratch, result);
                } else {
                    let result = &mut result[..panels::result_len(tier, p, part.rows.len())];
                    panels::attend(simd, p, &part, scratch, result);
                }
            }
        });
    })?;
    ctx.parallel_for(blocks, |block| {
        let part = split.part(p, block * split.parts);
        let rows = part.rows.len();
        let len = match split.few {
            true => few::result_len(p, rows),
            false => panels::result_len(tier, p, rows),
        };
        // SAFETY: each task has the results of a block of its own.
        let first = unsafe { &mut base.of(block * split.parts, pitch)[..len] };
        dispatch!(isa, simd => {
            for other in 1..split.parts {
                // SAFETY: as above; another part of the scratch.
                let other = unsafe { &base.of(block * split.parts + other, pitch)[..len] };
                if split.few {
                    few::merge(simd, p, rows, first, other);
                } else {
                    panels::merge(simd, p, rows, first, other);
                }
            }
            // SAFETY: rows are this task's alone.
            unsafe {
                if split.few {
                    few::store(simd, p, &part, first);
                } else {
                    panels::store(simd, p, &part, first);
                }
            }
        });
    })
}

/// The results of all parts, each written by one task.
#[derive(Clone, Copy)]
struct Results(*mut f32);

// SAFETY: see `of`.
unsafe impl Send for Results {}
// SAFETY: as above.
unsafe impl Sync for Results {}

impl Results {
    /// # Safety
    /// The scratch has `pitch` floats for `task`, which nobody else uses.
    unsafe fn of<'a>(self, task: usize, pitch: usize) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(task * pitch), pitch) }
    }
}
