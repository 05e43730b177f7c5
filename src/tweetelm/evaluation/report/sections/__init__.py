"""The sections of a model's report: each a function of the evidence, or None where it has nothing to say."""
