//! Where the bins of a RoI sample the map, one axis at a time.
//!
//! Bilinear sampling of a regular grid is separable: the weight of a pixel is the
//! product of a weight of its row and a weight of its column, and a sample lies in
//! the map when both of its coordinates do. So a RoI is two short lists: for every row of bins which rows of pixels it
//! touches and how much, for every column of bins which columns. Samples of a bin
//! that share a pixel share a tap.
//!
//! Every bin is given the same number of taps, so that the loops over them do not
//! change their length from bin to bin: a bin with fewer repeats its last tap, for
//! a sum with the weight split.

/// How a RoI is laid on the map along one axis, by the arithmetic of torchvision's `roi_align`.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    start: f32,
    /// Pixels of a bin.
    bin: f32,
    /// Samples of a bin, a whole number; 0 for none.
    samples: f32,
    bins: usize,
    /// Pixels of the map.
    limit: usize,
}

/// A sample between two pixels.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) low: i32,
    pub(super) high: i32,
    pub(super) weight_low: f32,
    pub(super) weight_high: f32,
}

/// From that many samples of a bin on, positions are found by division rather than by walking
/// all of them, and in f64.
const WALKED: f32 = 1024.0;
/// The most that `sampling_ratio` may be.
pub(super) const MOST_SAMPLES: i32 = 1024;

impl Axis {
    /// `ratio` samples of a bin, or as many as a bin has pixels when it is not positive.
    pub(super) fn new(
        [low, high]: [f32; 2],
        scale: f32,
        aligned: bool,
        ratio: i32,
        bins: usize,
        limit: usize,
    ) -> Axis {
        let offset = if aligned { 0.5 } else { 0.0 };
        let start = low * scale - offset;
        let mut size = high * scale - offset - start;
        if !aligned && size < 1.0 {
            size = 1.0;
        }
        let bin = size / bins as f32;
        let samples = match ratio > 0 {
            true => ratio as f32,
            false => bin.ceil().max(0.0),
        };
        let sound = start.is_finite() && size.is_finite();
        Axis {
            start,
            bin,
            samples: if sound { samples } else { 0.0 },
            bins,
            limit,
        }
    }

    /// Taps that a RoI may need at most, for maps of `limit` pixels. With adaptive sampling,
    /// samples are half a pixel apart or more, so that at most `2 * limit + 4` lie in the map or there is
    /// one a bin; bins with as many taps each as the fullest take at most three times that.
    pub(super) fn capacity(ratio: i32, bins: usize, limit: usize) -> usize {
        match ratio > 0 {
            true => bins.saturating_mul(2 * ratio as usize),
            false => limit
                .saturating_mul(16)
                .saturating_add(bins.saturating_mul(4))
                .saturating_add(64),
        }
    }

    /// Where a position samples; `None` outside of the map.
    #[inline(always)]
    fn sample(&self, at: f32) -> Option<Sample> {
        let last = self.limit as i32 - 1;
        if !(at >= -1.0 && at <= self.limit as f32) || last < 0 {
            return None;
        }
        let at = at.max(0.0);
        let low = at as i32;
        if low >= last {
            return Some(Sample {
                low: last,
                high: last,
                weight_low: 1.0,
                weight_high: 0.0,
            });
        }
        let weight_high = at - low as f32;
        Some(Sample {
            low,
            high: low + 1,
            weight_low: 1.0 - weight_high,
            weight_high,
        })
    }

    /// Calls `each` for the samples of a bin that lie in the map, in their order.
    #[inline(always)]
    fn each_sample(&self, bin: usize, mut each: impl FnMut(Sample)) {
        if self.samples <= WALKED {
            let base = self.start + bin as f32 * self.bin;
            for k in 0..self.samples as usize {
                let at = base + (k as f32 + 0.5) * self.bin / self.samples;
                if let Some(sample) = self.sample(at) {
                    each(sample);
                }
            }
            return;
        }
        // Only adaptive grids are that large, and their samples are half a pixel to a pixel apart.
        let step = f64::from(self.bin) / f64::from(self.samples);
        let base = f64::from(self.start) + bin as f64 * f64::from(self.bin) + 0.5 * step;
        let most = f64::from(self.samples);
        let first = ((-1.0 - base) / step).floor().clamp(0.0, most);
        let end = ((self.limit as f64 - base) / step + 1.0)
            .ceil()
            .clamp(0.0, most);
        let mut k = first;
        for _ in 0..(end - first).min(2.0 * self.limit as f64 + 8.0) as usize {
            if let Some(sample) = self.sample((base + k * step) as f32) {
                each(sample);
            }
            k += 1.0;
        }
    }
}

/// The taps of the bins of a RoI along one axis.
pub(super) struct Taps<'a> {
    /// Bins before and from which on there are no taps.
    pub(super) first: usize,
    pub(super) end: usize,
    /// Taps of every bin between.
    pub(super) each: usize,
    index: &'a mut [i32],
    weight: &'a mut [f32],
    /// Taps of a bin before they were made equally many.
    len: &'a mut [i32],
    /// 1 for bins with samples outside of the map.
    outside: &'a mut [i32],
    filled: usize,
}

