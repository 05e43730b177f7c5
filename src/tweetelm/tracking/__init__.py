"""Experiment tracking: history.jsonl and Weights & Biases."""
