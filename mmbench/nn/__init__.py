"""Plain ``nn.Module`` parts that the families put together; they know nothing of data, metrics or Lightning."""
