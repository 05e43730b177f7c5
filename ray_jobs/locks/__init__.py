"""The run lock: one command at a time writes to a run folder."""
