"""Scoring a model against labelled tweets, and the report about it."""
