//! The nearest candidate of each point, as a reduction of score tiles.

use crate::cluster::distance::tile::{Reduce, VECTORS};
use crate::simd::Simd;

/// The best score of each point, the lowest index that has it and, with `SECOND`, the score of the
/// runner-up, which tells how close the call was.
pub struct Nearest<S: Simd, const SECOND: bool> {
    pub best: [S::F32; VECTORS],
    pub second: [S::F32; VECTORS],
    pub index: [S::I32; VECTORS],
}

impl<S: Simd, const SECOND: bool> Nearest<S, SECOND> {
    #[inline(always)]
    pub fn new(simd: S) -> Nearest<S, SECOND> {
        let none = simd.splat(f32::NEG_INFINITY);
        Nearest {
            best: [none; VECTORS],
            second: [none; VECTORS],
            index: [simd.splat_i32(0); VECTORS],
        }
    }
}

impl<S: Simd, const SECOND: bool> Reduce<S> for Nearest<S, SECOND> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn tile<const MR: usize>(&mut self, simd: S, first: usize, scores: &[[S::F32; VECTORS]; MR]) {
        for r in 0..MR {
            let index = simd.splat_i32((first + r) as i32);
            for v in 0..VECTORS {
                let (score, best) = (scores[r][v], self.best[v]);
                // Strictly: of equal ones the first stays.
                let better = simd.gt(score, best);
                if SECOND {
                    self.second[v] = simd.max(simd.min(score, best), self.second[v]);
                }
                self.best[v] = simd.max(score, best);
                self.index[v] = simd.select_i32(better, index, self.index[v]);
            }
        }
    }
}
