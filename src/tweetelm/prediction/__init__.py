"""Texts, tables, predictions and explanations, without torch."""
