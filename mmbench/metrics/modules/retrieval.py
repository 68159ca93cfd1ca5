"""Recall@K over batches and processes."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from mmbench.metrics.retrieval.ranks import RetrievalScores
from mmbench.metrics.retrieval.recall import coco_5x1k, cross_modal_recall

_SAME = 0.05  # relative difference of two embeddings of one thing, from half precision in another batch


class CrossModalRecall(Metric):
    """Recall@K and ranks in both directions; scores are dot products, so normalise the embeddings for the cosine.

    Images and captions are added in any order and any batches, each with an integer id; what a distributed sampler
    repeats is dropped. `compute()` gives the means by metric name, `scores()` the ranks of each query, with images
    and captions in the order of `image_ids()` and `caption_ids()`.

    Args:
        ks: the K of Recall@K.
        protocol: "coco_5x1k" for means over five galleries of 1,000 images, in the order of their ids (such as those
            of Karpathy's file), with the first five captions of each; by default all images are one gallery.
        settings: of `torchmetrics.Metric`.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False
    images: list[Tensor]
    image_keys: list[Tensor]
    texts: list[Tensor]
    text_keys: list[Tensor]

    def __init__(
        self, ks: Sequence[int] = (1, 5, 10), protocol: Literal["coco_5x1k"] | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        if protocol not in (None, "coco_5x1k"):
            raise ValueError(f'the protocol is "coco_5x1k", or None for one gallery, not {protocol!r}')
        self.ks = tuple(ks)
        self.protocol = protocol
        for state in ("images", "image_keys", "texts", "text_keys"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(
        self,
        image_ids: Tensor | Sequence[int],
        image_embeddings: Tensor,
        caption_ids: Tensor | Sequence[int],
        text_embeddings: Tensor,
        caption_image_ids: Tensor | Sequence[int],
    ) -> None:
        """Add a batch; a caption's image may be in another batch.

        Args:
            image_ids: [i].
            image_embeddings: [i, D].
            caption_ids: [c].
            text_embeddings: [c, D].
            caption_image_ids: [c] id of the image of each caption.

        Raises:
            ValueError: lengths that do not match.
        """
        images, captions, owners = (_ids(ids, self.device) for ids in (image_ids, caption_ids, caption_image_ids))
        if len(images) != len(image_embeddings) or not len(captions) == len(owners) == len(text_embeddings):
            raise ValueError(
                f"{len(images)} image ids for {len(image_embeddings)} embeddings, {len(captions)} caption ids and "
                f"{len(owners)} ids of their images for {len(text_embeddings)} embeddings: the numbers must match"
            )
        # Flat, since a process without examples cannot know D when tensors are gathered; D stands beside each id.
        self.images.append(image_embeddings.detach().float().flatten())
        self.image_keys.append(torch.stack([images, torch.full_like(images, image_embeddings.shape[1])], dim=1))
        self.texts.append(text_embeddings.detach().float().flatten())
        self.text_keys.append(torch.stack([captions, owners, torch.full_like(owners, text_embeddings.shape[1])], dim=1))

    def compute(self) -> dict[str, float]:
        """Means over queries, as `RetrievalScores.summary`, or those of the protocol, as `Coco5x1k.summary`.

        Raises:
            ValueError: no samples, a caption of an unknown image, an id with two different embeddings or images, or
                a number of images that the protocol does not know.
        """
        score = cross_modal_recall if self.protocol is None else coco_5x1k
        return score(*self._collected()).summary(self.ks)

    def scores(self) -> RetrievalScores:
        """The ranks of each query among what is in the state now; images and captions in the order of their ids."""
        return cross_modal_recall(*self._collected())

    def image_ids(self) -> list[int]:
        """Ids of the images in the state, ascending."""
        return sorted(set(dim_zero_cat(self.image_keys)[:, 0].tolist()))

    def caption_ids(self) -> list[int]:
        """Ids of the captions in the state, ascending."""
        return sorted(set(dim_zero_cat(self.text_keys)[:, 0].tolist()))

    def _collected(self) -> tuple[Tensor, Tensor, Tensor]:
        """Image embeddings [I, D], text embeddings [C, D] and the row of each caption's image [C]."""
        if not len(self.images) or not len(self.texts):
            raise ValueError("no samples: nothing was added before the scores were asked for")
        image_ids, images = _unique(dim_zero_cat(self.image_keys), dim_zero_cat(self.images), "image")
        caption_ids, texts = _unique(dim_zero_cat(self.text_keys), dim_zero_cat(self.texts), "caption")
        owner_ids = caption_ids[:, 1].contiguous()
        place = torch.searchsorted(image_ids[:, 0].contiguous(), owner_ids).clamp(max=len(image_ids) - 1)
        unknown = (image_ids[place, 0] != owner_ids).nonzero()[:, 0]
        if len(unknown):
            first = int(unknown[0])
            raise ValueError(
                f"{len(unknown)} captions belong to unknown images, such as caption {int(caption_ids[first, 0])} "
                f"to image {int(owner_ids[first])}"
            )
        return images, texts, place

    def _sync_dist(self, *arguments: Any, **settings: Any) -> None:
        # A process without examples offers empty tensors of the others' types.
        empty = {
            "images": torch.zeros(0),
            "image_keys": torch.zeros(0, 2, dtype=torch.int64),
            "texts": torch.zeros(0),
            "text_keys": torch.zeros(0, 3, dtype=torch.int64),
        }
        for state, tensor in empty.items():
            if isinstance(getattr(self, state), list) and not getattr(self, state):
                getattr(self, state).append(tensor.to(self.device))
        super()._sync_dist(*arguments, **settings)


def _ids(ids: Tensor | Sequence[int], device: torch.device) -> Tensor:
    return torch.as_tensor(ids, dtype=torch.int64, device=device).reshape(-1)


def _unique(keys: Tensor, values: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """Keys in ascending order and the embedding of each; an id (the first column) must not stand for two things."""
    if not len(keys):
        raise ValueError(f"no samples: no {what} was added before the scores were asked for")
    dims = np.unique(keys[:, -1].cpu().numpy())
    if len(dims) > 1:
        raise ValueError(f"{what} embeddings of different widths were added: {', '.join(map(str, dims))}")
    rows = values.reshape(len(keys), int(dims[0]))
    unique, first, place = np.unique(keys.cpu().numpy(), axis=0, return_index=True, return_inverse=True)
    twice = unique[1:][unique[1:, 0] == unique[:-1, 0]]
    if len(twice):
        raise ValueError(f"{what} {twice[0, 0]} was added with two different images")
    kept = rows[torch.from_numpy(first).to(rows.device)]
    # The same example in another batch may differ in its last bits.
    again = kept[torch.from_numpy(place.reshape(-1)).to(rows.device)]
    differs = ((again - rows).norm(dim=1) > _SAME * rows.norm(dim=1)).nonzero()[:, 0]
    if len(differs):
        raise ValueError(f"{what} {int(keys[differs[0], 0])} was added with two different embeddings")
    return torch.from_numpy(unique).to(rows.device), kept
