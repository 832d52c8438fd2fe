//! Images: (H, W, C) or (H, W), of bytes or floats.

use crate::call::{Call, Sizes};
use crate::context::Context;
use crate::conv::LAYOUTS;
use crate::tensor::{DType, Tensor};
use omma::capi::{
    self, OMMA_INVALID_ARGUMENT, OMMA_SHAPE_MISMATCH, OmmaImageToTensorParams, OmmaLetterbox,
    OmmaMedianBlurParams, OmmaResizeParams,
};
use pyo3::prelude::*;

const INTERPOLATIONS: [(&str, i32); 4] = [
    ("linear", capi::OMMA_INTERPOLATION_LINEAR),
    ("nearest", capi::OMMA_INTERPOLATION_NEAREST),
    ("cubic", capi::OMMA_INTERPOLATION_CUBIC),
    ("area", capi::OMMA_INTERPOLATION_AREA),
];

const COORDINATES: [(&str, i32); 3] = [
    ("half_pixel", capi::OMMA_COORDINATES_HALF_PIXEL),
    ("align_corners", capi::OMMA_COORDINATES_ALIGN_CORNERS),
    ("asymmetric", capi::OMMA_COORDINATES_ASYMMETRIC),
];

fn coordinates(call: &Call<'_>, name: Option<&str>) -> PyResult<i32> {
    match name {
        None => Ok(capi::OMMA_COORDINATES_DEFAULT),
        Some(name) => call.choice("coordinates", name, &COORDINATES),
    }
}

/// Resizes an image.
///
/// Parameters
/// ----------
/// img : (H, W, C) or (H, W), uint8 or float32
/// size_hw : (height, width) of the result
/// interpolation : ``"linear"``, ``"nearest"``, ``"area"`` or ``"cubic"``
/// coordinates : ``"half_pixel"``, ``"align_corners"`` or ``"asymmetric"``, optional
///     How pixels of the result lie on those of the image. Unless it is given: OpenCV's, which is
///     asymmetric for nearest and half pixel for all others.
/// antialias : bool
///     Widens the kernel when the image shrinks, for linear and cubic: torch's and Pillow's.
/// out : array of the result's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// (height, width, C) or (height, width), of the type of ``img``
///
/// As ``cv2.resize``; for uint8 linear, nearest and area bit for bit, cubic to one grey level. With antialias
/// as ``torch.nn.functional.interpolate(antialias=True)``, uint8 to one grey level.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> omma.resize(np.array([[0, 100]], np.uint8), (1, 4))
/// array([[  0,  25,  75, 100]], dtype=uint8)
#[pyfunction]
#[pyo3(signature = (img, size_hw, interpolation="linear", *, coordinates=None, antialias=false,
    out=None, ctx=None))]
pub(crate) fn resize<'py>(
    img: &Bound<'py, PyAny>,
    size_hw: Sizes<'py>,
    interpolation: &str,
    coordinates: Option<&str>,
    antialias: bool,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(img.py(), "resize", ctx)?;
    let params = OmmaResizeParams {
        struct_size: size_of::<OmmaResizeParams>() as u32,
        interpolation: call.choice("interpolation", interpolation, &INTERPOLATIONS)?,
        coordinates: self::coordinates(&call, coordinates)?,
        flags: if antialias {
            capi::OMMA_RESIZE_ANTIALIAS
        } else {
            0
        },
    };
    let [h, w] = call.size("size_hw", &size_hw, 0)?;
    let img = Tensor::input(&call, "img", img, None)?;
    let dtype = if img.is_u8() { DType::U8 } else { DType::F32 };
    let rank = img.rank().clamp(2, 3);
    let out = call.output(out, &[h, w, img.dim(2)][..rank], dtype)?;
    // What the C ABI takes from the output's shape is an argument of its own here.
    if [out.dim(0), out.dim(1)] != [h, w] {
        let words = format!("out has shape {:?}, size_hw is ({h}, {w})", out.shape());
        return Err(call.error(OMMA_SHAPE_MISMATCH, &words));
    }
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_resize(ctx, &params, &img.descriptor(), &out.descriptor())
    })?;
    Ok(out.into_object())
}

const MEDIAN_BORDERS: [(&str, i32); 2] = [
    ("replicate", capi::OMMA_MEDIAN_BORDER_REPLICATE),
    ("constant", capi::OMMA_MEDIAN_BORDER_CONSTANT),
];

