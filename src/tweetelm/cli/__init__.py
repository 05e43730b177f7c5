"""Shared by all commands: flags, help pages and one-line errors."""
