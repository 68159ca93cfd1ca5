"""The architecture families: LightningModules, one file each, known to the harness by one protocol."""
