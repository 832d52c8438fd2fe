//! The measure that decides: in f64, of the rows as they were given.

use crate::cluster::Metric;
use crate::cluster::distance::exact::{absolute, dot, squared};
use crate::cluster::distance::panels::Rows;
use crate::simd::Double;

/// Measures a query and a point.
#[derive(Clone, Copy)]
pub struct Exact<'a> {
    pub metric: Metric,
    pub queries: Rows<'a>,
    pub data: Rows<'a>,
}

impl Exact<'_> {
    /// The smaller, the nearer.
    #[inline(always)]
    pub fn key<S: Double>(&self, simd: S, query: usize, point: usize) -> f64 {
        let (q, x) = (self.queries.row(query), self.data.row(point));
        let key = match self.metric {
            Metric::Euclidean | Metric::SquaredEuclidean | Metric::Mahalanobis => {
                squared(simd, q, x)
            }
            Metric::Manhattan => absolute(simd, q, x),
            Metric::InnerProduct => -dot(simd, q, x),
            Metric::Cosine => {
                let lengths = (dot(simd, q, q) * dot(simd, x, x)).sqrt();
                match lengths > 0.0 {
                    true => (1.0 - dot(simd, q, x) / lengths).clamp(0.0, 2.0),
                    false => 1.0,
                }
            }
        };
        // One of the two zeros.
        key + 0.0
    }

    /// What is handed out for a key.
    #[inline(always)]
    pub fn distance(&self, key: f64) -> f32 {
        match self.metric {
            Metric::Euclidean | Metric::Mahalanobis => key.sqrt() as f32,
            Metric::InnerProduct => -key as f32,
            _ => key as f32,
        }
    }

    /// No more than the true score of a point with this key, when scores are off by `unit` and `shift` was
    /// subtracted from both sides.
    pub fn score<S: Double>(
        &self,
        simd: S,
        query: usize,
        key: f64,
        unit: f64,
        shift: &[f32],
    ) -> f64 {
        let q = self.queries.row(query);
        match self.metric {
            Metric::Euclidean | Metric::SquaredEuclidean | Metric::Mahalanobis => {
                if self.direct() {
                    return -key * (1.0 + 4.0 * unit);
                }
                let length = squared(simd, q, shift);
                0.5 * (length - key) - 4.0 * unit * (length + key)
            }
            Metric::Manhattan => -key * (1.0 + 4.0 * unit),
            Metric::InnerProduct => -key - unit * key.abs(),
            Metric::Cosine => (1.0 - key - 4.0 * unit) * dot(simd, q, q).sqrt(),
        }
    }

    /// Scores are made of differences and not of products.
    pub fn direct(&self) -> bool {
        match self.metric {
            Metric::Manhattan => true,
            Metric::Cosine | Metric::InnerProduct => false,
            _ => self.queries.depth() <= 3,
        }
    }
}
