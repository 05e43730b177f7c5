"""One command at a time writes to a run: the lock and its owner."""
