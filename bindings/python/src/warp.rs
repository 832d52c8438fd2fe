//! Images at other places: warps, rotation, maps, grids.

use crate::call::{Call, Sizes};
use crate::context::Context;
use crate::image::Channels;
use crate::plan::Plan;
use crate::tensor::{DType, Tensor};
use omma::capi::{
    self, OMMA_INVALID_ARGUMENT, OMMA_SHAPE_MISMATCH, OmmaGridSampleParams, OmmaRemap,
    OmmaRemapParams, OmmaRotateParams, OmmaWarpAffineParams, OmmaWarpPerspectiveParams,
};
use pyo3::prelude::*;

const INTERPOLATIONS: [(&str, i32); 3] = [
    ("linear", capi::OMMA_INTERPOLATION_LINEAR),
    ("nearest", capi::OMMA_INTERPOLATION_NEAREST),
    ("cubic", capi::OMMA_INTERPOLATION_CUBIC),
];

const BORDERS: [(&str, i32); 5] = [
    ("constant", capi::OMMA_BORDER_CONSTANT),
    ("replicate", capi::OMMA_BORDER_REPLICATE),
    ("reflect", capi::OMMA_BORDER_REFLECT),
    ("reflect_101", capi::OMMA_BORDER_REFLECT_101),
    ("wrap", capi::OMMA_BORDER_WRAP),
];

/// torch's names.
const MODES: [(&str, i32); 3] = [
    ("bilinear", capi::OMMA_INTERPOLATION_LINEAR),
    ("nearest", capi::OMMA_INTERPOLATION_NEAREST),
    ("bicubic", capi::OMMA_INTERPOLATION_CUBIC),
];

const PADDINGS: [(&str, i32); 3] = [
    ("zeros", capi::OMMA_PADDING_ZEROS),
    ("border", capi::OMMA_PADDING_BORDER),
    ("reflection", capi::OMMA_PADDING_REFLECTION),
];

/// The value outside, of images of any number of channels.
fn value(call: &Call<'_>, value: &Channels) -> PyResult<[f32; 4]> {
    match value {
        Channels::One(value) => Ok([*value; 4]),
        Channels::Each(values) if values.len() <= 4 => {
            let mut all = [0.0; 4];
            all[..values.len()].copy_from_slice(values);
            Ok(all)
        }
        Channels::Each(values) => {
            let words = format!("value has {} values, expected one to four", values.len());
            Err(call.error(OMMA_INVALID_ARGUMENT, &words))
        }
    }
}

/// `value` of an image: one for all channels, or as many as those.
fn value_of(call: &Call<'_>, given: &Channels, img: &Tensor<'_>) -> PyResult<[f32; 4]> {
    let channels = if img.rank() < 3 { 1 } else { img.dim(2) };
    match given {
        Channels::Each(values) if values.len() as i64 != channels => {
            let words = format!(
                "value has {} values, img has {channels} channels",
                values.len()
            );
            Err(call.error(OMMA_SHAPE_MISMATCH, &words))
        }
        _ => value(call, given),
    }
}

/// `ROWS` rows of three numbers, of an array or of sequences, as `N` numbers.
fn matrix<const N: usize>(call: &Call<'_>, object: &Bound<'_, PyAny>) -> PyResult<[f64; N]> {
    let read = || -> PyResult<Vec<Vec<f64>>> {
        let rows = object.try_iter()?;
        rows.map(|row| row?.try_iter()?.map(|v| v?.extract()).collect())
            .collect()
    };
    let rows = read().unwrap_or_default();
    let values: Vec<f64> = rows.iter().flatten().copied().collect();
    match values.try_into() {
        Ok(values) if rows.iter().all(|row| row.len() == 3) => Ok(values),
        _ => {
            let given = object.repr().map_or("?".into(), |repr| repr.to_string());
            let words = format!(
                "matrix is {given}, expected {} rows of three numbers",
                N / 3
            );
            Err(call.error(OMMA_INVALID_ARGUMENT, &words))
        }
    }
}

/// `out`, or a new image of that size with the channels and the type of `img`.
fn output<'py>(
    call: &Call<'py>,
    out: Option<&Bound<'py, PyAny>>,
    img: &Tensor<'py>,
    [h, w]: [i64; 2],
    what: &str,
) -> PyResult<Tensor<'py>> {
    let dtype = if img.is_u8() { DType::U8 } else { DType::F32 };
    let rank = img.rank().clamp(2, 3);
    let out = call.output(out, &[h, w, img.dim(2)][..rank], dtype)?;
    // What the C ABI takes from the output's shape is an argument of its own here.
    if [out.dim(0), out.dim(1)] != [h, w] {
        let words = format!("out has shape {:?}, {what} is ({h}, {w})", out.shape());
        return Err(call.error(OMMA_SHAPE_MISMATCH, &words));
    }
    Ok(out)
}

