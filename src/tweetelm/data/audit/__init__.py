"""Checks of a dataset: duplicates, leakage, contradictions, encoding damage."""
