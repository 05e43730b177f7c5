"""Fault tolerance: all code that depends on private Ray APIs; see docs/ray-internals.md."""
