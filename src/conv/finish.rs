//! What is done to a finished sum, and where it goes: the way from a tile's registers to output and residual.

use super::params::Image;
use crate::simd::{Activation, MAX_LANES, Simd, leaky_relu, relu, relu6};

/// What happens to a sum on its way to memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    None,
    Relu,
    Relu6,
    /// Leaky ReLU and PReLU: a factor per output channel.
    Slope,
    /// Anything that is more than an instruction or two: through a buffer, so
    /// that its code exists once and not in every tile.
    Other,
}

/// Where sums go: output, residual, activation.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    pub out: Image,
    pub residual: Option<Image>,
    pub activation: Activation,
    /// A value per output channel, or none.
    pub slopes: &'a [f32],
    pub(super) kind: Kind,
}

impl<'a> Finish<'a> {
    /// `slopes` has a factor per output channel or is empty.
    pub(super) fn new(
        out: Image,
        residual: Option<Image>,
        activation: Activation,
        slopes: &'a [f32],
    ) -> Finish<'a> {
        let kind = match activation {
            _ if !slopes.is_empty() => Kind::Slope,
            Activation::None => Kind::None,
            Activation::Relu => Kind::Relu,
            Activation::Relu6 => Kind::Relu6,
            _ => Kind::Other,
        };
        Finish {
            out,
            residual,
            activation,
            slopes,
            kind,
        }
    }

    /// The same for other memory.
    pub(super) fn moved(&self, out: Image, residual: Option<Image>) -> Finish<'a> {
        Finish {
            out,
            residual,
            ..*self
        }
    }

    /// The offsets of an output element and of its residual.
    #[inline(always)]
    pub(super) fn place(&self, n: usize, c: usize, y: usize, x: usize) -> Place {
        Place {
            out: self.out.offset(n, c, y, x),
            residual: self.residual.map_or(0, |r| r.offset(n, c, y, x)),
        }
    }

    /// The way from one output channel to the next.
    #[inline(always)]
    pub(super) fn channel_step(&self) -> Place {
        Place {
            out: self.out.c,
            residual: self.residual.map_or(0, |r| r.c),
        }
    }

    /// The rows of an image, of `columns` columns, follow one another without a gap.
    pub(super) fn rows_together(&self, columns: usize) -> bool {
        let columns = columns as isize;
        self.columns_together()
            && self.out.y == columns
            && self.residual.is_none_or(|r| r.y == columns)
    }

    /// Neighbouring columns are neighbours in memory.
    pub(super) fn columns_together(&self) -> bool {
        self.out.x == 1 && self.residual.is_none_or(|r| r.x == 1)
    }

    /// Neighbouring channels are neighbours in memory.
    pub(super) fn channels_together(&self) -> bool {
        self.out.c == 1 && self.residual.is_none_or(|r| r.c == 1)
    }

    /// The slopes of a vector of channels from `channel` on; zeros where there are none.
    #[inline(always)]
    pub(super) fn slope_lanes<S: Simd>(&self, simd: S, channel: usize) -> S::F32 {
        simd.load_partial(&self.slopes[channel.min(self.slopes.len())..])
    }

    #[inline(always)]
    fn activate<S: Simd>(&self, simd: S, x: S::F32, slope: S::F32) -> S::F32 {
        match self.kind {
            Kind::None => x,
            Kind::Relu => relu(simd, x),
            Kind::Relu6 => relu6(simd, x),
            Kind::Slope => leaky_relu(simd, x, slope),
            Kind::Other => self.activation.apply(simd, x),
        }
    }

    /// Finishes a vector whose first `count` lanes are neighbours in memory, and stores it.
    ///
    /// # Safety
    /// They are inside of output and residual, and nobody else's.
    #[inline(always)]
    pub(super) unsafe fn store_run<S: Simd>(
        &self,
        simd: S,
        x: S::F32,
        slope: S::F32,
        place: Place,
        count: usize,
    ) {
        let mut x = x;
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(residual) = self.residual {
                let from = residual.ptr.wrapping_offset(place.residual);
                x = simd.add(x, simd.load_partial_ptr(from, count));
            }
            let to = self.out.ptr.wrapping_offset(place.out);
            simd.store_partial_ptr(to, count, self.activate(simd, x, slope));
        }
    }

    /// Finishes a vector whose first `count` lanes are neighbouring pixels of a row, and stores it.
    ///
    /// # Safety
    /// As for [`store_run`](Finish::store_run).
    #[inline(always)]
    pub(super) unsafe fn store_pixels<S: Simd>(
        &self,
        simd: S,
        x: S::F32,
        slope: S::F32,
        place: Place,
        count: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.columns_together() {
                return self.store_run(simd, x, slope, place, count);
            }
            let step = Place {
                out: self.out.x,
                residual: self.residual.map_or(0, |r| r.x),
            };
            let mut values = [0.0; MAX_LANES];
            if let Some(residual) = self.residual {
                for (i, value) in values.iter_mut().enumerate().take(count) {
                    let at = place.moved(step, i).residual;
                    *value = *residual.ptr.wrapping_offset(at);
                }
            }
            let x = simd.add(x, simd.load(&values));
            simd.store(&mut values, self.activate(simd, x, slope));
            for (i, value) in values.iter().enumerate().take(count) {
                *self.out.ptr.wrapping_offset(place.moved(step, i).out) = *value;
            }
        }
    }

    /// The sums need no more than a few instructions, applied in registers.
    pub(super) fn is_simple(&self) -> bool {
        !matches!(self.kind, Kind::Other)
    }
}

/// Offsets of an element of the output and of the residual.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub out: isize,
    pub residual: isize,
}

impl Place {
    /// The way from `start` to this place.
    #[inline(always)]
    pub(super) fn from(self, start: Place) -> Place {
        Place {
            out: self.out - start.out,
            residual: self.residual - start.residual,
        }
    }

    /// This place moved `count` steps.
    #[inline(always)]
    pub(super) fn moved(self, step: Place, count: usize) -> Place {
        Place {
            out: self.out + step.out * count as isize,
            residual: self.residual + step.residual * count as isize,
        }
    }
}
