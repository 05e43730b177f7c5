"""Generates tweets on Ray Data, with a local model or through an OpenAI-compatible endpoint."""
