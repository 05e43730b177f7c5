"""Training: data preparation, objectives, the optimizer loop, and checkpoints that a run resumes from."""

OPTIMIZER_FILE = "optimizer.safetensors"  # defined here so that importing the name does not import torch
