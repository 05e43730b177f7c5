"""One Ray Train run, from its configuration to the published version."""
