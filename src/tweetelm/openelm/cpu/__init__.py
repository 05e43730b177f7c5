"""Fused layers for CPUs: oneDNN's matrix products, and kernels between them; prefix trees."""
