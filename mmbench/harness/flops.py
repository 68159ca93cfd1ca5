"""Floating-point operations of a training step, counted on the real modules."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from mmbench.data.batch import Batch
from mmbench.families.trainee import Trainee
from mmbench.nn.attention import attention_kernel, set_attention_kernel


def count_step_flops(trainee: Trainee, batch: Batch) -> float:
    """Operations of one forward and backward pass over ``batch``, with what trains now.

    Frozen parts cost their forward pass, and their backward pass only where gradients must pass through them. The
    plain attention kernel is counted, whichever runs: both do the same products, but not every fused one is known to
    the counter. Gradients already accumulated are left as they are.
    """
    kernel = attention_kernel()
    set_attention_kernel("plain")
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.enable_grad():
            loss = trainee.total(trainee.loss(batch), batch.totals)
            trained = [parameter for parameter in trainee.parameters() if parameter.requires_grad]
            torch.autograd.grad(loss, trained, allow_unused=True)
    finally:
        set_attention_kernel(kernel)
    return float(counter.get_total_flops())
