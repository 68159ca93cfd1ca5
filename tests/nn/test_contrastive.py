"""The contrastive head against the loss written out pair by pair."""

import math

import pytest
import torch
from torch import Tensor

from mmbench.nn.contrastive import ContrastiveHead, SigmoidHead


def _embeddings(num_rows: int = 8) -> tuple[ContrastiveHead, Tensor, Tensor]:
    torch.manual_seed(0)
    head = ContrastiveHead(6, 5, 4)
    return head, head.embed_image(torch.randn(num_rows, 6)), head.embed_text(torch.randn(num_rows, 5))


def _written_out(images: Tensor, texts: Tensor, valid: Tensor, group: int) -> float:
    total = 0.0
    for row in range(len(images)):
        start = row // group * group
        rivals = [other for other in range(start, min(start + group, len(images))) if valid[other]]
        if valid[row]:
            for one, others in ((images[row], texts), (texts[row], images)):
                scores = [float(one @ others[rival]) / 0.07 for rival in rivals]
                own = float(one @ others[row]) / 0.07
                total += 0.5 * (math.log(sum(math.exp(score) for score in scores)) - own)
    return total


@pytest.mark.parametrize(("num_rows", "group"), [(8, 8), (8, 4), (8, 3), (5, 8)])
def test_equals_the_loss_written_out(num_rows: int, group: int) -> None:
    head, images, texts = _embeddings(num_rows)
    images, texts = images.detach(), texts.detach()
    valid = torch.arange(num_rows) != 1
    loss, num_valid = head.loss(images, texts, valid, group)
    assert int(num_valid) == num_rows - 1
    assert float(loss.detach()) == pytest.approx(_written_out(images, texts, valid, group), rel=1e-5)


def test_whole_groups_add_up_over_micro_batches() -> None:
    head, images, texts = _embeddings()
    valid = torch.tensor([True] * 6 + [False] * 2)
    whole = head.loss(images, texts, valid, 4)[0]
    parts = sum(head.loss(images[i : i + 4], texts[i : i + 4], valid[i : i + 4], 4)[0] for i in (0, 4))
    torch.testing.assert_close(parts, whole)


def test_invalid_rows_have_no_influence() -> None:
    head, images, texts = _embeddings()
    valid = torch.tensor([True, False] * 4)
    before = head.loss(images, texts, valid, 8)[0]
    noise = torch.where(valid[:, None], 0.0, torch.randn(8, 4))
    torch.testing.assert_close(head.loss(images + noise, texts - noise, valid, 8)[0], before)


def test_no_valid_row_gives_a_zero_loss_with_zero_gradients() -> None:
    head, images, texts = _embeddings()
    loss, num_valid = head.loss(images, texts, torch.zeros(8, dtype=torch.bool), 4)
    loss.backward()
    assert loss == 0 and num_valid == 0
    assert all(p.grad is not None and torch.equal(p.grad, torch.zeros_like(p)) for p in head.parameters())


def test_temperature_starts_at_0_07_and_is_kept_above_0_01() -> None:
    head, images, texts = _embeddings()
    assert float(head.log_scale.detach().exp()) == pytest.approx(1 / 0.07)
    valid = torch.ones(8, dtype=torch.bool)
    with torch.no_grad():
        losses = [
            float(head.loss(images, texts, valid, 8)[0]) for _ in (head.log_scale.fill_(5), head.log_scale.fill_(9))
        ]
    assert losses[0] == losses[1]


def test_embeddings_have_unit_length_in_float32_under_autocast() -> None:
    head = ContrastiveHead(6, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        images, texts = head.embed_image(torch.randn(3, 6)), head.embed_text(torch.randn(3, 5))
        loss, _ = head.loss(images, texts, torch.ones(3, dtype=torch.bool), 3)
    assert images.dtype == texts.dtype == loss.dtype == torch.float32
    torch.testing.assert_close(images.norm(dim=1), torch.ones(3))


def test_softmax_loss_is_open_clips() -> None:
    losses = pytest.importorskip("open_clip.loss")
    head, images, texts = _embeddings()
    expected = losses.ClipLoss()(images, texts, head.log_scale.exp())
    loss, num_valid = head.loss(images, texts, torch.ones(8, dtype=torch.bool), 8)
    torch.testing.assert_close(loss / num_valid, expected)


def _sigmoid_embeddings() -> tuple[SigmoidHead, Tensor, Tensor]:
    torch.manual_seed(0)
    head = SigmoidHead(6, 5, 4)
    return head, head.embed_image(torch.randn(8, 6)), head.embed_text(torch.randn(8, 5))


def test_sigmoid_loss_is_open_clips() -> None:
    losses = pytest.importorskip("open_clip.loss")
    head, images, texts = _sigmoid_embeddings()
    expected = losses.SigLipLoss()(images, texts, head.log_scale.exp(), head.bias)
    loss, num_valid = head.loss(images, texts, torch.ones(8, dtype=torch.bool), 8)
    torch.testing.assert_close(loss / num_valid, expected)


def test_sigmoid_loss_judges_all_pairs_of_valid_rows_of_a_group() -> None:
    head, images, texts = _sigmoid_embeddings()
    images, texts = images.detach(), texts.detach()
    valid = torch.arange(8) != 1
    total = 0.0
    for row in range(8):
        for other in range(row // 3 * 3, min(row // 3 * 3 + 3, 8)):
            if valid[row] and valid[other]:
                score = float(images[row] @ texts[other]) * 10 - 10
                total += math.log1p(math.exp(-score if row == other else score))
    loss, num_valid = head.loss(images, texts, valid, 3)
    assert int(num_valid) == 7
    assert float(loss.detach()) == pytest.approx(total, rel=1e-5)


def test_sigmoid_scale_has_no_limit_and_every_parameter_a_gradient() -> None:
    head, images, texts = _sigmoid_embeddings()
    with torch.no_grad():
        head.log_scale.fill_(math.log(118.0))  # as the published base model has it
    torch.testing.assert_close(head.similarity(images, texts), 118.0 * images @ texts.T - 10)
    head.loss(images, texts, torch.ones(8, dtype=torch.bool), 8)[0].backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in head.parameters())


def test_an_image_without_projection_must_have_the_width_of_the_space() -> None:
    pooled = torch.randn(3, 6)
    torch.testing.assert_close(
        SigmoidHead(6, 5, 6, project_image=False).embed_image(pooled), pooled / pooled.norm(dim=1, keepdim=True)
    )
    with pytest.raises(ValueError, match="width 6 needs a projection to a space of width 4"):
        SigmoidHead(6, 5, 4, project_image=False)
