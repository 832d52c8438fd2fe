//! Where centroids begin.
//!
//! k-means++ (Arthur, Vassilvitskii 2007), greedy as in scikit-learn: each new centroid is the best of
//! `2 + ln k` points drawn with a probability in proportion to their squared distance from the centroids so far.
//! All draws of a step are candidates of one scan, which sums what the distances would
//! become without storing them.

use super::pass::task_rows;
use super::random::Random;
use crate::cluster::distance::panels::{Bias, Rows, block_len, pack_candidates, pack_points};
use crate::cluster::distance::tile::{MAX_POINTS, Reduce, SQUARED, VECTORS, points, scan, width};
use crate::error::{Result, bail};
use crate::runtime::{Context, Scratch};
use crate::simd::{Simd, dispatch};
use crate::tensor::ViewMut;

/// Draws of a step at most.
const MAX_DRAWS: usize = 24;

/// Panels whose potentials are summed in f32 before they go to f64.
const TOGETHER: usize = 16;

/// `k` different rows at random, in proportion to their weights; rows of weight 0 come last.
pub fn random(
    ctx: &Context,
    rows: Rows<'_>,
    weights: Option<&[f32]>,
    k: usize,
    random: &mut Random,
    to: &mut [f32],
) -> Result<()> {
    let (n, depth) = (rows.len(), rows.depth());
    let mut order = ctx.scratch::<u32>(n)?;
    for (i, place) in order.iter_mut().enumerate() {
        *place = i as u32;
    }
    match weights {
        // The first k of a shuffle.
        None => {
            for i in 0..k {
                order.swap(i, i + random.below(n - i));
            }
        }
        // Efraimidis, Spirakis 2006: the largest u^(1/w).
        Some(weights) => {
            let mut keys = ctx.scratch::<f64>(n)?;
            for (key, &weight) in keys.iter_mut().zip(weights) {
                let u = 1.0 - random.unit();
                *key = match weight == 0.0 {
                    true => f64::NEG_INFINITY,
                    false => u.ln() / f64::from(weight),
                };
            }
            let better = |&a: &u32, &b: &u32| {
                let (x, y) = (keys[a as usize], keys[b as usize]);
                y.total_cmp(&x).then(a.cmp(&b))
            };
            if k < n {
                order.select_nth_unstable_by(k - 1, better);
            }
            order[..k].sort_unstable();
        }
    }
    for (to, &from) in to.chunks_exact_mut(depth).zip(&order[..k]) {
        to.copy_from_slice(rows.row(from as usize));
    }
    Ok(())
}

/// What the passes of k-means++ share.
struct Seeding<'a> {
    ctx: &'a Context,
    op: &'a str,
    rows: Rows<'a>,
    weights: Option<&'a [f32]>,
    /// The squared distance of each point from the nearest centroid.
    closest: Scratch<'a, f32>,
    each: usize,
    tasks: usize,
    /// By task a number for each draw.
    potentials: Scratch<'a, f64>,
    values: Scratch<'a, f32>,
    bias: Scratch<'a, f32>,
}

/// `k` rows as k-means++ draws them, to `to` (k x depth).
pub fn plus_plus(
    ctx: &Context,
    op: &str,
    rows: Rows<'_>,
    weights: Option<&[f32]>,
    k: usize,
    random: &mut Random,
    to: &mut [f32],
) -> Result<()> {
    let (n, depth) = (rows.len(), rows.depth());
    let draws = (2 + (k as f64).ln() as usize).min(MAX_DRAWS);
    let each = task_rows(n, 1);
    let tasks = n.div_ceil(each);
    // A panel may be wider than the draws by what its tier has no tile for.
    let mut seeding = Seeding {
        ctx,
        op,
        rows,
        weights,
        closest: ctx.scratch(n)?,
        each,
        tasks,
        potentials: ctx.scratch(tasks * MAX_DRAWS)?,
        values: ctx.scratch(2 * MAX_DRAWS * depth)?,
        bias: ctx.scratch(2 * MAX_DRAWS)?,
    };
    seeding.closest.fill(f32::INFINITY);
    let first = match weights {
        None => random.below(n),
        Some(weights) => {
            let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
            let mut left = random.unit() * total;
            let found = weights.iter().position(|&w| {
                left -= f64::from(w);
                left < 0.0
            });
            found.unwrap_or(n - 1)
        }
    };
    let mut drawn = [first; MAX_DRAWS];
    let mut best = first;
    for (i, row) in to.chunks_exact_mut(depth).enumerate() {
        if i > 0 {
            seeding.draw(random, &mut drawn[..draws]);
            let potentials = seeding.scan(&drawn[..draws], false)?;
            let least =
                (1..draws).fold(0, |b, i| if potentials[i] < potentials[b] { i } else { b });
            best = drawn[least];
        }
        row.copy_from_slice(rows.row(best));
        seeding.scan(&[best], true)?;
    }
    Ok(())
}

