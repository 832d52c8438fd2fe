//! The look of a marked face: a rounded frame with a dark rim, so that it shows on any
//! background, five dots, and the score on a small plate above the frame.

use std::error::Error;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};
use tiny_skia::{
    Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, PixmapPaint, Rect, Stroke,
    Transform,
};

use crate::PictureFace;

const FRAME: (u8, u8, u8) = (57, 255, 136);
const EYE: (u8, u8, u8) = (0, 200, 255);
const NOSE: (u8, u8, u8) = (255, 214, 0);
const MOUTH: (u8, u8, u8) = (255, 84, 112);
/// Left eye, right eye, nose, left and right corner of the mouth.
const LANDMARKS: [(u8, u8, u8); 5] = [EYE, EYE, NOSE, MOUTH, MOUTH];
const DARK: (u8, u8, u8) = (12, 20, 28);

/// Draw every face onto the picture.
pub fn mark(picture: &mut RgbImage, faces: &[PictureFace]) -> Result<(), Box<dyn Error>> {
    if faces.is_empty() {
        return Ok(());
    }
    let font = FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR)?;
    let (width, height) = picture.dimensions();
    // Shapes go to a transparent layer of their own, which is blended over the picture once.
    let mut layer = Pixmap::new(width, height).ok_or("the picture is too large to draw on")?;
    // Weakest first: where faces overlap, the surest one stays readable.
    let mut order: Vec<&PictureFace> = faces.iter().collect();
    order.sort_by(|a, b| a.score.total_cmp(&b.score));
    for face in &order {
        draw_frame(&mut layer, face);
        draw_landmarks(&mut layer, face);
    }
    for face in &order {
        draw_label(&mut layer, face, &font)?;
    }
    blend(picture, &layer);
    Ok(())
}

fn solid((r, g, b): (u8, u8, u8), alpha: u8) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(Color::from_rgba8(r, g, b, alpha));
    paint
}

/// Line width for a face: thin on a small face, never hair or rope.
fn weight(face: &PictureFace) -> f32 {
    ((face.right - face.left).min(face.bottom - face.top) / 36.0).clamp(1.25, 6.0)
}

fn rounded(left: f32, top: f32, right: f32, bottom: f32, radius: f32) -> Option<Path> {
    // The cubic that comes closest to a quarter of a circle has its handles at this fraction.
    let radius = radius
        .min((right - left) / 2.0)
        .min((bottom - top) / 2.0)
        .max(0.0);
    let handle = radius * (1.0 - 0.552_284_8);
    let mut path = PathBuilder::new();
    path.move_to(left + radius, top);
    path.line_to(right - radius, top);
    path.cubic_to(
        right - handle,
        top,
        right,
        top + handle,
        right,
        top + radius,
    );
    path.line_to(right, bottom - radius);
    path.cubic_to(
        right,
        bottom - handle,
        right - handle,
        bottom,
        right - radius,
        bottom,
    );
    path.line_to(left + radius, bottom);
    path.cubic_to(
        left + handle,
        bottom,
        left,
        bottom - handle,
        left,
        bottom - radius,
    );
    path.line_to(left, top + radius);
    path.cubic_to(left, top + handle, left + handle, top, left + radius, top);
    path.close();
    path.finish()
}

