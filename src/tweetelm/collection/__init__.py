"""Genuine tweets of named accounts, from the X API or from files that a person already has."""
