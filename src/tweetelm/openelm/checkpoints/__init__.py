"""Checkpoints: fetching, inspecting and loading them, with their tokenizers."""
