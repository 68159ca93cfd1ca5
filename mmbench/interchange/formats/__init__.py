"""One file for each ``model_type``: how its configuration becomes a system, and what it calls the system's tensors."""