impl<'a> Taps<'a> {
    /// 32-bit words of memory for `bins` bins and `capacity` taps.
    pub(super) fn words(bins: usize, capacity: usize) -> usize {
        2 * bins + 2 * capacity
    }

    /// Empty lists in that memory.
    pub(super) fn new(memory: &'a mut [i32], bins: usize, capacity: usize) -> Taps<'a> {
        let (len, memory) = memory.split_at_mut(bins);
        let (outside, memory) = memory.split_at_mut(bins);
        let (index, memory) = memory.split_at_mut(capacity);
        let weight = &mut memory[..capacity];
        // SAFETY: both are four bytes of which every pattern is a value.
        let weight =
            unsafe { std::slice::from_raw_parts_mut(weight.as_mut_ptr().cast(), weight.len()) };
        Taps {
            first: 0,
            end: 0,
            each: 0,
            index,
            weight,
            len,
            outside,
            filled: 0,
        }
    }

    /// Pixels of a bin that has taps.
    #[inline(always)]
    pub(super) fn index(&self, bin: usize) -> &[i32] {
        let at = (bin - self.first) * self.each;
        &self.index[at..at + self.each]
    }

    /// Their weights.
    #[inline(always)]
    pub(super) fn weight(&self, bin: usize) -> &[f32] {
        let at = (bin - self.first) * self.each;
        &self.weight[at..at + self.each]
    }

    /// The bin has taps.
    #[inline(always)]
    pub(super) fn has(&self, bin: usize) -> bool {
        self.first <= bin && bin < self.end && self.len[bin] > 0
    }

    /// The pixels of a bin that has taps, none of them repeated for the sake of number.
    #[inline(always)]
    pub(super) fn own(&self, bin: usize) -> &[i32] {
        &self.index(bin)[..self.len[bin] as usize]
    }

    /// Samples of the bin lie outside of the map.
    #[inline(always)]
    pub(super) fn outside(&self, bin: usize) -> bool {
        self.outside[bin] != 0
    }

    /// The pixels of all taps.
    pub(super) fn all(&mut self) -> &mut [i32] {
        &mut self.index[..self.filled]
    }

    #[inline(always)]
    fn push(&mut self, index: i32, weight: f32) {
        self.index[self.filled] = index;
        self.weight[self.filled] = weight;
        self.filled += 1;
    }

    /// Taps of the mean of each bin. Pixels of weight zero have none.
    pub(super) fn average(&mut self, axis: &Axis) {
        let scale = 1.0 / axis.samples;
        self.fill(axis.bins, true, |taps, bin| {
            let start = taps.filled;
            let mut add = |index: i32, weight: f32| {
                if weight == 0.0 {
                    return;
                }
                let weight = weight * scale;
                // Samples are in order, so that a pixel seen before is one of the last two.
                for back in 1..=2 {
                    let at = taps.filled.wrapping_sub(back);
                    if taps.filled >= start + back && taps.index[at] == index {
                        taps.weight[at] += weight;
                        return;
                    }
                }
                taps.push(index, weight);
            };
            axis.each_sample(bin, |s| {
                add(s.low, s.weight_low);
                add(s.high, s.weight_high);
            });
        });
    }

    /// Two taps for each sample: its neighbours.
    pub(super) fn corners(&mut self, axis: &Axis) {
        self.fill(axis.bins, false, |taps, bin| {
            let start = taps.filled;
            axis.each_sample(bin, |s| {
                taps.push(s.low, s.weight_low);
                taps.push(s.high, s.weight_high);
            });
            let inside = (taps.filled - start) / 2;
            taps.outside[bin] = i32::from((inside as f32) < axis.samples);
        });
    }

    /// A tap for each pixel of the range that `range` gives for a bin.
    pub(super) fn ranges(&mut self, bins: usize, range: impl Fn(usize) -> std::ops::Range<i32>) {
        self.fill(bins, false, |taps, bin| {
            for pixel in range(bin) {
                taps.push(pixel, 1.0);
            }
        });
    }

    #[inline(always)]
    fn fill(&mut self, bins: usize, split: bool, mut bin_taps: impl FnMut(&mut Self, usize)) {
        (self.filled, self.each) = (0, 1);
        (self.first, self.end) = (bins, bins);
        for bin in 0..bins {
            let start = self.filled;
            bin_taps(self, bin);
            let len = self.filled - start;
            self.len[bin] = len as i32;
            self.each = self.each.max(len);
            if len > 0 {
                self.first = self.first.min(bin);
                self.end = bin + 1;
            }
        }
        if self.filled == 0 {
            self.end = self.first;
            return;
        }
        // From the last bin down, each to where it has room for as many as the fullest.
        let mut from = self.filled;
        self.filled = (self.end - self.first) * self.each;
        for bin in (self.first..self.end).rev() {
            let len = self.len[bin] as usize;
            from -= len;
            let to = (bin - self.first) * self.each;
            self.index.copy_within(from..from + len, to);
            self.weight.copy_within(from..from + len, to);
            for at in to + len..to + self.each {
                let last = at.max(to + 1) - 1;
                (self.index[at], self.weight[at]) = match at == to {
                    true => (0, 0.0),
                    false => {
                        if split {
                            self.weight[last] *= 0.5;
                        }
                        (self.index[last], self.weight[last])
                    }
                };
            }
        }
    }
}
