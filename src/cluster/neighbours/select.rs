//! The k best of a stream of scores, for many queries at once.
//!
//! A tile of scores meets the thresholds of its queries in registers: what is not above the k-th best
//! so far is gone after a comparison. The few others go to a buffer of their query, and when
//! that is full a selection brings it back to k and raises the threshold.
//!
//! Scores are f32 and ranks are those of exact arithmetic all the same. Each score comes with a bound
//! of its error; a buffer holds *upper* bounds of true scores, and the threshold is the k-th largest *lower*
//! bound, so that nothing that could be among the k best is ever dropped. The survivors, not many more than
//! k, are measured in f64 at the end. Where bounds cannot tell points apart (many equal distances), a full buffer
//! is measured at once.

use super::exact::Exact;
use crate::cluster::distance::tile::{Reduce, VECTORS};
use crate::simd::{Double, Isa, MAX_LANES, Portable, Simd, dispatch};

/// A point in a buffer: the bits of the upper bound of its score, then its number.
pub type Entry = u64;

#[inline(always)]
fn entry(upper: f32, index: usize) -> Entry {
    u64::from(upper.to_bits()) << 32 | index as u64
}

#[inline(always)]
fn upper(entry: Entry) -> f32 {
    f32::from_bits((entry >> 32) as u32)
}

#[inline(always)]
pub fn index(entry: Entry) -> usize {
    entry as u32 as usize
}

/// Bits whose order is that of the numbers; no NaN.
#[inline(always)]
fn ordered(key: f64) -> u64 {
    let bits = key.to_bits();
    match bits >> 63 {
        0 => bits | 1 << 63,
        _ => !bits,
    }
}

#[inline(always)]
fn unordered(bits: u64) -> f64 {
    f64::from_bits(match bits >> 63 {
        0 => !bits,
        _ => bits & !(1 << 63),
    })
}

/// How far the score of a point may be from the truth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Slack {
    /// By `unit * (|q| |x| + |x|²)`.
    Square,
    /// By `unit * |q| |x|`.
    Product,
    /// By `unit * |q|`.
    Angle,
    /// By `unit` of itself.
    Relative,
}

/// Entries a buffer holds beyond the k best.
pub fn capacity(k: usize) -> usize {
    2 * k + 14
}

/// How many entries ahead the row of one is asked for.
const AHEAD: usize = 4;

/// The buffers of the queries of a task.
pub struct Buffers<'a> {
    pub k: usize,
    /// `capacity(k)` entries a query.
    pub entries: &'a mut [Entry],
    /// Entries in use.
    pub counts: &'a mut [u64],
    /// What a score must exceed; infinite for padding.
    pub thresholds: &'a mut [f32],
    /// Lengths of the queries, or what stands in their place in the slack.
    pub lengths: &'a [f32],
    /// Lengths of all points.
    pub norms: &'a [f32],
    pub slack: Slack,
    pub unit: f32,
    pub exact: Exact<'a>,
    pub isa: Isa,
    /// What was subtracted from both sides.
    pub shift: &'a [f32],
    /// The number of the first query.
    pub first: usize,
    /// Room for the keys of a buffer.
    pub keyed: &'a mut [[u64; 2]],
    /// Room for the lower bounds of a buffer.
    pub lower: &'a mut [f32],
}

impl Buffers<'_> {
    #[inline(always)]
    fn push(&mut self, query: usize, upper: f32, index: usize) {
        let room = capacity(self.k);
        let count = self.counts[query] as usize;
        self.entries[query * room + count] = entry(upper, index);
        self.counts[query] = count as u64 + 1;
        if count + 1 == room {
            self.compact(query);
        }
    }

    /// The lower bound of an entry.
    fn lower_bound(&self, query: usize, e: Entry) -> f32 {
        let (up, q) = (upper(e), self.lengths[query]);
        // A little more than twice the slack, for the roundings of the slack itself.
        let twice = 2.01 * self.unit;
        match self.slack {
            Slack::Square => {
                let x = self.norms[index(e)];
                up - twice * (q * x + x * x)
            }
            Slack::Product => up - twice * (q * self.norms[index(e)]),
            Slack::Angle => up - twice * q,
            Slack::Relative => up - twice * up.abs(),
        }
    }

    /// Makes room in a full buffer.
    #[cold]
    #[inline(never)]
    fn compact(&mut self, query: usize) {
        self.shrink(query);
        let room = capacity(self.k);
        if self.counts[query] as usize > room - 7 {
            self.measure(query);
        }
    }

    /// Drops what cannot be among the k best by the bounds.
    pub fn shrink(&mut self, query: usize) {
        let room = capacity(self.k);
        let count = self.counts[query] as usize;
        if count <= self.k {
            return;
        }
        for i in 0..count {
            self.lower[i] = self.lower_bound(query, self.entries[query * room + i]);
        }
        let lower = &mut self.lower[..count];
        let (_, kth, _) = lower.select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
        let threshold = kth.max(self.thresholds[query]);
        self.thresholds[query] = threshold;
        let entries = &mut self.entries[query * room..][..count];
        let mut kept = 0;
        for i in 0..count {
            let e = entries[i];
            entries[kept] = e;
            kept += usize::from(upper(e) >= threshold);
        }
        self.counts[query] = kept as u64;
    }

    /// Measures what is left and hands the k best out, in order. Places that there is nothing for are
    /// infinitely far.
    #[inline(always)]
    pub fn rank<S: Double>(
        &mut self,
        simd: S,
        query: usize,
        put: &impl Fn(usize, usize, f64, u32),
    ) {
        self.shrink(query);
        let count = self.counts[query] as usize;
        let number = self.first + query;
        let entries = &self.entries[query * capacity(self.k)..][..count];
        let keyed = &mut self.keyed[..count];
        for (i, (keyed, &e)) in keyed.iter_mut().zip(entries).enumerate() {
            // Rows all over the data.
            if let Some(&next) = entries.get(i + AHEAD) {
                self.exact.data.prefetch(simd, index(next)..index(next) + 1);
            }
            let key = self.exact.key(simd, number, index(e));
            *keyed = [ordered(key), index(e) as u64];
        }
        keyed.sort_unstable();
        for rank in 0..self.k {
            match keyed.get(rank) {
                Some(&[key, index]) => put(number, rank, unordered(key), index as u32),
                None => put(number, rank, f64::INFINITY, u32::MAX),
            }
        }
    }

    /// Keeps the k best by measuring all.
    fn measure(&mut self, query: usize) {
        let room = capacity(self.k);
        let count = self.counts[query] as usize;
        let number = self.first + query;
        let entries = &mut self.entries[query * room..][..count];
        let keyed = &mut self.keyed[..count];
        let exact = self.exact;
        dispatch!(self.isa, simd => for (keyed, &e) in keyed.iter_mut().zip(entries.iter()) {
            // The number orders equal keys, and the upper bound comes along behind it.
            let key = exact.key(simd, number, index(e));
            *keyed = [ordered(key), e.rotate_left(32)];
        });
        let (_, &mut [kth, _], _) = keyed.select_nth_unstable(self.k - 1);
        for (e, keyed) in entries.iter_mut().zip(&keyed[..self.k]) {
            *e = keyed[1].rotate_right(32);
        }
        self.counts[query] = self.k as u64;
        let unit = f64::from(self.unit);
        let (portable, kth) = (Portable::new(), unordered(kth));
        let threshold = exact.score(portable, number, kth, unit, self.shift);
        // The cast may round up: a step down is enough.
        let threshold = (threshold as f32).next_down();
        self.thresholds[query] = threshold.max(self.thresholds[query]);
    }
}

