#!/usr/bin/env python3
"""Writes a sheet of pictures: image operators on a photo, before and after.

    python gallery.py PHOTO SHEET

`make gallery` runs it in the environment of `make bench`, on the photo of the face demo (Eileen Collins, by NASA, public
domain). A new operator is a new line of OPERATORS.
"""

import sys
from collections.abc import Callable

import cv2
import numpy as np
import omma

# A picture on the sheet, and the space around it.
SIDE, GAP, CAPTION, COLUMNS = 256, 8, 22, 2
# Turned, made smaller and sheared.
AFFINE = np.float64([[0.5, -0.2, 90], [0.25, 0.6, 20]])

Image = np.ndarray


def whole(photo: Image) -> Image:
    return omma.resize(photo, (SIDE, SIDE), "area")


def face(photo: Image) -> Image:
    """A part of the photo in its own pixels: a view, nothing is copied."""
    return photo[20 : 20 + SIDE, 100 : 100 + SIDE]


def small(photo: Image) -> Image:
    """A face of 48 x 48 pixels."""
    return omma.resize(photo[40:232, 128:320], (48, 48), "area")


def stripes(_: Image) -> Image:
    """Rings that grow finer outwards, which too few samples turn into other rings."""
    y, x = np.mgrid[-384:384, -384:384]
    rings = 127.5 + 127.5 * np.cos((x * x + y * y) / 300)
    return np.repeat(rings.astype(np.uint8)[..., None], 3, 2)


def spotted(photo: Image) -> Image:
    """One sample in ten is black or white."""
    img = face(photo).copy()
    chance = np.random.default_rng(1).random(img.shape[:2])
    img[chance < 0.05] = 0
    img[chance > 0.95] = 255
    return img


def network_input(img: Image) -> Image:
    """What a network gets, brought back to pixels."""
    planes = omma.image_to_tensor(img, (160, 256), mean=0.5, std=0.5, letterbox=True)
    return np.rint((planes.transpose(1, 2, 0) * 0.5 + 0.5) * 255).astype(np.uint8)


def tilted(img: Image) -> Image:
    """Seen from aside: the right edge is farther away."""
    from_corners = np.float32([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]])
    to_corners = np.float32([[10, 10], [SIDE - 60, 60], [SIDE - 60, SIDE - 60], [10, SIDE - 10]])
    matrix = cv2.getPerspectiveTransform(from_corners, to_corners)
    return omma.warp_perspective(img, matrix, (SIDE, SIDE), value=255)


def swirled(img: Image) -> Image:
    """Every pixel is fetched from a place turned around the centre, the farther in the more."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) - (SIDE - 1) / 2
    angle = 3 * np.exp(-np.hypot(x, y) / 60)
    map_x = x * np.cos(angle) - y * np.sin(angle) + (SIDE - 1) / 2
    map_y = x * np.sin(angle) + y * np.cos(angle) + (SIDE - 1) / 2
    return omma.remap(img, map_x.astype(np.float32), map_y.astype(np.float32), border="reflect")


def few_colours(img: Image) -> Image:
    """Eight colours, the centroids of all."""
    labels, centroids, *_ = omma.kmeans(img.reshape(-1, 3).astype(np.float32), 8, seed=1)
    return np.rint(centroids[labels]).astype(np.uint8).reshape(img.shape)


# The caption, what goes in, and what is done to it.
OPERATORS: list[tuple[str, Callable[[Image], Image], Callable[[Image], Image]]] = [
    ("resize, nearest: 48 to 256", small, lambda img: omma.resize(img, (SIDE, SIDE), "nearest")),
    ("resize, linear: 48 to 256", small, lambda img: omma.resize(img, (SIDE, SIDE), "linear")),
    ("resize, cubic: 48 to 256", small, lambda img: omma.resize(img, (SIDE, SIDE), "cubic")),
    ("resize, linear: 768 to 128", stripes, lambda img: omma.resize(img, (128, 128), "linear")),
    ("resize, area: 768 to 128", stripes, lambda img: omma.resize(img, (128, 128), "area")),
    ("resize, cubic, antialias: 768 to 128", stripes, lambda img: omma.resize(img, (128, 128), "cubic", antialias=True)),
    ("median_blur, 3", spotted, lambda img: omma.median_blur(img, 3)),
    ("median_blur, 5", spotted, lambda img: omma.median_blur(img, 5)),
    ("median_blur, 15", face, lambda img: omma.median_blur(img, 15)),
    ("image_to_tensor, letterbox", whole, network_input),
    ("rotate, 30 degrees, expanded", face, lambda img: omma.rotate(img, 30, expand=True, value=255)),
    ("warp_affine, reflect_101", face, lambda img: omma.warp_affine(img, AFFINE, (SIDE, SIDE), border="reflect_101")),
    ("warp_perspective", face, tilted),
    ("remap", face, swirled),
    ("kmeans of colours, 8", face, few_colours),
]


def place(sheet: Image, img: Image, top: int, left: int) -> None:
    """Puts a picture in the middle of its cell, larger ones made to fit."""
    h, w = img.shape[:2]
    if max(h, w) > SIDE:
        img, h, w = whole(img), SIDE, SIDE
    top, left = top + (SIDE - h) // 2, left + (SIDE - w) // 2
    sheet[top : top + h, left : left + w] = img


def main(source: str, target: str) -> None:
    photo = cv2.imread(source)
    if photo is None:
        sys.exit(f"{source} is no picture")
    rows = -(-len(OPERATORS) // COLUMNS)
    cell_h, cell_w = SIDE + CAPTION + GAP, 2 * SIDE + 3 * GAP
    sheet = np.full((rows * cell_h + GAP, COLUMNS * cell_w + GAP, 3), 255, np.uint8)
    for i, (caption, before, after) in enumerate(OPERATORS):
        top, left = i // COLUMNS * cell_h + GAP, i % COLUMNS * cell_w + GAP
        cv2.putText(sheet, caption, (left, top + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (0, 0, 0), 1, cv2.LINE_AA)
        img = before(photo)
        place(sheet, img, top + CAPTION, left)
        place(sheet, after(img), top + CAPTION, left + SIDE + GAP)
    if not cv2.imwrite(target, sheet, [cv2.IMWRITE_JPEG_QUALITY, 82]):
        sys.exit(f"{target} cannot be written")
    print(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
