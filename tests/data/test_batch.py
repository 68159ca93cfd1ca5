import torch

from mmbench.data.batch import Batch, Totals


def test_to_moves_every_tensor_and_keeps_the_rest() -> None:
    tensors = {
        name: torch.full((1, 16), k)
        for k, name in enumerate(("sizes", "token_ids", "segments", "positions", "roles", "labels", "classes"))
    }
    batch = Batch(images=torch.zeros(1, 3, 4, 4, dtype=torch.uint8), sample_ids=["a"], totals=Totals(rows=1), **tensors)
    moved = batch.to("meta")
    assert all(getattr(moved, name).device.type == "meta" for name in (*tensors, "images"))
    assert moved.sample_ids == ["a"] and moved.totals == Totals(rows=1)
    same = batch.to("cpu", non_blocking=True)
    assert all(torch.equal(getattr(same, name), tensor) for name, tensor in tensors.items())
