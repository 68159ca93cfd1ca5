"""Texts between begin and end tokens: where those stand, what is cut, and what padding may not change."""

import pytest
import torch

from mmbench.nn.decoder import Decoder
from mmbench.nn.text_tower import Reading, at_last, frame, read

IDS, LENGTHS = torch.tensor([[5, 6, 7], [8, 0, 0], [0, 0, 0]]), torch.tensor([3, 1, 0])


def test_frame_with_begin_and_end() -> None:
    framed = frame(IDS, LENGTHS, Reading(bos_id=1, eos_id=2, pad_id=3))
    assert framed.token_ids.tolist() == [[1, 5, 6, 7, 2], [1, 8, 2, 3, 3], [1, 2, 3, 3, 3]]
    assert framed.mask.tolist() == [[True] * 5, [True] * 3 + [False] * 2, [True] * 2 + [False] * 3]
    assert framed.last.tolist() == [4, 2, 1]


def test_frame_without_begin_cut_and_padded() -> None:
    cut = frame(IDS, LENGTHS, Reading(bos_id=None, eos_id=2, pad_id=3, longest=3))
    assert cut.token_ids.tolist() == [[5, 6, 2], [8, 2, 3], [2, 3, 3]]
    padded = frame(IDS, LENGTHS, Reading(bos_id=None, eos_id=2, pad_id=3, longest=5, padded=True))
    assert padded.token_ids.tolist() == [[5, 6, 7, 2, 3], [8, 2, 3, 3, 3], [2, 3, 3, 3, 3]]
    assert padded.mask.all()
    assert padded.last.tolist() == [4, 4, 4]


@pytest.mark.parametrize("causal", [True, False])
def test_padding_changes_nothing(causal: bool) -> None:
    torch.manual_seed(0)
    decoder = Decoder(Decoder.Config(10, width=16, depth=2, num_heads=2, num_kv_heads=1, feed_forward_width=24))
    reading = Reading(bos_id=1, eos_id=2, pad_id=3, causal=causal)
    framed = frame(IDS, LENGTHS, reading)
    together = at_last(read(decoder, framed, causal), framed)
    for i, length in enumerate(LENGTHS.tolist()):
        alone = frame(IDS[i : i + 1, :length], LENGTHS[i : i + 1], reading)
        torch.testing.assert_close(read(decoder, alone, causal)[0, -1], together[i])


def test_only_a_causal_reading_does_not_look_ahead() -> None:
    torch.manual_seed(0)
    decoder = Decoder(Decoder.Config(10, width=16, depth=2, num_heads=2, num_kv_heads=1, feed_forward_width=24))
    one, other = (frame(torch.tensor([[5, last]]), torch.tensor([2]), Reading(1, 2, 3)) for last in (6, 7))
    for causal in (True, False):
        first = [read(decoder, framed, causal)[0, 1] for framed in (one, other)]
        assert torch.equal(*first) == causal