/// Warps an image by a matrix of two rows.
///
/// Parameters
/// ----------
/// img : (H, W, C) or (H, W), uint8 or float32, one to four channels
/// matrix : two rows of three numbers
///     From a place ``(x, y)`` of ``img`` to one of the result; the centre of the first pixel is (0, 0).
/// size_hw : (height, width) of the result
/// interpolation : ``"linear"``, ``"nearest"`` or ``"cubic"``
/// border : ``"constant"``, ``"replicate"``, ``"reflect"``, ``"reflect_101"`` or ``"wrap"``
///     What lies outside of ``img``.
/// value : float, or one for each channel
///     What that is with ``"constant"``.
/// inverse : bool
///     The matrix goes from places of the result to places of ``img``: OpenCV's ``WARP_INVERSE_MAP``.
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (height, width, C) or (height, width), of the type of ``img``
///
/// As ``cv2.warpAffine`` of OpenCV 5. A coordinate that is not a number gives ``value``.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> omma.warp_affine(np.array([[0, 100, 200]], np.uint8), [[1, 0, 0.5], [0, 1, 0]], (1, 3), border="replicate")
/// array([[  0,  50, 150]], dtype=uint8)
#[pyfunction]
#[pyo3(
    signature = (img, matrix, size_hw, *, interpolation="linear", border="constant",
        value=Channels::One(0.0), inverse=false, out=None, ctx=None),
    text_signature = "(img, matrix, size_hw, *, interpolation='linear', border='constant', \
        value=0.0, inverse=False, out=None, ctx=None)"
)]
pub(crate) fn warp_affine<'py>(
    img: &Bound<'py, PyAny>,
    matrix: &Bound<'py, PyAny>,
    size_hw: Sizes<'py>,
    interpolation: &str,
    border: &str,
    value: Channels,
    inverse: bool,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(img.py(), "warp_affine", ctx)?;
    let img = Tensor::input(&call, "img", img, None)?;
    let params = OmmaWarpAffineParams {
        struct_size: size_of::<OmmaWarpAffineParams>() as u32,
        interpolation: call.choice("interpolation", interpolation, &INTERPOLATIONS)?,
        border: call.choice("border", border, &BORDERS)?,
        flags: if inverse { capi::OMMA_WARP_INVERSE } else { 0 },
        value: value_of(&call, &value, &img)?,
        matrix: self::matrix(&call, matrix)?,
    };
    let size = call.size("size_hw", &size_hw, 0)?;
    let out = output(&call, out, &img, size, "size_hw")?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_warp_affine(ctx, &params, &img.descriptor(), &out.descriptor())
    })?;
    Ok(out.into_object())
}

/// Warps an image by a matrix of three rows. The arguments are those of `warp_affine` otherwise.
///
/// As ``cv2.warpPerspective`` of OpenCV 5.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> omma.warp_perspective(np.array([[0, 100, 200]], np.uint8), np.diag([2, 1, 1]), (1, 5))
/// array([[  0,  50, 100, 150, 200]], dtype=uint8)
#[pyfunction]
#[pyo3(
    signature = (img, matrix, size_hw, *, interpolation="linear", border="constant",
        value=Channels::One(0.0), inverse=false, out=None, ctx=None),
    text_signature = "(img, matrix, size_hw, *, interpolation='linear', border='constant', \
        value=0.0, inverse=False, out=None, ctx=None)"
)]
pub(crate) fn warp_perspective<'py>(
    img: &Bound<'py, PyAny>,
    matrix: &Bound<'py, PyAny>,
    size_hw: Sizes<'py>,
    interpolation: &str,
    border: &str,
    value: Channels,
    inverse: bool,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(img.py(), "warp_perspective", ctx)?;
    let img = Tensor::input(&call, "img", img, None)?;
    let params = OmmaWarpPerspectiveParams {
        struct_size: size_of::<OmmaWarpPerspectiveParams>() as u32,
        interpolation: call.choice("interpolation", interpolation, &INTERPOLATIONS)?,
        border: call.choice("border", border, &BORDERS)?,
        flags: if inverse { capi::OMMA_WARP_INVERSE } else { 0 },
        value: value_of(&call, &value, &img)?,
        matrix: self::matrix(&call, matrix)?,
    };
    let size = call.size("size_hw", &size_hw, 0)?;
    let out = output(&call, out, &img, size, "size_hw")?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_warp_perspective(ctx, &params, &img.descriptor(), &out.descriptor())
    })?;
    Ok(out.into_object())
}

