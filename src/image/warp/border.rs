//! What lies outside of an image.

/// The pixels beyond the border of an image `abcd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Border {
    /// `vv|abcd|vv`: a value.
    #[default]
    Constant,
    /// `aa|abcd|dd`: the border itself.
    Replicate,
    /// `ba|abcd|dc`: mirrored at the edge of the border pixel.
    Reflect,
    /// `cb|abcd|cb`: mirrored at the centre of the border pixel.
    Reflect101,
    /// `cd|abcd|ab`: repeated.
    Wrap,
}

/// Coordinates from here on have no fraction, and an integer that only wider types than `i32` hold.
pub(super) const FAR: f32 = (1u32 << 30) as f32;

impl Border {
    /// The pixel that stands for index `at` of `len` (at least 1), if there is one.
    #[inline(always)]
    pub(super) fn index(self, at: i32, len: i32) -> Option<i32> {
        if (0..len).contains(&at) {
            return Some(at);
        }
        if self == Border::Constant {
            return None;
        }
        self.folded(at, len)
    }

    /// As [`index`](Border::index) of a pixel that is outside. Not inlined, for its divisions.
    #[inline(never)]
    fn folded(self, at: i32, len: i32) -> Option<i32> {
        let (at, n) = (i64::from(at), i64::from(len));
        let folded = match self {
            Border::Constant => return None,
            Border::Replicate => at.clamp(0, n - 1),
            Border::Wrap => at.rem_euclid(n),
            Border::Reflect => {
                let at = at.rem_euclid(2 * n);
                at.min(2 * n - 1 - at)
            }
            Border::Reflect101 if n == 1 => 0,
            Border::Reflect101 => {
                let at = at.rem_euclid(2 * n - 2);
                at.min(2 * n - 2 - at)
            }
        };
        Some(folded as i32)
    }

    /// A coordinate of the same samples whose integer part is safely an `i32`, if there is one:
    /// a NaN names no place, and infinity none in a pattern that goes on for ever.
    #[inline(always)]
    pub(super) fn near(self, at: f32, len: i32) -> Option<f32> {
        if at.abs() < FAR {
            return Some(at);
        }
        if at.is_nan() {
            return None;
        }
        let period = match self {
            // So far outside that nothing of any kernel is inside.
            Border::Constant | Border::Replicate => {
                return Some(at.clamp(-8.0, (i64::from(len) + 8) as f32));
            }
            Border::Wrap => f64::from(len),
            Border::Reflect => 2.0 * f64::from(len),
            Border::Reflect101 => 2.0 * f64::from(len.max(2) - 1),
        };
        // The remainder is exact, and so is the sum: both are integers.
        let folded = f64::from(at).rem_euclid(period);
        at.is_finite().then_some(folded as f32)
    }
}
