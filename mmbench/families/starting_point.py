"""The common starting point: an image encoder and a language model, pretrained once and shared by all systems."""

import torch
from torch import Tensor, nn

from mmbench.config.training import ObjectiveSettings
from mmbench.data.batch import Batch, Role
from mmbench.families.trainee import Losses, Trainee
from mmbench.families.trunk import at_role, read_rows, token_losses
from mmbench.families.vision.views import square_views
from mmbench.nn.contrastive import ContrastiveHead
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import ImageEncoder


class ContrastivePretraining(Trainee):
    """An image encoder learns to tell which caption belongs to which image (CLIP, arXiv 2103.00020).

    The text tower is a small decoder of its own, thrown away afterwards.
    """

    def __init__(self, encoder: ImageEncoder, text_tower: Decoder, bos_id: int, group: int) -> None:
        super().__init__({"contrastive": 1.0})
        self.encoder = encoder
        self.text_tower = text_tower
        self.bos_id = bos_id
        self.group = group
        self.head = ContrastiveHead(encoder.dim, text_tower.config.width, encoder.dim)

    def parts(self) -> dict[str, nn.Module]:
        """Both towers and the projections."""
        return {"encoder": self.encoder, "text_tower": self.text_tower, "head": self.head}

    def loss(self, batch: Batch) -> Losses:
        """Symmetric softmax over the images and captions of each group.

        An image is the maximum of its tokens, dimension by dimension: what one token sees is not averaged away, and
        the systems read tokens, not their mean.
        """
        pixels = square_views(self.encoder.normalise(batch.images), batch.sizes).pixels
        image = self.encoder(pixels).amax(dim=1)
        hidden = _read_text(self.text_tower, batch, self.bos_id)
        text, valid = at_role(hidden, batch.roles, Role.TEXT_QUERY)
        loss, _ = self.head.loss(self.head.embed_image(image), self.head.embed_text(text), valid, self.group)
        return Losses({"contrastive": loss})


class TextPretraining(Trainee):
    """A decoder learns the training text, next token by next token."""

    def __init__(self, decoder: Decoder, bos_id: int) -> None:
        usual = ObjectiveSettings()
        super().__init__({"text": 1.0, "balance": usual.balance, "router_z": usual.router_z})
        self.decoder = decoder
        self.bos_id = bos_id

    def parts(self) -> dict[str, nn.Module]:
        """The decoder."""
        return {"language_model": self.decoder}

    def loss(self, batch: Batch) -> Losses:
        """Next-token loss of every text token but the first of each text."""
        losses = token_losses(self.decoder, _read_text(self.decoder, batch, self.bos_id), batch, {"text": Role.TEXT})
        losses.sums |= {name: of_rows.sum() for name, of_rows in self.decoder.auxiliary_losses().items()}
        return losses


def _read_text(decoder: Decoder, batch: Batch, bos_id: int) -> Tensor:
    prefix = decoder.embed(torch.full((len(batch.token_ids), 1), bos_id, device=batch.token_ids.device))
    sees_nothing = torch.zeros_like(batch.token_ids, dtype=torch.bool)
    return read_rows(decoder, batch, prefix, decoder.embed(batch.token_ids), sees_nothing)