/// Rotates an image counter-clockwise around its centre.
///
/// Parameters
/// ----------
/// img : (H, W, C) or (H, W), uint8 or float32, one to four channels
/// degrees : float
/// expand : bool
///     The result holds all of the image; else it has the size of ``img`` and cuts the corners.
/// interpolation, border, value, ctx
///     As for `warp_affine`.
/// out : array of the result's shape, optional
///
/// Returns
/// -------
/// (H', W', C) or (H', W'), of the type of ``img``
///
/// The expanded size is that of ``PIL.Image.rotate``. Multiples of 90 degrees are exact.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> omma.rotate(np.array([[1, 2, 3]], np.uint8), 90)
/// array([[3],
///        [2],
///        [1]], dtype=uint8)
#[pyfunction]
#[pyo3(
    signature = (img, degrees, *, expand=true, interpolation="linear", border="constant",
        value=Channels::One(0.0), out=None, ctx=None),
    text_signature = "(img, degrees, *, expand=True, interpolation='linear', border='constant', \
        value=0.0, out=None, ctx=None)"
)]
pub(crate) fn rotate<'py>(
    img: &Bound<'py, PyAny>,
    degrees: f64,
    expand: bool,
    interpolation: &str,
    border: &str,
    value: Channels,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(img.py(), "rotate", ctx)?;
    let img = Tensor::input(&call, "img", img, None)?;
    let params = OmmaRotateParams {
        struct_size: size_of::<OmmaRotateParams>() as u32,
        interpolation: call.choice("interpolation", interpolation, &INTERPOLATIONS)?,
        border: call.choice("border", border, &BORDERS)?,
        reserved: 0,
        value: value_of(&call, &value, &img)?,
        degrees,
    };
    let [mut h, mut w] = [img.dim(0), img.dim(1)];
    if expand && img.rank() >= 2 {
        let (height, width) = (h, w);
        // SAFETY: places to write.
        call.check(unsafe { capi::omma_rotated_size(height, width, degrees, &mut h, &mut w) })?;
    }
    let out = output(&call, out, &img, [h, w], "the rotated size")?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_rotate(ctx, &params, &img.descriptor(), &out.descriptor())
    })?;
    Ok(out.into_object())
}

/// Takes each pixel from the place of an image that two maps tell.
///
/// Parameters
/// ----------
/// img : (H, W, C) or (H, W), uint8 or float32, one to four channels
/// map_x, map_y : (H', W') float32
///     In pixels of ``img``; the centre of the first one is (0, 0).
/// interpolation, border, value, ctx
///     As for `warp_affine`.
/// out : array of the result's shape, optional
///
/// Returns
/// -------
/// (H', W', C) or (H', W'), of the type of ``img``
///
/// As ``cv2.remap`` of OpenCV 5. `Remap` keeps maps that are used again.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> x, y = np.array([[0.5, 2, 9]], np.float32), np.zeros((1, 3), np.float32)
/// >>> omma.remap(np.array([[0, 100, 200]], np.uint8), x, y, value=7)
/// array([[ 50, 200,   7]], dtype=uint8)
#[pyfunction]
#[pyo3(
    signature = (img, map_x, map_y, *, interpolation="linear", border="constant",
        value=Channels::One(0.0), out=None, ctx=None),
    text_signature = "(img, map_x, map_y, *, interpolation='linear', border='constant', \
        value=0.0, out=None, ctx=None)"
)]
pub(crate) fn remap<'py>(
    img: &Bound<'py, PyAny>,
    map_x: &Bound<'py, PyAny>,
    map_y: &Bound<'py, PyAny>,
    interpolation: &str,
    border: &str,
    value: Channels,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(img.py(), "remap", ctx)?;
    let img = Tensor::input(&call, "img", img, None)?;
    let (x, y) = (call.input("map_x", map_x)?, call.input("map_y", map_y)?);
    let params = OmmaRemapParams {
        struct_size: size_of::<OmmaRemapParams>() as u32,
        interpolation: call.choice("interpolation", interpolation, &INTERPOLATIONS)?,
        border: call.choice("border", border, &BORDERS)?,
        reserved: 0,
        value: value_of(&call, &value, &img)?,
    };
    let out = output(&call, out, &img, [x.dim(0), x.dim(1)], "that of the maps")?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (x, y) = (&x.descriptor(), &y.descriptor());
        capi::omma_remap(ctx, &params, &img.descriptor(), x, y, &out.descriptor())
    })?;
    Ok(out.into_object())
}

/// Maps that are kept for any number of images.
///
/// The arguments are those of `remap`; the maps are copied. A plan never changes: any number of
/// threads may run it at once, on images of any size and both types. The result has the bits of `remap`.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> x, y = np.array([[2, 1, 0]], np.float32), np.zeros((1, 3), np.float32)
/// >>> mirror = omma.Remap(x, y, interpolation="nearest")
/// >>> mirror.run(np.array([[1, 2, 3]], np.uint8))
/// array([[3, 2, 1]], dtype=uint8)
#[pyclass(frozen, module = "omma")]
pub(crate) struct Remap {
    plan: Plan<OmmaRemap>,
    size: [i64; 2],
}

