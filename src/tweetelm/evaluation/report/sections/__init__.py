"""The sections of a model's report: functions from a context to a section, or None if it is empty."""
