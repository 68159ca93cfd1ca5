"""How foreign checkpoints name the tensors of our parts: tables of names and sizes, read in both directions."""
