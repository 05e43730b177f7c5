"""Tweet normalization."""
