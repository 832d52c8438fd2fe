//! The nearest candidate of each point, as a reduction of score tiles.

use crate::cluster::distance::tile::{Reduce, VECTORS};
use crate::simd::{MAX_LANES, Simd};

/// The best score of each point, the lowest index that has it and, with `SECOND`, the score of the
/// runner-up, which tells how close the call was.
pub struct Nearest<S: Simd, const SECOND: bool> {
    pub best: [S::F32; VECTORS],
    pub second: [S::F32; VECTORS],
    pub index: [S::I32; VECTORS],
    scores: [[[f32; MAX_LANES]; VECTORS]; 12],
}

impl<S: Simd, const SECOND: bool> Nearest<S, SECOND> {
    #[inline(always)]
    pub fn new(simd: S) -> Nearest<S, SECOND> {
        let none = simd.splat(f32::NEG_INFINITY);
        Nearest {
            best: [none; VECTORS],
            second: [none; VECTORS],
            index: [simd.splat_i32(0); VECTORS],
            scores: [[[0.0; MAX_LANES]; VECTORS]; 12],
        }
    }
}

impl<S: Simd, const SECOND: bool> Reduce<S> for Nearest<S, SECOND> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn tile<const MR: usize>(&mut self, simd: S, first: usize, scores: &[[S::F32; VECTORS]; MR]) {
        // From memory: the scores of a tile fill the registers, and a state that is spilled between
        // them would wait for its own stores.
        for r in 0..MR {
            for v in 0..VECTORS {
                simd.store(&mut self.scores[r][v], scores[r][v]);
            }
        }
        let scores = std::hint::black_box(&self.scores);
        for v in 0..VECTORS {
            let (mut best, mut second) = (self.best[v], self.second[v]);
            let (mut index, mut at) = (self.index[v], simd.splat_i32(first as i32));
            for r in 0..MR {
                let score = simd.load(&scores[r][v]);
                // Strictly: of equal ones the first stays.
                index = simd.select_i32(simd.gt(score, best), at, index);
                if SECOND {
                    second = simd.max(simd.min(score, best), second);
                }
                best = simd.max(score, best);
                at = simd.add_i32(at, simd.splat_i32(1));
            }
            (self.best[v], self.second[v], self.index[v]) = (best, second, index);
        }
    }
}
