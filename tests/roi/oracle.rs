//! The operators from their definitions: every sample of every bin, one after the other. Positions are f32 as
//! torchvision's are, sums f64.

use crate::case::Maps;
use omma::roi::{RoiAlignMode, RoiAlignParams, RoiPoolParams};

/// Both neighbours of a sample and their weights, or none outside of the map.
type Sample = Option<[(usize, f32); 2]>;

/// The samples of the bins of a RoI along one axis.
fn samples(p: &RoiAlignParams, low: f32, high: f32, bins: usize, limit: usize) -> Vec<Vec<Sample>> {
    let (scale, offset) = (p.spatial_scale as f32, if p.aligned { 0.5 } else { 0.0 });
    let start = low * scale - offset;
    let mut size = high * scale - offset - start;
    if !p.aligned {
        size = size.max(1.0);
    }
    let bin = size / bins as f32;
    let count = match p.sampling_ratio > 0 {
        true => p.sampling_ratio as usize,
        false => bin.ceil() as usize,
    };
    let sample = |at: f32| {
        if at < -1.0 || at > limit as f32 || limit == 0 {
            return None;
        }
        let at = at.max(0.0);
        let low = at as usize;
        if low + 1 >= limit {
            return Some([(limit - 1, 1.0), (limit - 1, 0.0)]);
        }
        let l = at - low as f32;
        Some([(low, 1.0 - l), (low + 1, l)])
    };
    (0..bins)
        .map(|b| {
            let place = |k: usize| start + b as f32 * bin + (k as f32 + 0.5) * bin / count as f32;
            (0..count).map(|k| sample(place(k))).collect()
        })
        .collect()
}

/// Calls `each(index of the output, image, channel, samples of rows, samples of columns)`.
fn each_bin(
    p: &RoiAlignParams,
    map: [usize; 4],
    rois: &[f32],
    mut each: impl FnMut(usize, usize, usize, &[Sample], &[Sample]),
) {
    let ([_, channels, h, w], [ph, pw]) = (map, p.output_size);
    for (k, roi) in rois.chunks(5).enumerate() {
        let rows = samples(p, roi[2], roi[4], ph, h);
        let cols = samples(p, roi[1], roi[3], pw, w);
        for c in 0..channels {
            for (b, row) in rows.iter().enumerate() {
                for (a, col) in cols.iter().enumerate() {
                    let at = ((k * channels + c) * ph + b) * pw + a;
                    each(at, roi[0] as usize, c, row, col);
                }
            }
        }
    }
}

/// The value of a bin, and the pixels and weights of its gradient.
fn bin(
    mode: RoiAlignMode,
    rows: &[Sample],
    cols: &[Sample],
    pixel: impl Fn(usize, usize) -> f64,
) -> (f64, Vec<(usize, usize, f64)>) {
    let count = (rows.len() * cols.len()).max(1) as f64;
    let (mut sum, mut best, mut all) = (0.0, None, Vec::new());
    let (mut outside, mut winner) = (false, Vec::new());
    for (row, col) in rows.iter().flat_map(|r| cols.iter().map(move |c| (r, c))) {
        let (Some(row), Some(col)) = (row, col) else {
            outside = true;
            continue;
        };
        let corners: Vec<_> = row
            .iter()
            .flat_map(|&(y, wy)| col.iter().map(move |&(x, wx)| (y, x, f64::from(wy * wx))))
            .collect();
        let value: f64 = corners.iter().map(|&(y, x, w)| w * pixel(y, x)).sum();
        sum += value;
        all.extend(corners.iter().map(|&(y, x, w)| (y, x, w / count)));
        if mode == RoiAlignMode::MaxSample {
            if best.is_none_or(|b| value > b) {
                (best, winner) = (Some(value), corners);
            }
        } else {
            for (y, x, w) in corners {
                let value = w * pixel(y, x);
                if best.is_none_or(|b| value > b) {
                    (best, winner) = (Some(value), vec![(y, x, w)]);
                }
            }
        }
    }
    if mode == RoiAlignMode::Average {
        return (sum / count, all);
    }
    match best {
        Some(best) if !outside || best >= 0.0 => (best, winner),
        _ => (0.0, Vec::new()),
    }
}

pub fn align(p: &RoiAlignParams, x: &Maps, rois: &[f32]) -> Vec<f64> {
    let mut out = vec![0.0; rois.len() / 5 * x.shape[1] * p.output_size[0] * p.output_size[1]];
    each_bin(p, x.shape, rois, |at, n, c, rows, cols| {
        out[at] = bin(p.mode, rows, cols, |y, col| f64::from(x.get(n, c, y, col))).0;
    });
    out
}

pub fn align_backward(p: &RoiAlignParams, dy: &Maps, rois: &[f32], x: &Maps) -> Vec<f64> {
    let [n, channels, h, w] = x.shape;
    let mut dx = vec![0.0; n * channels * h * w];
    each_bin(p, x.shape, rois, |at, n, c, rows, cols| {
        let (_, pixels) = bin(p.mode, rows, cols, |y, col| f64::from(x.get(n, c, y, col)));
        for (y, col, weight) in pixels {
            dx[((n * channels + c) * h + y) * w + col] += f64::from(dy.data[at]) * weight;
        }
    });
    dx
}

/// Values and indices.
pub fn pool(p: &RoiPoolParams, x: &Maps, rois: &[f32]) -> (Vec<f32>, Vec<i32>) {
    let ([_, channels, h, w], [ph, pw]) = (x.shape, p.output_size);
    let scale = p.spatial_scale as f32;
    let range = |low: f32, high: f32, b: usize, bins: usize, limit: usize| {
        let (low, high) = ((low * scale).round() as i64, (high * scale).round() as i64);
        let size = (high - low + 1).max(1) as f32 / bins as f32;
        let start = (b as f32 * size).floor() as i64 + low;
        let end = ((b + 1) as f32 * size).ceil() as i64 + low;
        let clamp = |v: i64| v.clamp(0, limit as i64) as usize;
        clamp(start)..clamp(end)
    };
    let (mut values, mut indices) = (Vec::new(), Vec::new());
    for roi in rois.chunks(5) {
        for c in 0..channels {
            for (b, a) in (0..ph).flat_map(|b| (0..pw).map(move |a| (b, a))) {
                let rows = range(roi[2], roi[4], b, ph, h);
                let cols = range(roi[1], roi[3], a, pw, w);
                let empty = rows.is_empty() || cols.is_empty();
                let (mut best, mut index) = (if empty { 0.0 } else { f32::MIN }, -1);
                for (y, col) in rows.flat_map(|y| cols.clone().map(move |col| (y, col))) {
                    let v = x.get(roi[0] as usize, c, y, col);
                    if v > best {
                        (best, index) = (v, (y * w + col) as i32);
                    }
                }
                values.push(best);
                indices.push(index);
            }
        }
    }
    (values, indices)
}
