"""One Ray Train run: launch, worker loop, evaluation and publication."""
