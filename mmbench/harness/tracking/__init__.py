"""MLflow beside the run: the files under ``runs/`` are the truth, MLflow shows them."""

from mmbench.harness.tracking.mirror import MlflowMirror
from mmbench.harness.tracking.uri import check_tracking_uri, tracking_uri

__all__ = ["MlflowMirror", "check_tracking_uri", "tracking_uri"]
