"""The projector of LLaVA-1.5 and Pixtral as an ``mlp`` connector; the one layer of the first LLaVA written as two."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.nn.connectors.linear import LinearConnector
from mmbench.nn.connectors.mlp import MLPConnector
from mmbench.nn.layouts.text_fields import activation_name, read_activation
from mmbench.nn.tensor_names import Joined


def names(config: MLPConnector.Config, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """The table of names; the prefixes end with a dot where they are not empty."""
    for ours, theirs in (("mlp.up", "linear_1"), ("mlp.down", "linear_2")):
        for kind in ("weight", "bias")[: 1 + config.bias]:
            yield Joined(f"{prefix_ours}{ours}.{kind}", (f"{prefix_theirs}{theirs}.{kind}",))


def read_config(content: Mapping[str, Any]) -> MLPConnector.Config:
    """The options in the ``config.json`` of ``llava``.

    Raises:
        UserError: the activation is one that we do not have.
    """
    activation = read_activation({"hidden_act": content.get("projector_hidden_act", "gelu")})
    return MLPConnector.Config(activation=activation, bias=content.get("multimodal_projector_bias", True))


def write_config(config: MLPConnector.Config | LinearConnector.Config) -> dict[str, Any]:
    """What `read_config` reads; for a connector of one layer what `as_two_layers` makes.

    Raises:
        UserError: the connector has an inner width of its own.
    """
    if isinstance(config, LinearConnector.Config):
        return {"projector_hidden_act": "linear", "multimodal_projector_bias": config.bias}
    if config.hidden_width is not None:
        raise UserError(
            f"option 'hidden_width' is {config.hidden_width}, but llava's projector always has the language model's "
            "width inside: only a connector without the option can be written as llava"
        )
    return {
        "projector_hidden_act": activation_name(config.activation),
        "multimodal_projector_bias": config.bias,
    }


def as_two_layers(state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """The state of a `LinearConnector` as that of an `MLPConnector` with activation ``linear``: then the identity."""
    weight = state[f"{prefix}projection.weight"]
    layers = {f"{prefix}mlp.up.weight": weight, f"{prefix}mlp.down.weight": torch.eye(len(weight)).to(weight)}
    if (bias := state.get(f"{prefix}projection.bias")) is not None:
        layers |= {f"{prefix}mlp.up.bias": bias, f"{prefix}mlp.down.bias": torch.zeros_like(bias)}
    return layers