#[pymethods]
impl Remap {
    #[new]
    #[pyo3(
        signature = (map_x, map_y, *, interpolation="linear", border="constant",
            value=Channels::One(0.0), ctx=None),
        text_signature = "(map_x, map_y, *, interpolation='linear', border='constant', \
            value=0.0, ctx=None)"
    )]
    fn new<'py>(
        map_x: &Bound<'py, PyAny>,
        map_y: &Bound<'py, PyAny>,
        interpolation: &str,
        border: &str,
        value: Channels,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Remap> {
        let call = Call::new(map_x.py(), "Remap", ctx)?;
        let (x, y) = (call.input("map_x", map_x)?, call.input("map_y", map_y)?);
        let params = OmmaRemapParams {
            struct_size: size_of::<OmmaRemapParams>() as u32,
            interpolation: call.choice("interpolation", interpolation, &INTERPOLATIONS)?,
            border: call.choice("border", border, &BORDERS)?,
            reserved: 0,
            value: self::value(&call, &value)?,
        };
        // SAFETY: descriptors of memory that lives during the call; the slot takes the plan,
        // which is destroyed once.
        let plan = unsafe {
            Plan::create(&call, capi::omma_remap_destroy, |ctx, slot| {
                let (x, y) = (&x.descriptor(), &y.descriptor());
                capi::omma_remap_create(ctx, &params, x, y, slot)
            })?
        };
        Ok(Remap {
            plan,
            size: [x.dim(0), x.dim(1)],
        })
    }

    /// Takes each pixel from the place of ``img`` that the maps tell, as `remap`.
    ///
    /// Examples
    /// --------
    /// >>> import numpy as np, omma
    /// >>> here = np.zeros((1, 2), np.float32)
    /// >>> out = np.empty((1, 2), np.float32)
    /// >>> omma.Remap(here, here).run(np.full((3, 3), 5, np.float32), out=out) is out
    /// True
    /// >>> out
    /// array([[5., 5.]], dtype=float32)
    #[pyo3(signature = (img, out=None, *, ctx=None))]
    fn run<'py>(
        &self,
        img: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = Call::new(img.py(), "Remap.run", ctx)?;
        let img = Tensor::input(&call, "img", img, None)?;
        let out = output(&call, out, &img, self.size, "that of the maps")?;
        let plan = self.plan.pointer();
        // SAFETY: descriptors of memory that lives during the call, and so does the plan.
        call.run(|ctx| unsafe {
            capi::omma_remap_run(ctx, plan, &img.descriptor(), &out.descriptor())
        })?;
        Ok(out.into_object())
    }

    fn __repr__(&self) -> String {
        format!("<omma.Remap to {} x {}>", self.size[0], self.size[1])
    }
}

/// Samples planes at the places of a grid, as ``torch.nn.functional.grid_sample``.
///
/// Parameters
/// ----------
/// x : (N, C, H, W) float32
/// grid : (N, H', W', 2) float32
///     x and y of each place, from -1 to 1.
/// mode : ``"bilinear"``, ``"nearest"`` or ``"bicubic"``
/// padding_mode : ``"zeros"``, ``"border"`` or ``"reflection"``
/// align_corners : bool
///     -1 and 1 are the centres of the corner pixels, not the edges of the image.
/// out : (N, C, H', W') float32, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (N, C, H', W') float32
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> x = np.array([[[[1, 2], [3, 4]]]], np.float32)
/// >>> omma.grid_sample(x, np.zeros((1, 1, 1, 2), np.float32))
/// array([[[[2.5]]]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (x, grid, mode="bilinear", padding_mode="zeros", align_corners=false, *,
    out=None, ctx=None))]
pub(crate) fn grid_sample<'py>(
    x: &Bound<'py, PyAny>,
    grid: &Bound<'py, PyAny>,
    mode: &str,
    padding_mode: &str,
    align_corners: bool,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(x.py(), "grid_sample", ctx)?;
    let params = OmmaGridSampleParams {
        struct_size: size_of::<OmmaGridSampleParams>() as u32,
        interpolation: call.choice("mode", mode, &MODES)?,
        padding: call.choice("padding_mode", padding_mode, &PADDINGS)?,
        flags: match align_corners {
            true => capi::OMMA_GRID_SAMPLE_ALIGN_CORNERS,
            false => 0,
        },
    };
    let (x, grid) = (call.input("x", x)?, call.input("grid", grid)?);
    let shape = [x.dim(0), x.dim(1), grid.dim(1), grid.dim(2)];
    let out = call.output(out, &shape, DType::F32)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        let (x, grid) = (&x.descriptor(), &grid.descriptor());
        capi::omma_grid_sample(ctx, &params, x, grid, &out.descriptor())
    })?;
    Ok(out.into_object())
}
