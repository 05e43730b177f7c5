"""Robustness to evasion: text attacks and the accuracy under them."""
