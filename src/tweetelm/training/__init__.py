"""Training: what is learned from which rows, in which order, and how it is saved and resumed."""

OPTIMIZER_FILE = "optimizer.safetensors"  # of a checkpoint; here, where it brings no torch