impl Seeding<'_> {
    fn weight(&self, at: usize) -> f64 {
        self.weights.map_or(1.0, |w| f64::from(w[at]))
    }

    /// Points in proportion to weight times squared distance: the sums of tasks are known from the last scan.
    fn draw(&self, random: &mut Random, drawn: &mut [usize]) {
        let n = self.rows.len();
        let of = |task: usize| self.potentials[task * MAX_DRAWS];
        let total: f64 = (0..self.tasks).map(of).sum();
        for to in drawn {
            let mut left = random.unit() * total;
            let mut task = 0;
            while task + 1 < self.tasks && left >= of(task) {
                left -= of(task);
                task += 1;
            }
            let range = task * self.each..n.min((task + 1) * self.each);
            let mut found = None;
            for at in range.clone() {
                let share = self.weight(at) * f64::from(self.closest[at]);
                if share > 0.0 {
                    found = Some(at);
                    left -= share;
                    if left < 0.0 {
                        break;
                    }
                }
            }
            *to = found.unwrap_or(range.start);
        }
    }

    /// For each of `drawn` the sum over all points of the distance from the nearest centroid if
    /// it were one, too. With `keep` the only one becomes one.
    fn scan(&mut self, drawn: &[usize], keep: bool) -> Result<[f64; MAX_DRAWS]> {
        let (n, depth, count) = (self.rows.len(), self.rows.depth(), drawn.len());
        let isa = self.ctx.isa();
        let width = width(isa.tier(), count);
        let mut gathered = self.ctx.scratch::<f32>(count * depth)?;
        for (to, &from) in gathered.chunks_exact_mut(depth).zip(drawn) {
            to.copy_from_slice(self.rows.row(from));
        }
        let (len, padded) = block_len(count, depth, width);
        let block = pack_candidates(
            Rows::compact(&gathered, depth),
            0..count,
            None,
            None,
            Bias::None,
            width,
            &mut self.values[..len],
            &mut self.bias[..padded],
        );
        let (rows, weights, each) = (self.rows, self.weights, self.each);
        let bad = std::sync::atomic::AtomicUsize::new(usize::MAX);
        {
            let size = self.potentials.len();
            let mut closest = ViewMut::new(&mut self.closest, &[n])?;
            let mut potentials = ViewMut::new(&mut self.potentials, &[size])?;
            let (closest, potentials) = (closest.writer(), potentials.writer());
            self.ctx
                .parallel_for_scratch(self.tasks, MAX_POINTS * depth, |task, panel| {
                    let range = task * each..n.min((task + 1) * each);
                    // SAFETY: inside of both arrays, and tasks are disjoint.
                    let (closest, sums) = unsafe {
                        (
                            closest.slice(range.start as isize, range.len()),
                            potentials.slice((task * MAX_DRAWS) as isize, MAX_DRAWS),
                        )
                    };
                    sums.fill(0.0);
                    let weights = weights.map(|w| &w[range.clone()]);
                    let fine = dispatch!(isa, simd => potential(
                        simd, rows, range.start, block, panel, closest, weights, sums, keep
                    ));
                    if !fine {
                        bad.fetch_min(task, std::sync::atomic::Ordering::Relaxed);
                    }
                })?;
        }
        if bad.into_inner() != usize::MAX {
            bail!(
                InvalidArgument,
                "{}: x has NaN, infinity or a value too large to be squared",
                self.op
            );
        }
        let mut totals = [0.0; MAX_DRAWS];
        for of in self.potentials.chunks_exact(MAX_DRAWS).take(self.tasks) {
            for (total, &x) in totals.iter_mut().zip(of) {
                *total += x;
            }
        }
        Ok(totals)
    }
}

/// The points of a task. False when one has an element that is not finite.
#[inline(always)]
fn potential<S: Simd>(
    simd: S,
    rows: Rows<'_>,
    start: usize,
    block: crate::cluster::distance::panels::Block<'_>,
    panel: &mut [f32],
    closest: &mut [f32],
    weights: Option<&[f32]>,
    sums: &mut [f64],
    keep: bool,
) -> bool {
    let count = points(S::LANES);
    let mut total = Potential::<S> {
        closest: [simd.zero(); VECTORS],
        weights: [simd.splat(1.0); VECTORS],
        sums: [simd.zero(); 2 * MAX_DRAWS],
        last: [simd.zero(); VECTORS],
    };
    let mut squares = simd.zero();
    for (number, closest) in closest.chunks_mut(count).enumerate() {
        let at = number * count;
        let used = closest.len();
        let range = start + at..start + at + used;
        for square in pack_points(simd, rows, range, None, panel) {
            squares = simd.add(squares, square);
        }
        for v in 0..VECTORS {
            let part = (v * S::LANES).min(used);
            // Lanes without a point: a distance of 0.
            total.closest[v] = simd.load_partial(&closest[part..]);
            if let Some(weights) = weights {
                total.weights[v] = simd.load_partial(&weights[at + part..at + used]);
            }
        }
        scan::<S, SQUARED, _>(simd, panel, block, &mut total);
        if keep {
            for v in 0..VECTORS {
                let part = (v * S::LANES).min(used);
                simd.store_partial(&mut closest[part..], total.last[v]);
            }
        }
        if number % TOGETHER == TOGETHER - 1 {
            total.flush(simd, sums);
        }
    }
    total.flush(simd, sums);
    simd.reduce_add(squares).is_finite()
}

/// Sums over points of the smaller of `closest` and the distance from each candidate.
struct Potential<S: Simd> {
    closest: [S::F32; VECTORS],
    weights: [S::F32; VECTORS],
    sums: [S::F32; 2 * MAX_DRAWS],
    /// What the distances become with the first candidate.
    last: [S::F32; VECTORS],
}

impl<S: Simd> Potential<S> {
    #[inline(always)]
    fn flush(&mut self, simd: S, to: &mut [f64]) {
        for (to, sum) in to.iter_mut().zip(&mut self.sums) {
            *to += f64::from(simd.reduce_add(*sum));
            *sum = simd.zero();
        }
    }
}

impl<S: Simd> Reduce<S> for Potential<S> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn tile<const MR: usize>(&mut self, simd: S, first: usize, scores: &[[S::F32; VECTORS]; MR]) {
        for r in 0..MR {
            for v in 0..VECTORS {
                let less = simd.min(simd.sub(simd.zero(), scores[r][v]), self.closest[v]);
                if first + r == 0 {
                    self.last[v] = less;
                }
                let sum = &mut self.sums[first + r];
                *sum = simd.fma(less, self.weights[v], *sum);
            }
        }
    }
}
