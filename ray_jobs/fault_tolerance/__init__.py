"""Fault tolerance: code that depends on private Ray APIs (exceptions: docs/ray-internals.md)."""
