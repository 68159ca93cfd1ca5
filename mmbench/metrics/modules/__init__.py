"""The metrics as `torchmetrics.Metric`s, which add up over batches and processes."""
