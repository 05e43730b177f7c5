"""Generates the synthetic sample dataset."""
