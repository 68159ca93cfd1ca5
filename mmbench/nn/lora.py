"""Low-rank adapters (LoRA, arXiv 2106.09685): a frozen matrix learns by a small addition of low rank."""

from collections.abc import Iterable
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.errors import UserError, unknown_name
from mmbench.nn.decoder import Decoder
from mmbench.nn.feed_forward import FeedForward
from mmbench.nn.self_attention import SelfAttention

Target = Literal["attention", "feed_forward", "all"]
"""Which matrices of each block get an adapter."""


class Adapter(nn.Module):
    """``alpha / rank * up(down(x))``, added to what a linear layer puts out; 0 at first, since ``up`` is."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.down = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.up = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.down, a=5**0.5)
        # A hook, and not a layer around the layer: the decoder's tensors keep their names.
        self.hook = linear.register_forward_hook(self.add)

    def add(self, linear: nn.Module, given: tuple[Tensor], out: Tensor) -> Tensor:
        """What the linear layer puts out, with the addition."""
        return out + self.scale * F.linear(F.linear(given[0], self.down), self.up)


class Adapters(nn.ModuleDict):
    """The adapters of a decoder, by the name of their linear layer with ``/`` for its dots. All that trains with LoRA:
    its ``state_dict`` is what is stored."""


def add_lora(decoder: Decoder, rank: int, alpha: float, targets: Iterable[str] = ("all",)) -> Adapters:
    """Give a decoder adapters; it computes exactly what it did until they train.

    Queries, keys and values are one matrix here, so one adapter serves the three: they share the ``rank`` directions
    that are read from the input, and each has output rows of its own. Three adapters of that rank, one for each, would
    read three times as many directions. The same holds for gate and up. Of a mixture of experts the shared experts get
    adapters; the router and the routed experts get none.

    The decoder's weights are not frozen here: what trains is the stages' business. The adapters are no part of the
    decoder: copy, move and store the module that holds both.

    Args:
        decoder: gets hooks.
        rank: of each addition.
        alpha: the addition is scaled by ``alpha / rank``.
        targets: ``attention``, ``feed_forward``, ``all``.

    Raises:
        UserError: the rank is less than 1, or there is no such target.
    """
    chosen = set(targets)
    for target in chosen - set(get_args(Target)):
        raise unknown_name("lora target", target, get_args(Target))
    if rank < 1:
        raise UserError(f"lora.rank is {rank}; it must be at least 1")
    attention, feed_forward = bool(chosen & {"attention", "all"}), bool(chosen & {"feed_forward", "all"})
    adapters = Adapters()
    for parent, module in decoder.named_modules():
        adapted = (attention and isinstance(module, SelfAttention)) or (
            feed_forward and isinstance(module, FeedForward)
        )
        for name, child in module.named_children() if adapted else ():
            if isinstance(child, nn.Linear):
                adapters[f"{parent}.{name}".replace(".", "/")] = Adapter(child, rank, alpha)
    return adapters


@torch.no_grad()
def merge_lora(decoder: Decoder, adapters: Adapters) -> None:
    """Add the adapters to the decoder's weights and take them off: it computes what it did with them, at no cost."""
    for name, adapter in adapters.items():
        assert isinstance(adapter, Adapter)
        linear = decoder.get_submodule(name.replace("/", "."))
        assert isinstance(linear, nn.Linear)
        linear.weight += adapter.scale * (adapter.up @ adapter.down)
        adapter.hook.remove()
