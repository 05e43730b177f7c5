"""Scoring a model against labeled tweets, and the report about it."""
