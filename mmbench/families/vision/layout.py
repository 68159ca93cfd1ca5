"""How image tokens stand in the context: tags before tiles, breaks after rows, positions in the plane."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmbench.config.errors import UserError
from mmbench.families.sight import Sight
from mmbench.families.vision.look import Look
from mmbench.families.vision.options import refuse_unused
from mmbench.families.vision.rows import Row, in_rows
from mmbench.nn.connectors import Grid
from mmbench.nn.decoder import Decoder


@dataclass
class LayoutOptions:
    """Options of how image tokens stand in the context."""

    tile_tags: bool = False
    """Whether a learned embedding stands before the tokens of each tile and of the thumbnail, one for each place in
    the order of tiles (NVLM, arXiv 2409.11402)."""
    row_breaks: Literal["none", "newline", "break"] = "none"
    """``newline``: a learned embedding after each row of an image's tokens (Fuyu); ``break``: likewise, with another
    after the last row, which ends the image (Pixtral, arXiv 2410.07073)."""
    image_positions: bool = False
    """Whether a learned embedding for its row and one for its column are added to each image token."""


class Layout(nn.Module):
    """Image tokens of the language model's width to the prefix of its context.

    Where the language model has M-RoPE sections, image tokens have three positions, in time, height and width, and the
    text goes on after the largest of them (arXiv 2409.12191).
    """

    def __init__(
        self,
        options: LayoutOptions,
        decoder: Decoder.Config,
        num_tags: int,
        grid: Grid | None,
        own_breaks: bool = True,
    ) -> None:
        """Make the embeddings.

        Args:
            options: what there is.
            decoder: of the language model.
            num_tags: tiles, the thumbnail included, that an image can have; 0: there are no tiles.
            grid: rows and columns of a view's tokens; None: they lie in none.
            own_breaks: whether breaks have learned embeddings; if not, they are given to `forward`.

        Raises:
            UserError: options that do not go together, or not with such tokens.
        """
        super().__init__()
        self.row_breaks = options.row_breaks
        self.three_positions = decoder.mrope_sections is not None
        _check(options, self.three_positions, num_tags, grid)
        width = decoder.width
        self.tags = embeddings(num_tags, width) if options.tile_tags else None
        self.row_break = embeddings(1, width) if own_breaks and options.row_breaks != "none" else None
        self.image_end = embeddings(1, width) if own_breaks and options.row_breaks == "break" else None
        rows, columns = grid if grid and options.image_positions else (0, 0)
        self.row_positions = embeddings(rows, width) if rows else None
        self.column_positions = embeddings(columns, width) if columns else None

    def forward(
        self, looks: Sequence[Look], num_images: int, trail: Tensor | None = None, breaks: Tensor | None = None
    ) -> Row:
        """The connected tokens of B images with all that stands among them, and where those of each view stand.

        Args:
            looks: the views.
            num_images: ``B``.
            trail: ``[N, D]`` embeddings that stand after each image.
            breaks: ``[2, D]`` embeddings of the breaks, where they are not learned here.
        """
        pieces, images = [self._dressed(one, breaks) for one in looks], [one.images for one in looks]
        if trail is not None:
            pieces.append(trail.to(pieces[0].dtype).expand(num_images, -1, -1))
            images.append(list(range(num_images)))
        return in_rows(pieces, images, num_images)

    def sight(self, row: Row, looks: Sequence[Look], lead: Tensor | None = None, trail: Tensor | None = None) -> Sight:
        """The prefix of B images.

        Args:
            row: as `forward` made it.
            looks: of which it was made.
            lead: ``[N, D]`` embeddings that stand before each image.
            trail: those that ``row`` was given.
        """
        num_lead, num_images = 0 if lead is None else len(lead), len(row.values)
        prefix, mask = row.values, row.mask
        if lead is not None:
            prefix = torch.cat([lead.to(prefix.dtype).expand(num_images, -1, -1), prefix], dim=1)
            mask = None if mask is None else F.pad(mask, (num_lead, 0), value=True)
        sight = Sight(prefix=prefix, prefix_mask=mask)
        if self.three_positions:
            num_trail = 0 if trail is None else len(trail)
            places = _positions(looks, num_images, num_lead, num_trail, prefix.device)
            sight.prefix_positions, sight.text_start = places
        return sight

    def _dressed(self, one: Look, breaks: Tensor | None) -> Tensor:
        """``[V, M, D]`` with all that stands among them."""
        tokens = one.tokens
        if one.grid is not None:
            if self.row_positions is not None and self.column_positions is not None:
                rows, columns = (
                    _stretched(table, num)
                    for table, num in zip((self.row_positions, self.column_positions), one.grid, strict=True)
                )
                tokens = tokens + (rows[:, None] + columns).flatten(0, 1).to(tokens.dtype)
            if breaks is not None:
                tokens = _broken(tokens, one.grid, breaks[:1], breaks[1:])
            elif self.row_break is not None:
                tokens = _broken(tokens, one.grid, self.row_break, self.image_end)
        if self.tags is not None:
            tag = self.tags[torch.tensor(one.tags, device=tokens.device)]
            tokens = torch.cat([tag[:, None].to(tokens.dtype), tokens], dim=1)
        return tokens


def embeddings(num: int, width: int) -> nn.Parameter:
    """Learned ``[num, width]``, about as large as token embeddings."""
    return nn.Parameter(torch.randn(num, width) * 0.02)


def _check(options: LayoutOptions, three_positions: bool, num_tags: int, grid: Grid | None) -> None:
    if not num_tags:
        refuse_unused(options, ("tile_tags",), "there are no tiles", "views: tiles")
    if grid is None:
        why = "the connector's tokens lie in no rows and columns"
        refuse_unused(options, ("row_breaks", "image_positions"), why, "another connector, for instance mlp")
    if three_positions and (num_tags or grid is None or options.row_breaks != "none"):
        raise UserError(
            "the language model has mrope_sections, but image tokens have a position in height and width only where an "
            "image is one raster of tokens: leave mrope_sections out, or give views: native or square, "
            "row_breaks: none and a connector that keeps rows and columns"
        )


def _stretched(table: Tensor, num: int) -> Tensor:
    """Embeddings ``[rows, D]`` for ``num`` rows, where an image has more or fewer than they were made for."""
    if len(table) == num:
        return table
    return F.interpolate(table.T[None], size=num, mode="linear", align_corners=False)[0].T


def _broken(tokens: Tensor, grid: Grid, row_break: Tensor, image_end: Tensor | None) -> Tensor:
    """``[V, rows * columns, D]`` with ``row_break [1, D]`` after each row, but ``image_end`` after the last."""
    rows, columns = grid
    ends = row_break.expand(rows, -1)
    if image_end is not None:
        ends = torch.cat([ends[1:], image_end])
    ends = ends[:, None].to(tokens.dtype).expand(len(tokens), -1, -1, -1)  # [V, rows, 1, D]
    in_rows_of_patches = tokens.view(len(tokens), rows, columns, -1)
    return torch.cat([in_rows_of_patches, ends], dim=2).flatten(1, 2)


def _positions(
    looks: Sequence[Look], num_images: int, num_lead: int, num_trail: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Positions ``[B, N, 3]`` of the prefix, and ``[B]`` where the text goes on."""
    first = 1 + num_lead  # <bos> stands at 0
    pieces, text_start = [], [first] * num_images
    for one in looks:
        rows, columns = one.grid or (0, 0)
        place = torch.cartesian_prod(torch.arange(rows, device=device), torch.arange(columns, device=device))
        pieces.append(F.pad(place + first, (1, 0), value=first).expand(len(one.images), -1, -1))
        for image in one.images:
            text_start[image] = first + max(rows, columns)
    after_image = torch.tensor(text_start, device=device)
    of_trail = after_image[:, None] + torch.arange(num_trail, device=device)
    pieces.append(of_trail[..., None].expand(-1, -1, 3))
    images = [*(one.images for one in looks), list(range(num_images))]
    of_image = in_rows(pieces, images, num_images).values
    of_lead = torch.arange(1, first, device=device)[:, None].expand(num_images, -1, 3)
    return torch.cat([of_lead, of_image], dim=1), after_image + num_trail
