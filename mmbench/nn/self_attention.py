"""Self-attention of a decoder block."""

from torch import Tensor, nn

from mmbench.nn.attention import attend
from mmbench.nn.cache import KeyValueCache
from mmbench.nn.masks import causal_mask
from mmbench.nn.norms import Norm, build_norm
from mmbench.nn.rotary import Rotation, rotate


class SelfAttention(nn.Module):
    """Grouped-query attention with rotary positions.

    One matrix makes queries, keys and values: under autocast the input is then cast once, not three times.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        num_kv_heads: int,
        head_dim: int,
        qkv_bias: bool = False,
        output_bias: bool = False,
        qk_norm: Norm | None = None,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = num_heads, num_kv_heads, head_dim
        self.query_key_value = nn.Linear(width, (num_heads + 2 * num_kv_heads) * head_dim, bias=qkv_bias)
        self.output = nn.Linear(num_heads * head_dim, width, bias=output_bias)
        self.has_norms = qk_norm is not None
        if qk_norm is not None:
            self.query_norm = build_norm(qk_norm, head_dim, norm_eps)
            self.key_norm = build_norm(qk_norm, head_dim, norm_eps)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
        num_last: int | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            x: ``[B, L, D]``.
            rotation: cosines and sines for `rotate`; None = nothing turns.
            mask: as `attend` takes it; None = causal.
            cache: gets the keys and values, and gives those of what came before.
            layer: which layer of the cache.
            num_last: how many tokens, counted from the last, are to attend; the others are only attended to.
                None = all.

        Returns:
            ``[B, L, D]``, or of the last ones alone ``[B, num_last, D]``.
        """
        length = x.shape[1]
        # B may be 0: a micro-batch without a text of the kind that is read.
        heads = self.query_key_value(x).unflatten(-1, (-1, self.head_dim))  # [B, L, H + 2 Hkv, Dh]
        q_k, v = heads.split([self.num_heads + self.num_kv_heads, self.num_kv_heads], dim=2)
        v = v.transpose(1, 2)
        if self.has_norms:
            q, k = self.query_norm(q_k[:, :, : self.num_heads]), self.key_norm(q_k[:, :, self.num_heads :])
            if rotation is not None:
                q, k = rotate(q, rotation), rotate(k, rotation)
            # Under autocast norms give float32, and keys would be kept in that.
            q, k = q.transpose(1, 2).to(v.dtype), k.transpose(1, 2).to(v.dtype)
        else:
            rotated = (q_k if rotation is None else rotate(q_k, rotation)).transpose(1, 2)  # [B, H + Hkv, L, Dh]
            q, k = rotated.split([self.num_heads, self.num_kv_heads], dim=1)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        if num_last is not None and num_last < length:
            q, length = q[:, :, -num_last:], num_last
            if mask is not None:
                mask = mask[:, :, -num_last:]
            elif num_last > 1:
                mask = causal_mask(num_last, k.shape[2] - num_last, x.device)
        attended = attend(q, k, v, mask, causal=mask is None and k.shape[2] == length > 1)
        out: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return out
