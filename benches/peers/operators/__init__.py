"""The rows of each family: the table that omma is judged by, then sweeps that show how cost grows."""

from ..rows import Row
from . import attention, boxes, cluster, conv, gemm, grid, image, neighbours, networks, nn, roi, warp

FAMILIES = {
    "conv": conv,
    "networks": networks,
    "gemm": gemm,
    "nn": nn,
    "attention": attention,
    "boxes": boxes,
    "roi": roi,
    "image": image,
    "grid": grid,
    "warp": warp,
    "cluster": cluster,
    "neighbours": neighbours,
}


def all_rows() -> dict[str, list[Row]]:
    """Family -> its rows."""
    return {name: module.rows() for name, module in FAMILIES.items()}
