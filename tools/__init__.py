"""Generators that only maintainers run."""
