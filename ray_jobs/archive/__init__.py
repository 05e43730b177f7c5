"""Classifies archives on Ray Data."""
