"""Dual encoders with the weights of Hugging Face's CLIP and SigLIP compute what those compute."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.families.dual import Dual
from mmbench.families.family import SharedParts
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import build_encoder
from mmbench.nn.layouts import clip, siglip
from mmbench.nn.layouts.two_towers import TwoTowers
from mmbench.nn.tensor_names import to_ours, to_theirs

transformers = pytest.importorskip("transformers")

BOS, EOS, PAD = 61, 62, 1
TEXTS = [[5, 9, 30], [7], [12, 3, 44, 20, 21, 8], [40, 41]]
SIZES = {
    "text_config": {"vocab_size": 63, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2}
    | {"num_attention_heads": 3, "max_position_embeddings": 10, "bos_token_id": BOS, "eos_token_id": EOS},
    "vision_config": {"hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 4}
    | {"image_size": 24, "patch_size": 8},
}


def random_model(kind: str) -> Any:
    """A small model of Hugging Face whose every parameter matters."""
    torch.manual_seed(0)
    if kind == "clip":
        model = transformers.CLIPModel(transformers.CLIPConfig(**SIZES, projection_dim=20))
    else:
        sizes = SIZES | {"text_config": SIZES["text_config"] | {"projection_size": 32}}
        model = transformers.SiglipModel(transformers.SiglipConfig(**sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def dual_of(towers: TwoTowers, kind: str) -> Dual:
    """A dual encoder of these sizes."""
    encoder, decoder = build_encoder(towers.encoder, 24), Decoder(towers.decoder)
    parts = SharedParts(encoder, decoder, BOS, EOS)
    if kind == "clip":
        return Dual(Dual.Config(image_pool="class", embed_dim=towers.embed_dim, longest_text=10), parts, {})
    config = Dual.Config(
        objective="sigmoid",
        image_pool="attention",
        pool_feed_forward_width=56,
        project_image=False,
        text_attention="bidirectional",
        begin_token=False,
        longest_text=10,
        pad_text=True,
        text_pad_id=PAD,
    )
    return Dual(config, parts, {})


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_logits_equal(kind: str) -> None:
    layout = {"clip": clip, "siglip": siglip}[kind]
    theirs = random_model(kind)
    towers = layout.read_config(theirs.config.to_dict())
    tensors: dict[str, Tensor] = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    family = dual_of(towers, kind).eval()
    family.load_state_dict(to_ours(tensors, layout.names(towers)))
    assert not tensors, "all of theirs is used"

    images = torch.randint(0, 256, (3, 3, 24, 24), dtype=torch.uint8)
    begin = [BOS] if kind == "clip" else []
    ids = torch.tensor([[*begin, *text, EOS, *[PAD] * (9 - len(begin) - len(text))] for text in TEXTS])
    with torch.no_grad():
        expected = theirs(input_ids=ids, pixel_values=family.encoder.normalise(images))
        found = family.heads.contrastive.similarity(family.embed_images(images), family.embed_texts(TEXTS))
    assert float(expected.logits_per_image.std()) > 0.01, "logits all alike could not tell a mistake"
    torch.testing.assert_close(found, expected.logits_per_image, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.T, expected.logits_per_text, atol=1e-4, rtol=1e-4)

    back = to_theirs(family.state_dict(), layout.names(towers))
    assert back.keys() == theirs.state_dict().keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in theirs.state_dict().items())
    assert layout.read_config(layout.write_config(towers)) == towers


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_what_a_config_leaves_out_means_what_hugging_face_means_by_it(kind: str) -> None:
    layout = {"clip": clip, "siglip": siglip}[kind]
    whole = {"clip": transformers.CLIPConfig, "siglip": transformers.SiglipConfig}[kind]().to_dict()
    assert layout.read_config({"model_type": kind}) == layout.read_config(whole)


def test_what_siglips_head_has_no_counterpart_for_is_refused() -> None:
    content = random_model("siglip").config.to_dict()
    with pytest.raises(ValueError, match="1e-05 and the activation"):
        siglip.read_config(content | {"vision_config": content["vision_config"] | {"layer_norm_eps": 1e-5}})
    with pytest.raises(ValueError, match="projected to a width of 24"):
        siglip.read_config(content | {"text_config": content["text_config"] | {"projection_size": None}})
