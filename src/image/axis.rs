//! Where along one axis a destination pixel takes its samples from.

/// How positions in the destination map to the source, with `scale` the size of
/// the source over that of the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Coordinates {
    /// What OpenCV does: `HalfPixel` for every interpolation but nearest, which takes `Asymmetric`.
    #[default]
    Default,
    /// `(d + 1/2) scale - 1/2`: pixels are areas, the images' borders coincide.
    HalfPixel,
    /// `d (source - 1) / (destination - 1)`: pixels are points, the corner pixels coincide.
    AlignCorners,
    /// `d scale`: the first pixels coincide.
    Asymmetric,
}

/// The map of one axis.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    coordinates: Coordinates,
    /// Fractions are those of `INTER_AREA`.
    area: bool,
    source: usize,
    destination: usize,
    scale: f64,
}

/// Two neighbouring samples and the weight of the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tap {
    pub(super) first: usize,
    pub(super) second: usize,
    pub(super) fraction: f32,
}

impl Axis {
    /// The map of `destination` positions to `source` positions; neither is zero.
    /// `Default` is to be resolved by the caller.
    pub(super) fn new(coordinates: Coordinates, source: usize, destination: usize) -> Axis {
        let scale = match coordinates {
            Coordinates::AlignCorners if destination == 1 => 0.0,
            Coordinates::AlignCorners => (source - 1) as f64 / (destination - 1) as f64,
            // Not source / destination, which rounds differently: OpenCV is given the
            // inverse and inverts it again.
            _ => 1.0 / (destination as f64 / source as f64),
        };
        Axis {
            coordinates,
            area: false,
            source,
            destination,
            scale,
        }
    }

    /// What OpenCV's `INTER_AREA` does when a side of the image grows: the sample is the one under the
    /// left border of the destination pixel, and the next one enters by the part of the pixel that lies beyond it.
    pub(super) fn area(source: usize, destination: usize) -> Axis {
        Axis {
            area: true,
            ..Axis::new(Coordinates::Asymmetric, source, destination)
        }
    }

    /// The whole part and the fraction of the position, in the precision of OpenCV.
    pub(super) fn position(&self, d: usize) -> (i64, f32) {
        if self.area {
            let inverse = self.destination as f64 / self.source as f64;
            let whole = (d as f64 * self.scale) as i64;
            let beyond = ((d + 1) as f64 - (whole + 1) as f64 * inverse) as f32;
            let fraction = beyond.max(0.0);
            return (whole, fraction - fraction as i64 as f32);
        }
        let x = match self.coordinates {
            Coordinates::HalfPixel | Coordinates::Default => (d as f64 + 0.5) * self.scale - 0.5,
            _ => d as f64 * self.scale,
        };
        let x = x as f32;
        // A floor that is no call into libm on the baseline instruction set.
        let mut whole = x as i64;
        whole -= i64::from(whole as f32 > x);
        (whole, x - whole as f32)
    }

    /// The centre of a destination sample in source samples, their borders being whole numbers.
    pub(super) fn centre(&self, d: usize) -> f64 {
        match self.coordinates {
            Coordinates::HalfPixel | Coordinates::Default => (d as f64 + 0.5) * self.scale,
            _ => d as f64 * self.scale + 0.5,
        }
    }

    /// Source samples in a destination sample.
    pub(super) fn scale(&self) -> f64 {
        self.scale
    }

    /// Samples of the source.
    pub(super) fn source(&self) -> usize {
        self.source
    }

    /// Along x: outside of the first and last sample the nearest one has all the weight.
    pub(super) fn across(&self, d: usize) -> Tap {
        let (whole, fraction) = self.position(d);
        let last = self.source - 1;
        match usize::try_from(whole) {
            Err(_) => Tap {
                first: 0,
                second: 1.min(last),
                fraction: 0.0,
            },
            Ok(at) if at >= last => Tap {
                first: last,
                second: last,
                fraction: 0.0,
            },
            Ok(at) => Tap {
                first: at,
                second: at + 1,
                fraction,
            },
        }
    }

    /// Along y: outside, both samples are the nearest one and share its weight. (In
    /// fixed point this is not quite the same as along x, and OpenCV does it so.)
    pub(super) fn down(&self, d: usize) -> Tap {
        let (whole, fraction) = self.position(d);
        let last = self.source as i64 - 1;
        Tap {
            first: whole.clamp(0, last) as usize,
            second: (whole + 1).clamp(0, last) as usize,
            fraction,
        }
    }

    /// The nearest sample. `Asymmetric`: the one at or before the position, as OpenCV's
    /// `INTER_NEAREST` and torch's `nearest`. `HalfPixel`: the one whose area holds the centre of
    /// the destination pixel, computed without rounding: torch's `nearest-exact`;
    /// `AlignCorners`: the closest. Ties go to the larger index.
    pub(super) fn nearest(&self, d: usize) -> usize {
        let (source, destination) = (self.source as u128, self.destination as u128);
        let at = match self.coordinates {
            Coordinates::Asymmetric | Coordinates::Default => (d as f64 * self.scale) as usize,
            Coordinates::HalfPixel => ((2 * d as u128 + 1) * source / (2 * destination)) as usize,
            Coordinates::AlignCorners if destination == 1 => 0,
            Coordinates::AlignCorners => {
                let steps = destination - 1;
                ((2 * d as u128 * (source - 1) + steps) / (2 * steps)) as usize
            }
        };
        at.min(self.source - 1)
    }

    /// Exactly two samples to one.
    pub(super) fn is_half(&self) -> bool {
        self.source == 2 * self.destination
    }
}

/// The weights of both samples in 2048ths, each rounded on its own, ties to even.
pub(super) fn fixed_point(fraction: f32) -> (i16, i16) {
    // Adding 2^23 rounds to an integer, without the call that the baseline makes of `round_ties_even`.
    const INTEGERS: f32 = 8_388_608.0;
    let round = |weight: f32| ((weight * 2048.0 + INTEGERS) - INTEGERS) as i16;
    (round(1.0 - fraction), round(fraction))
}
