"""What the server of processes imports once, so that a task does not pay for it again."""

import lightning
import pandas
import timm
import torch

import mmbench.data.datamodule
import mmbench.families.registry
import mmbench.families.starting_point
import mmbench.harness.cell
import mmbench.harness.training
import mmbench.metrics

__all__ = ["lightning", "mmbench", "pandas", "timm", "torch"]
