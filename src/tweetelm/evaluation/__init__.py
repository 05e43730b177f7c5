"""Evaluation of a model on labeled tweets, and its report."""
