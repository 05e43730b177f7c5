"""Connects to a Ray cluster, and checks its configuration file."""
