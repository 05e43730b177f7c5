"""Generator of the synthetic sample dataset."""