/// The median of the square window around each pixel, channel by channel.
///
/// Parameters
/// ----------
/// img : (H, W, C) or (H, W), uint8 or float32
/// ksize : int
///     The side of the window: odd, from 1 to 32767.
/// border : ``"replicate"`` or ``"constant"``
///     What lies beyond the border: the nearest pixel, or zero.
/// out : array of the image's shape, optional
/// ctx : Context, optional
///
/// Returns
/// -------
/// as ``img``
///
/// Exact: ``cv2.medianBlur``, and ``scipy.ndimage.median_filter`` with mode ``"nearest"`` or ``"constant"``. NaN counts as
/// larger than any number.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> omma.median_blur(np.array([[1, 1, 1], [1, 9, 1], [1, 1, 1]], np.uint8), 3)
/// array([[1, 1, 1],
///        [1, 1, 1],
///        [1, 1, 1]], dtype=uint8)
#[pyfunction]
#[pyo3(signature = (img, ksize, border="replicate", *, out=None, ctx=None))]
pub(crate) fn median_blur<'py>(
    img: &Bound<'py, PyAny>,
    ksize: i64,
    border: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(img.py(), "median_blur", ctx)?;
    let params = OmmaMedianBlurParams {
        struct_size: size_of::<OmmaMedianBlurParams>() as u32,
        // What 32 bits do not hold is wrong as it is.
        ksize: ksize.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
        border: call.choice("border", border, &MEDIAN_BORDERS)?,
    };
    let img = Tensor::input(&call, "img", img, None)?;
    let dtype = if img.is_u8() { DType::U8 } else { DType::F32 };
    let out = call.output(out, img.shape(), dtype)?;
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_median_blur(ctx, &params, &img.descriptor(), &out.descriptor())
    })?;
    Ok(out.into_object())
}

/// One number for all channels, or one for each.
#[derive(FromPyObject)]
pub(crate) enum Channels {
    One(f32),
    Each(Vec<f32>),
}

impl Channels {
    /// The values of an image's channels; the rest is not used.
    fn values(&self, call: &Call<'_>, name: &str, img: &Tensor<'_>) -> PyResult<[f32; 4]> {
        let count = img.dim(2);
        match self {
            Channels::One(value) => Ok([*value; 4]),
            Channels::Each(values) if values.len() as i64 == count && values.len() <= 4 => {
                let mut all = [1.0; 4];
                all[..values.len()].copy_from_slice(values);
                Ok(all)
            }
            Channels::Each(values) => {
                let words = format!(
                    "{name} has {} values, img has {count} channels",
                    values.len()
                );
                Err(call.error(OMMA_SHAPE_MISMATCH, &words))
            }
        }
    }
}

/// Turns an image into the tensor of a network: resizing or letterboxing, channel order,
/// normalisation and layout in one pass. A sample becomes ``(v * scale - mean) / std``.
///
/// Parameters
/// ----------
/// img : (H, W, C) or (H, W), uint8 or float32, one to four channels
/// size_hw : (height, width) of the result, optional
///     The image's own unless it is given.
/// mean, std : float, or one for each channel in the order of the result
/// swap_rb : bool
///     Exchanges the first and the third channel.
/// letterbox : bool
///     Keeps the proportions, and pads; `letterbox` tells where the image lands.
/// pad_value : float
///     The padding, in units of the image.
/// scale : float, optional
///     1/255 for uint8 and 1 for float32 unless it is given.
/// interpolation : ``"linear"``, ``"cubic"`` or ``"area"``
/// coordinates : str, optional
///     As in `resize`.
/// antialias : bool
///     As in `resize`.
/// layout : ``"NCHW"`` or ``"NHWC"``
/// out : float32 of the result's shape, optional
///     May have a leading dimension of 1.
/// ctx : Context, optional
///
/// Returns
/// -------
/// (C, height, width) float32, or (height, width, C)
///
/// Equal to ``cv2.resize`` and ``(v * scale - mean) / std`` up to the rounding of float32.
///
/// Examples
/// --------
/// >>> import numpy as np, omma
/// >>> bgr = np.array([[[0, 51, 255]]], np.uint8)
/// >>> omma.image_to_tensor(bgr, mean=51, std=2, scale=1, swap_rb=True)
/// array([[[102. ]],
/// <BLANKLINE>
///        [[  0. ]],
/// <BLANKLINE>
///        [[-25.5]]], dtype=float32)
#[pyfunction]
#[pyo3(
    signature = (img, size_hw=None, *, mean=Channels::One(0.0), std=Channels::One(1.0),
        swap_rb=false, letterbox=false, pad_value=114.0, scale=None, interpolation="linear",
        coordinates=None, antialias=false, layout="NCHW", out=None, ctx=None),
    text_signature = "(img, size_hw=None, *, mean=0.0, std=1.0, swap_rb=False, letterbox=False, \
        pad_value=114.0, scale=None, interpolation='linear', coordinates=None, \
        antialias=False, layout='NCHW', out=None, ctx=None)"
)]
pub(crate) fn image_to_tensor<'py>(
    img: &Bound<'py, PyAny>,
    size_hw: Option<Sizes<'py>>,
    mean: Channels,
    std: Channels,
    swap_rb: bool,
    letterbox: bool,
    pad_value: f32,
    scale: Option<f32>,
    interpolation: &str,
    coordinates: Option<&str>,
    antialias: bool,
    layout: &str,
    out: Option<&Bound<'py, PyAny>>,
    ctx: Option<&Bound<'py, Context>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = Call::new(img.py(), "image_to_tensor", ctx)?;
    let img = Tensor::input(&call, "img", img, None)?;
    let [h, w] = match &size_hw {
        Some(size_hw) => call.size("size_hw", size_hw, 0)?,
        None => [img.dim(0), img.dim(1)],
    };
    let std = std.values(&call, "std", &img)?;
    // Zeros mean defaults in C.
    for (name, value) in [("std", &std[..]), ("scale", scale.as_slice())] {
        if value.contains(&0.0) {
            return Err(call.error(OMMA_INVALID_ARGUMENT, &format!("{name} is 0")));
        }
    }
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    let params = OmmaImageToTensorParams {
        struct_size: size_of::<OmmaImageToTensorParams>() as u32,
        flags: flag(swap_rb, capi::OMMA_IMAGE_SWAP_RB)
            | flag(letterbox, capi::OMMA_IMAGE_LETTERBOX)
            | flag(antialias, capi::OMMA_IMAGE_ANTIALIAS)
            | capi::OMMA_IMAGE_PAD_VALUE,
        layout: call.choice("layout", layout, &LAYOUTS)?,
        coordinates: self::coordinates(&call, coordinates)?,
        scale: scale.unwrap_or(0.0),
        pad_value,
        mean: mean.values(&call, "mean", &img)?,
        std,
        interpolation: call.choice("interpolation", interpolation, &INTERPOLATIONS)?,
    };
    let shape = match params.layout == capi::OMMA_LAYOUT_NHWC {
        true => [h, w, img.dim(2)],
        false => [img.dim(2), h, w],
    };
    let given = out.is_some();
    let out = call.output(out, &shape, DType::F32)?;
    // What the C ABI takes from the output's shape is an argument of its own here.
    if given && size_hw.is_some() && !out.shape().ends_with(&shape) {
        let words = format!("out has shape {:?}, expected {shape:?}", out.shape());
        return Err(call.error(OMMA_SHAPE_MISMATCH, &words));
    }
    // SAFETY: descriptors of memory that lives during the call.
    call.run(|ctx| unsafe {
        capi::omma_image_to_tensor(ctx, &params, &img.descriptor(), &out.descriptor())
    })?;
    Ok(out.into_object())
}

