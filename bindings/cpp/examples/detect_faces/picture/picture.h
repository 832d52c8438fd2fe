/* Pictures for the face demo: read a PNG or JPEG, mark faces, write a PNG or JPEG. */
#ifndef PICTURE_H
#define PICTURE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One face to mark, in pixels of the picture: box, five landmarks as x0..x4 then y0..y4, score. */
typedef struct PictureFace {
    float left, top, right, bottom;
    float landmark_x[5];
    float landmark_y[5];
    float score;
} PictureFace;

/*
 * Each returns 0, or -1 after writing what went wrong into `message` (cut to `message_size`,
 * always terminated).
 */

/* Decode `path` into width * height RGB triples, upright (an EXIF orientation is applied). */
int32_t picture_load(const char *path, uint8_t **pixels, size_t *width, size_t *height,
                     char *message, size_t message_size);

/* Write the pixels with the faces drawn on them; the name's ending chooses PNG or JPEG. */
int32_t picture_save(const char *path, const uint8_t *pixels, size_t width, size_t height,
                     const PictureFace *faces, size_t face_count, char *message, size_t message_size);

/* Give back what picture_load gave. */
void picture_free(uint8_t *pixels, size_t width, size_t height);

#ifdef __cplusplus
}
#endif
#endif
