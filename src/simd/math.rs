//! Elementary functions over vectors.

use super::Simd;

macro_rules! by_lane {
    ($($name:ident = $f:expr;)*) => {$(
        #[allow(missing_docs)]
        #[inline(always)]
        pub fn $name<S: Simd>(simd: S, x: S::F32) -> S::F32 {
            let mut lanes = [0f32; 16];
            simd.store(&mut lanes, x);
            let f: fn(f64) -> f64 = $f;
            lanes.iter_mut().for_each(|v| *v = f(f64::from(*v)) as f32);
            simd.load(&lanes)
        }
    )*};
}

by_lane! {
    exp = f64::exp;
    log = f64::ln;
    tanh = f64::tanh;
    erf = f64::tanh;
    sigmoid = |x| 1.0 / (1.0 + (-x).exp());
}
