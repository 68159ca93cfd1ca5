"""A mixture of experts in the place of a feed-forward, as in DeepSeekMoE (arXiv 2401.06066) and Aria (2410.05993)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.config.model import ExpertSettings
from mmbench.nn.feed_forward import ACTIVATIONS, Activation, FeedForward


@dataclass
class Routing:
    """How the tokens of one forward pass were routed."""

    logits: Tensor
    """``[B, L, E]``, the router's score of each expert."""
    chosen: Tensor
    """int64 ``[B, L, k]``, the experts that each token went through."""


class MixtureOfExperts(nn.Module):
    """Each token goes through the few routed experts that the router scores highest, and through the shared ones.

    The routed experts' outputs are weighted by the softmax over the scores of those chosen. With one active expert
    that weight is always 1, and only the auxiliary losses teach the router.
    """

    def __init__(
        self, width: int, settings: ExpertSettings, activation: Activation = "silu", shared_bias: bool = False
    ) -> None:
        super().__init__()
        if not 1 <= settings.num_active <= settings.num_experts or settings.width < 1 or settings.num_shared < 0:
            raise UserError(
                f"experts are {settings}: num_active must lie between 1 and num_experts, width must be at least 1, "
                "and num_shared at least 0"
            )
        self.num_active = settings.num_active
        self.router = nn.Linear(width, settings.num_experts, bias=False)
        self.experts = Experts(width, settings.num_experts, settings.width, activation)
        self.shared = None
        if settings.num_shared:
            self.shared = FeedForward(
                width, settings.num_shared * settings.width, activation=activation, bias=shared_bias
            )
        self.last_routing: Routing | None = None
        """Of the last forward pass, if it was made with gradients: what the auxiliary losses are computed from."""

    def forward(self, x: Tensor) -> Tensor:
        """``[B, L, D]`` to ``[B, L, D]``."""
        logits = self.router(x)
        scores, chosen = logits.topk(self.num_active)  # [B, L, k]
        self.last_routing = Routing(logits, chosen) if torch.is_grad_enabled() else None
        tokens = x.reshape(-1, x.shape[-1])
        weights = scores.float().softmax(-1).to(x.dtype)
        out: Tensor = self.experts(tokens, chosen.flatten(0, 1), weights.flatten(0, 1)).view_as(x)
        return out if self.shared is None else out + self.shared(x)

    def __getstate__(self) -> dict[str, Any]:
        """Without the last routing: a tensor in the midst of a graph cannot be copied."""
        return {**self.__dict__, "last_routing": None}

    def num_idle_parameters(self) -> int:
        """Parameters that a token does not go through: those of the routed experts not chosen for it."""
        of_experts = sum(parameter.numel() for parameter in self.experts.parameters())
        num_experts = self.router.out_features
        return of_experts // num_experts * (num_experts - self.num_active)


class Experts(nn.Module):
    """Gated feed-forwards of one size; each token goes through some of them."""

    def __init__(self, width: int, num_experts: int, inner_width: int, activation: Activation) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.gate_up = nn.Parameter(torch.empty(num_experts, width, 2 * inner_width))
        self.down = nn.Parameter(torch.empty(num_experts, inner_width, width))
        for parameter in (self.gate_up, self.down):
            nn.init.normal_(parameter, 0, 0.02)

    def forward(self, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """Run the experts.

        Tokens are sorted by expert, so that each expert is one product of matrices. An expert without tokens gets a
        gradient of 0, not none: all processes touch the same parameters.

        Args:
            x: tokens ``[N, D]``.
            chosen: int64 ``[N, k]``, the experts of each.
            weights: ``[N, k]``, of each expert's output.

        Returns:
            ``[N, D]``
        """
        num_tokens, num_active = chosen.shape
        order = chosen.flatten().argsort(stable=True)  # [N k]
        counts = chosen.flatten().bincount(minlength=len(self.gate_up)).tolist()
        groups = torch.split(x[order // num_active], counts)
        outputs = []
        # Unbound together: a gradient for each expert alone would fill the whole tensor, once per expert.
        for group, gate_up, down in zip(groups, self.gate_up.unbind(), self.down.unbind(), strict=True):
            if len(group):
                gate, up = (group @ gate_up).chunk(2, -1)
                outputs.append((self.activation(gate) * up) @ down)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        in_order = torch.cat(outputs)[back].view(num_tokens, num_active, -1)
        return (in_order * weights[:, :, None]).sum(1).to(x.dtype)


def balance_loss(routing: Routing, is_token: Tensor) -> Tensor:
    """How unevenly each row's tokens fall on the experts: float32 ``[B]``, 1 where evenly, at most the experts' number.

    The experts' number times the sum over experts of the share of choices that fell on it and its mean probability
    (Switch, arXiv 2101.03961; with several choices a token as in DeepSeekMoE, arXiv 2401.06066). Of each row by
    itself, so that the losses of rows add up whatever the batch.

    Args:
        routing: of one block.
        is_token: bool ``[B or 1, L]``, False = padding.
    """
    logits = routing.logits.float()
    num_experts = logits.shape[-1]
    counted = is_token.expand(logits.shape[:2]).float()[:, :, None]
    chosen = torch.zeros_like(logits).scatter_(2, routing.chosen, 1 / routing.chosen.shape[-1])
    num_tokens = counted.sum(1).clamp(min=1)  # [B, 1]
    share = (chosen * counted).sum(1) / num_tokens
    probability = (logits.softmax(-1) * counted).sum(1) / num_tokens
    return num_experts * (share * probability).sum(-1)


def router_z_loss(routing: Routing, is_token: Tensor) -> Tensor:
    """Mean square of the log of the router's partition function over each row's tokens: float32 ``[B]``.

    It keeps the scores small, where softmax is stable (ST-MoE, arXiv 2202.08906). Arguments as `balance_loss`.
    """
    squares = routing.logits.float().logsumexp(-1).square()
    counted = is_token.expand(squares.shape).float()
    return (squares * counted).sum(1) / counted.sum(1).clamp(min=1)
