//! Pictures for the face demo: three C functions around `image` (PNG and JPEG), `tiny-skia`
//! (anti-aliased shapes) and `ab_glyph` (text). `picture.h` is the interface and documents it.

mod draw;

use std::error::Error;
use std::ffi::{CStr, c_char};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};

/// One face to mark; see `picture.h`.
#[repr(C)]
pub struct PictureFace {
    /// Box, in pixels.
    pub left: f32,
    /// Box, in pixels.
    pub top: f32,
    /// Box, in pixels.
    pub right: f32,
    /// Box, in pixels.
    pub bottom: f32,
    /// Left eye, right eye, nose, left and right corner of the mouth.
    pub landmark_x: [f32; 5],
    /// In the same order.
    pub landmark_y: [f32; 5],
    /// Probability of being a face.
    pub score: f32,
}

fn load(path: &Path) -> Result<RgbImage, Box<dyn Error>> {
    let mut decoder = ImageReader::open(path)?
        .with_guessed_format()?
        .into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

fn save(path: &Path, picture: &RgbImage) -> Result<(), Box<dyn Error>> {
    match ImageFormat::from_path(path)? {
        ImageFormat::Jpeg => {
            let file = std::io::BufWriter::new(std::fs::File::create(path)?);
            Ok(JpegEncoder::new_with_quality(file, 92).encode_image(picture)?)
        }
        ImageFormat::Png => Ok(picture.save_with_format(path, ImageFormat::Png)?),
        _ => Err("a picture is written as .png or .jpg".into()),
    }
}

/// Run `work`, writing its error to the caller's buffer.
///
/// # Safety
/// `message` must be writable for `size` bytes, or null.
unsafe fn report(
    message: *mut c_char,
    size: usize,
    work: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> i32 {
    let Err(error) = work() else { return 0 };
    if !message.is_null() && size > 0 {
        let text = error.to_string();
        let length = text.len().min(size - 1);
        // SAFETY: length + 1 <= size bytes are written, and the caller vouches for those.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), message, length);
            *message.add(length) = 0;
        }
    }
    -1
}

/// The path in a C string.
///
/// # Safety
/// `path` must be a terminated string that outlives the result.
unsafe fn path_from<'a>(path: *const c_char) -> &'a Path {
    use std::os::unix::ffi::OsStrExt;
    // SAFETY: passed on to the caller.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Decode a picture; see `picture.h`.
///
/// # Safety
/// `path` is a terminated string, the three outputs are writable, `message` as `message_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picture_load(
    path: *const c_char,
    pixels: *mut *mut u8,
    width: *mut usize,
    height: *mut usize,
    message: *mut c_char,
    message_size: usize,
) -> i32 {
    let work = || {
        // SAFETY: the contract of this function.
        let picture = load(unsafe { path_from(path) })?;
        let (w, h) = picture.dimensions();
        let buffer = Box::into_raw(picture.into_raw().into_boxed_slice());
        // SAFETY: the outputs are writable by the contract of this function.
        unsafe {
            *pixels = buffer.cast();
            *width = w as usize;
            *height = h as usize;
        }
        Ok(())
    };
    // SAFETY: the contract of this function.
    unsafe { report(message, message_size, work) }
}

/// Mark the faces and write the picture; see `picture.h`.
///
/// # Safety
/// `path` is a terminated string, `pixels` holds 3 * width * height bytes, `faces` holds
/// `face_count` faces, `message` as `message_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picture_save(
    path: *const c_char,
    pixels: *const u8,
    width: usize,
    height: usize,
    faces: *const PictureFace,
    face_count: usize,
    message: *mut c_char,
    message_size: usize,
) -> i32 {
    let work = || {
        // SAFETY: the contract of this function.
        let bytes = unsafe { std::slice::from_raw_parts(pixels, 3 * width * height) };
        let faces = match face_count {
            0 => &[],
            // SAFETY: the contract of this function.
            _ => unsafe { std::slice::from_raw_parts(faces, face_count) },
        };
        let mut picture = RgbImage::from_raw(
            u32::try_from(width)?,
            u32::try_from(height)?,
            bytes.to_vec(),
        )
        .ok_or("the picture is too large")?;
        draw::mark(&mut picture, faces)?;
        // SAFETY: the contract of this function.
        save(unsafe { path_from(path) }, &picture)
    };
    // SAFETY: the contract of this function.
    unsafe { report(message, message_size, work) }
}

/// Free the pixels of `picture_load`.
///
/// # Safety
/// The arguments are those that `picture_load` gave, once; null does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picture_free(pixels: *mut u8, width: usize, height: usize) {
    if !pixels.is_null() {
        let slice = std::ptr::slice_from_raw_parts_mut(pixels, 3 * width * height);
        // SAFETY: this is the boxed slice that picture_load leaked.
        drop(unsafe { Box::from_raw(slice) });
    }
}