/// Scores of a panel of points, on their way to the buffers.
pub struct Select<'b, 'a, S: Simd, const SCALED: bool> {
    pub buffers: &'b mut Buffers<'a>,
    /// The number of the first point.
    pub at: usize,
    /// Factors of the points, if `SCALED`.
    pub factor: [S::F32; VECTORS],
    /// What is subtracted; infinite for lanes without a point.
    pub minus: [S::F32; VECTORS],
    /// What is added, times the length of the query.
    pub plus: [S::F32; VECTORS],
    /// The largest element of `plus`.
    pub most: S::F32,
}

impl<S: Simd, const SCALED: bool> Select<'_, '_, S, SCALED> {
    /// A score as buffers hold it, but for the slack.
    #[inline(always)]
    fn centred(&self, simd: S, v: usize, score: S::F32) -> S::F32 {
        let score = match SCALED {
            true => simd.mul(score, self.factor[v]),
            false => score,
        };
        simd.sub(score, self.minus[v])
    }

    /// The threshold and the length of a query, in all lanes.
    ///
    /// # Safety
    /// There is such a query.
    #[inline(always)]
    unsafe fn limits(&self, simd: S, query: usize) -> (S::F32, S::F32) {
        // SAFETY: as the caller says.
        unsafe {
            (
                simd.splat(*self.buffers.thresholds.get_unchecked(query)),
                simd.splat(*self.buffers.lengths.get_unchecked(query)),
            )
        }
    }
}

impl<S: Simd, const SCALED: bool> Reduce<S> for Select<'_, '_, S, SCALED> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn tile<const MR: usize>(&mut self, simd: S, first: usize, scores: &[[S::F32; VECTORS]; MR]) {
        assert!(first + MR <= self.buffers.thresholds.len());
        assert!(first + MR <= self.buffers.lengths.len());
        // Few tiles have a score that counts: a coarser bound, the same for all points, tells so in two
        // operations a score.
        let mut hit = simd.first(0);
        for r in 0..MR {
            // SAFETY: inside of both, as asserted.
            let (threshold, length) = unsafe { self.limits(simd, first + r) };
            let mut best = self.centred(simd, 0, scores[r][0]);
            for v in 1..VECTORS {
                best = simd.max(best, self.centred(simd, v, scores[r][v]));
            }
            let limit = simd.neg_fma(length, self.most, threshold);
            hit = simd.or(hit, simd.gt(best, limit));
        }
        if !simd.any(hit) {
            return;
        }
        for r in 0..MR {
            let query = first + r;
            // SAFETY: inside of both, as asserted.
            let (threshold, length) = unsafe { self.limits(simd, query) };
            let mut upper = [simd.zero(); VECTORS];
            let mut bits = 0u64;
            for v in 0..VECTORS {
                let score = self.centred(simd, v, scores[r][v]);
                upper[v] = simd.fma(length, self.plus[v], score);
                let above = simd.mask_bits(simd.gt(upper[v], threshold));
                bits |= u64::from(above) << (v * S::LANES);
            }
            if bits != 0 {
                let mut values = [0.0; VECTORS * MAX_LANES];
                for v in 0..VECTORS {
                    simd.store(&mut values[v * S::LANES..], upper[v]);
                }
                while bits != 0 {
                    let lane = bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    self.buffers.push(query, values[lane], self.at + lane);
                }
            }
        }
    }
}
