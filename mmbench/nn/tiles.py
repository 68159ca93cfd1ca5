"""Dynamic tiles: a picture cut into as many crops of one size as suit its shape, and a thumbnail of all of it.

InternVL 1.5 (arXiv 2404.16821) and NVLM (arXiv 2409.11402) cut side by side; Molmo (arXiv 2409.17146) lets
neighbouring crops overlap, so that no patch lies at the edge of all the crops that show it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Tiles:
    """B pictures as up to K tiles of t x t pixels each, row by row; K is the most tiles that one of them has."""

    tiles: Tensor
    """[B, K, 3, t, t], of the pictures' type; 0 where there is no tile."""
    mask: Tensor
    """bool [B, K]: whether there is a tile."""
    grids: Tensor
    """int64 [B, 2]: rows and columns of each picture's tiles."""
    thumbnails: Tensor
    """[B, 3, t, t]: each picture as a whole, squashed."""


def tile(images: Tensor, sizes: Tensor | None, tile_size: int, max_tiles: int, overlap: int = 0) -> Tiles:
    """Resize each picture to its `best_grids` and cut it; what lies beyond the picture in its canvas is not seen.

    Args:
        images: [B, 3, H, W] canvases, uint8 or floats, each with its picture at the top left.
        sizes: int64 [B, 2] height and width of the pictures; None: they fill their canvas.
        tile_size: t, in pixels.
        max_tiles: the most tiles of a picture.
        overlap: pixels that neighbouring tiles share.

    Raises:
        ValueError: see `best_grids`.
    """
    sizes = _sizes(images, sizes)
    grids = best_grids(sizes, tile_size, max_tiles, overlap)
    num_tiles = grids.prod(dim=1)
    number = torch.arange(int(num_tiles.max()) if len(images) else 0, device=images.device)
    mask = number < num_tiles[:, None]
    number = torch.where(mask, number, 0)  # [B, K]
    places = torch.stack([number // grids[:, 1:], number % grids[:, 1:]])  # [2, B, K] row and column of each tile
    starts = places * (tile_size - overlap)
    whole = grids.T * (tile_size - overlap) + overlap  # [2, B] height and width of the resized pictures
    rows, columns = (
        _resampling(sizes[:, axis, None], whole[axis][:, None], starts[axis], tile_size, images.shape[2 + axis])
        for axis in (0, 1)
    )
    cut = _resampled(images[:, None], rows, columns)
    return Tiles(cut * mask[:, :, None, None, None], mask, grids, squashed(images, sizes, tile_size))


def squashed(images: Tensor, sizes: Tensor | None, side: int) -> Tensor:
    """Each whole picture as a square: the down-sampling to one size that encoders of a fixed resolution need.

    Args:
        images: [B, 3, H, W] canvases, uint8 or floats, each with its picture at the top left.
        sizes: int64 [B, 2] height and width of the pictures; None: they fill their canvas.
        side: in pixels.

    Returns:
        [B, 3, side, side] of the type of ``images``.
    """
    sizes = _sizes(images, sizes)
    whole = torch.full_like(sizes[:, 0], side)
    rows, columns = (
        _resampling(sizes[:, axis], whole, torch.zeros_like(whole), side, images.shape[2 + axis]) for axis in (0, 1)
    )
    return _resampled(images, rows, columns)


def best_grids(sizes: Tensor, tile_size: int, max_tiles: int, overlap: int = 0) -> Tensor:
    """Rows and columns of tiles for each picture: of all grids with 1 to ``max_tiles`` tiles the one whose width over
    height is nearest to the picture's.

    Of grids that are equally near (1 x 1 and 2 x 2), it is the largest that has at most twice the picture's pixels,
    else the smallest: a small picture is not blown up.

    Args:
        sizes: int64 [B, 2] heights and widths in pixels.
        tile_size: t, in pixels.
        max_tiles: at least 1.
        overlap: pixels that neighbouring tiles share, from 0 to below t.

    Returns:
        int64 [B, 2].

    Raises:
        ValueError: there may be no tile, or tiles would not move on.
    """
    if max_tiles < 1:
        raise ValueError(f"max_tiles is {max_tiles}; a picture needs at least 1 tile")
    if not 0 <= overlap < tile_size:
        raise ValueError(
            f"tiles of {tile_size} px cannot overlap by {overlap} px; give 0 or more, and less than a tile"
        )
    grids = torch.tensor(
        [(rows, columns) for rows in range(1, max_tiles + 1) for columns in range(1, max_tiles // rows + 1)],
        device=sizes.device,
    )  # [G, 2]
    grids = grids[grids.prod(dim=1).sort(stable=True).indices]  # from the smallest to the largest
    sides = (grids * (tile_size - overlap) + overlap).float()
    off = (sizes[:, 1:] / sizes[:, :1].float() - sides[:, 1] / sides[:, 0]).abs()  # [B, G]
    nearest = off <= off.amin(dim=1, keepdim=True) + 1e-5
    small_enough = sides.prod(dim=1) <= 2 * sizes.prod(dim=1, keepdim=True)
    number = torch.arange(len(grids), device=sizes.device)
    largest = torch.where(nearest & small_enough, number, -1).amax(dim=1)
    smallest = torch.where(nearest, number, len(grids)).amin(dim=1)
    return grids[torch.where(largest >= 0, largest, smallest)]


def _sizes(images: Tensor, sizes: Tensor | None) -> Tensor:
    if sizes is not None:
        return sizes
    return torch.tensor([images.shape[2:]], device=images.device).expand(len(images), 2)


def _resampling(length: Tensor, whole: Tensor, starts: Tensor, num: int, num_pixels: int) -> Tensor:
    """Weights [..., num, num_pixels] that make of a line of pixels the pixels ``starts`` .. ``starts + num - 1`` of
    that line resized from ``length`` to ``whole``.

    A triangle as wide as the coarser of the two rasters: linear between pixels where there are to be more, and a
    weighted mean over all that a new pixel covers where there are to be fewer.

    Args:
        length, whole, starts: int64, of shapes that go together.
    """
    scale = (length / whole.float())[..., None, None]
    places = (starts[..., None, None] + torch.arange(num, device=starts.device)[:, None] + 0.5) * scale
    pixels = torch.arange(num_pixels, device=starts.device) + 0.5
    weights = (1 - (pixels - places).abs() / scale.clamp(min=1)).clamp(min=0) * (pixels < length[..., None, None])
    return weights / weights.sum(dim=-1, keepdim=True)


def _resampled(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """[..., 3, t, t] of images [..., 3, H, W] by weights for their rows [..., t, H] and columns [..., t, W]."""
    with torch.autocast(images.device.type, enabled=False):
        resized = rows[..., None, :, :] @ images.float() @ columns[..., None, :, :].mT
    return resized.round().clamp(0, 255).to(images.dtype) if images.dtype == torch.uint8 else resized.to(images.dtype)
