"""Experiment tracking: history.jsonl and Weights & Biases."""

HISTORY = "history.jsonl"