/// Where an image lands in a frame of other proportions; see `letterbox`.
///
/// A point of the frame is ``((x - left) / scale_x, (y - top) / scale_y)`` in the image.
#[pyclass(frozen, get_all, module = "omma")]
pub(crate) struct Letterbox {
    /// Rows above the image.
    top: i64,
    /// Columns left of the image.
    left: i64,
    /// Height of the image in the frame.
    height: i64,
    /// Width of the image in the frame.
    width: i64,
    /// Height of the image in the frame over its own height.
    scale_y: f64,
    /// Width of the image in the frame over its own width.
    scale_x: f64,
}

#[pymethods]
impl Letterbox {
    fn __repr__(&self) -> String {
        format!(
            "Letterbox(top={}, left={}, height={}, width={}, scale_y={}, scale_x={})",
            self.top, self.left, self.height, self.width, self.scale_y, self.scale_x
        )
    }
}

/// Where `image_to_tensor` with ``letterbox=True`` places an image.
///
/// Parameters
/// ----------
/// image_hw : (height, width) of the image
/// frame_hw : (height, width) of the frame
///
/// Returns
/// -------
/// Letterbox
///     ``top``, ``left``, ``height``, ``width``, ``scale_y``, ``scale_x``.
///
/// The image is scaled by the smaller ratio, its sides rounded, and centred, the odd pixel of a
/// margin to the right and below, as Ultralytics' ``LetterBox``.
///
/// Examples
/// --------
/// >>> import omma
/// >>> omma.letterbox((1080, 1920), (640, 640))
/// Letterbox(top=140, left=0, height=360, width=640, scale_y=0.3333333333333333, scale_x=0.3333333333333333)
#[pyfunction]
pub(crate) fn letterbox<'py>(
    py: Python<'py>,
    image_hw: Sizes<'py>,
    frame_hw: Sizes<'py>,
) -> PyResult<Letterbox> {
    let call = Call::without_context(py, "letterbox");
    let [image_h, image_w] = call.size("image_hw", &image_hw, 1)?;
    let [frame_h, frame_w] = call.size("frame_hw", &frame_hw, 1)?;
    let mut place = OmmaLetterbox {
        top: 0,
        left: 0,
        height: 0,
        width: 0,
        scale_y: 0.0,
        scale_x: 0.0,
    };
    // SAFETY: a place to write.
    call.check(unsafe { capi::omma_letterbox(image_h, image_w, frame_h, frame_w, &mut place) })?;
    Ok(Letterbox {
        top: place.top,
        left: place.left,
        height: place.height,
        width: place.width,
        scale_y: place.scale_y,
        scale_x: place.scale_x,
    })
}
