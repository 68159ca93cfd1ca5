"""Keys and values of the tokens a decoder has read, so that generation computes each token once."""

from torch import Tensor


class KeyValueCache:
    """Room for ``max_length`` tokens of every layer, taken at the first use in the type and on the device of the keys.

    A decoder calls ``append`` in each layer and ``advance`` once at the end of its forward pass.
    """

    def __init__(self, batch: int, max_length: int) -> None:
        self.batch = batch
        self.max_length = max_length
        self.length = 0
        """Tokens held, the same for all layers."""
        self._layers: list[tuple[Tensor, Tensor]] = []
        self._positions: Tensor | None = None

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values ``[B, Hkv, L, Dh]`` of one layer; gives views of all, ``[B, Hkv, length + L, Dh]``.

        Raises:
            ValueError: there is no room for so many tokens.
        """
        end = self.length + k.shape[2]
        if end > self.max_length or k.shape[0] != self.batch:
            raise ValueError(
                f"the cache has room for {self.batch} rows of {self.max_length} tokens, "
                f"but {k.shape[0]} rows of {end} tokens were given: make a larger one"
            )
        if layer == len(self._layers):
            shape = (self.batch, k.shape[1], self.max_length, k.shape[3])
            # Zeros, not uninitialised memory: a masked entry is still multiplied by 0.
            self._layers.append((k.new_zeros(shape), v.new_zeros(shape)))
        keys, values = self._layers[layer]
        keys[:, :, self.length : end] = k
        values[:, :, self.length : end] = v
        return keys[:, :, :end], values[:, :, :end]

    def append_positions(self, positions: Tensor) -> Tensor:
        """Add positions ``[B, L]``, before `advance`; gives those of all tokens, ``[B, length + L]``.

        Only decoders with a sliding window ask for them.
        """
        end = self.length + positions.shape[1]
        if self._positions is None:
            self._positions = positions.new_zeros(self.batch, self.max_length)
        self._positions[:, self.length : end] = positions
        return self._positions[:, :end]

    def advance(self, num_tokens: int) -> None:
        """Count the tokens that every layer has added."""
        self.length += num_tokens