fn draw_frame(layer: &mut Pixmap, face: &PictureFace) {
    let line = weight(face);
    let Some(path) = rounded(face.left, face.top, face.right, face.bottom, 4.0 * line) else {
        return;
    };
    for (paint, width) in [(solid(DARK, 150), line * 1.9), (solid(FRAME, 255), line)] {
        let stroke = Stroke {
            width,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        layer.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
    }
}

fn draw_landmarks(layer: &mut Pixmap, face: &PictureFace) {
    let radius = weight(face) * 1.15;
    for ((&x, &y), colour) in face.landmark_x.iter().zip(&face.landmark_y).zip(LANDMARKS) {
        for (paint, size) in [
            (solid(DARK, 190), radius + weight(face) * 0.5),
            (solid(colour, 255), radius),
        ] {
            if let Some(dot) = PathBuilder::from_circle(x, y, size) {
                layer.fill_path(&dot, &paint, FillRule::Winding, Transform::identity(), None);
            }
        }
    }
}

/// The score as it is read best: cut, not rounded, so that only certainty reads 1.0000.
fn score_text(score: f32) -> String {
    format!("{:.4}", (f64::from(score) * 1e4).floor() / 1e4)
}

fn draw_label(
    layer: &mut Pixmap,
    face: &PictureFace,
    font: &FontRef,
) -> Result<(), Box<dyn Error>> {
    let line = weight(face);
    let size = ((face.right - face.left) / 6.0).clamp(10.0, 28.0);
    let text = score_text(face.score);
    let scaled = font.as_scaled(PxScale::from(size));
    let text_width: f32 = text
        .chars()
        .map(|c| scaled.h_advance(scaled.glyph_id(c)))
        .sum();
    let (pad_x, pad_y) = (size * 0.4, size * 0.18);
    let (plate_width, plate_height) = (text_width + 2.0 * pad_x, scaled.height() + 2.0 * pad_y);

    // Above the frame, below it where there is no room, and always inside the picture.
    let (width, height) = (layer.width() as f32, layer.height() as f32);
    let gap = line * 1.2;
    let above = face.top - gap - plate_height;
    let top = if above >= 0.0 {
        above
    } else {
        (face.bottom + gap).min(height - plate_height).max(0.0)
    };
    let left = (face.left - line * 0.5).min(width - plate_width).max(0.0);
    let plate =
        Rect::from_xywh(left, top, plate_width, plate_height).ok_or("a face has no finite box")?;
    if let Some(path) = rounded(
        plate.left(),
        plate.top(),
        plate.right(),
        plate.bottom(),
        size * 0.25,
    ) {
        layer.fill_path(
            &path,
            &solid(FRAME, 235),
            FillRule::Winding,
            Transform::identity(),
            None,
        );
    }

    let mut cursor = left + pad_x;
    let baseline = top + pad_y + scaled.ascent();
    for c in text.chars() {
        let id: GlyphId = scaled.glyph_id(c);
        let glyph = id.with_scale_and_position(PxScale::from(size), point(cursor, baseline));
        cursor += scaled.h_advance(id);
        if let Some(outline) = font.outline_glyph(glyph) {
            draw_glyph(layer, &outline);
        }
    }
    Ok(())
}

fn draw_glyph(layer: &mut Pixmap, outline: &ab_glyph::OutlinedGlyph) {
    let bounds = outline.px_bounds();
    let Some(mut stamp) = Pixmap::new(bounds.width().ceil() as u32, bounds.height().ceil() as u32)
    else {
        return;
    };
    let columns = stamp.width();
    let pixels = stamp.pixels_mut();
    outline.draw(|x, y, coverage| {
        let alpha = (coverage.clamp(0.0, 1.0) * 255.0).round() as u8;
        if let Some(pixel) = pixels.get_mut((y * columns + x) as usize) {
            *pixel = tiny_skia::ColorU8::from_rgba(DARK.0, DARK.1, DARK.2, alpha).premultiply();
        }
    });
    layer.draw_pixmap(
        bounds.min.x as i32,
        bounds.min.y as i32,
        stamp.as_ref(),
        &PixmapPaint::default(),
        Transform::identity(),
        None,
    );
}

fn blend(picture: &mut RgbImage, layer: &Pixmap) {
    for (Rgb(under), over) in picture.pixels_mut().zip(layer.pixels()) {
        let rest = 255 - u32::from(over.alpha());
        for (value, top) in under
            .iter_mut()
            .zip([over.red(), over.green(), over.blue()])
        {
            *value = (u32::from(top) + (u32::from(*value) * rest + 127) / 255).min(255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(left: f32, top: f32, right: f32, bottom: f32) -> PictureFace {
        let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0);
        PictureFace {
            left,
            top,
            right,
            bottom,
            landmark_x: [x; 5],
            landmark_y: [y; 5],
            score: 0.99999,
        }
    }

    fn changed(faces: &[PictureFace]) -> usize {
        let plain = RgbImage::from_pixel(90, 70, Rgb([120, 100, 80]));
        let mut picture = plain.clone();
        mark(&mut picture, faces).unwrap();
        plain
            .pixels()
            .zip(picture.pixels())
            .filter(|(a, b)| a != b)
            .count()
    }

    #[test]
    fn marks_where_the_face_is() {
        assert_eq!(changed(&[]), 0);
        assert!(changed(&[face(20.0, 20.0, 60.0, 60.0)]) > 200);
    }

    #[test]
    fn faces_over_the_edge_are_drawn_as_far_as_they_show() {
        for (left, top) in [(-15.0, -15.0), (70.0, -15.0), (-15.0, 50.0), (70.0, 50.0)] {
            assert!(changed(&[face(left, top, left + 40.0, top + 40.0)]) > 20);
        }
        // Larger than the picture: the label still stays inside.
        assert!(changed(&[face(-500.0, -500.0, 900.0, 900.0)]) > 20);
    }

    #[test]
    fn a_box_without_size_or_number_harms_nothing() {
        changed(&[face(30.0, 30.0, 30.0, 30.0)]);
        let mut picture = RgbImage::new(20, 20);
        let _ = mark(&mut picture, &[face(f32::NAN, 0.0, 10.0, 10.0)]);
    }

    #[test]
    fn a_score_is_cut_not_rounded() {
        assert_eq!(score_text(0.999_995), "0.9999");
        assert_eq!(score_text(1.0), "1.0000");
    }
}
