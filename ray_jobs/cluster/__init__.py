"""Connecting to a Ray cluster, and checking its configuration file."""
