"""Faster inference: CUDA graphs on GPUs, and prepacked oneDNN weights on CPUs."""
