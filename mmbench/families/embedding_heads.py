"""Where a decoder's image and text embeddings are read."""

import torch
from torch import Tensor, nn

from mmbench.data.batch import Role
from mmbench.nn.contrastive import ContrastiveHead


class EmbeddingHeads(nn.Module):
    """Learned queries that stand at the end of a text or after an image, and the projections read from them."""

    def __init__(self, width: int, embed_dim: int) -> None:
        super().__init__()
        self.image_query = nn.Parameter(torch.randn(width) * 0.02)
        self.text_query = nn.Parameter(torch.randn(width) * 0.02)
        self.contrastive = ContrastiveHead(width, width, embed_dim)

    def put_queries(self, tokens: Tensor, roles: Tensor) -> Tensor:
        """``tokens [B, T, D]`` with the learned queries at the positions of the query roles."""
        tokens = torch.where((roles == Role.IMAGE_QUERY)[..., None], self.image_query.to(tokens.dtype), tokens)
        return torch.where((roles == Role.TEXT_QUERY)[..., None], self.text_query.to(tokens.dtype), tokens)
