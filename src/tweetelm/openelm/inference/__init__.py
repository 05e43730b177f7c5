"""Faster forward passes for inference: CUDA graphs and prepacked oneDNN weights."""
