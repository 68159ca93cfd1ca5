"""One file per data format: each turns files of its layout into examples by split."""
