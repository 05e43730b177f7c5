"""Faster inference: CUDA graphs on GPUs, and fused layers on CPUs."""
