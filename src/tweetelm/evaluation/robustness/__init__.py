"""Robustness to evasion: text attacks, and their success with and without defenses."""
