"""The hand-over between training and serving: a folder or URL of published versions, one of them current per
task.

    models/hate/versions/20261121-abc123/   a checkpoint, card.json, README.md, evaluation/
    models/hate/current.json                {"version": …, "previous": …, "metric": …}

Whoever trains calls `publish`, whoever predicts calls `resolve`; people type `python -m tweetelm.registry`.
"""

from tweetelm.registry.card import Base, Card, Git, Provenance, git_state, make_card
from tweetelm.registry.publish import Published, publish
from tweetelm.registry.versions import (
    current_version,
    list_versions,
    previous_version,
    promote,
    read_card,
    resolve,
    rollback,
)

__all__ = [
    "Base",
    "Card",
    "Git",
    "Provenance",
    "Published",
    "current_version",
    "git_state",
    "list_versions",
    "make_card",
    "previous_version",
    "promote",
    "publish",
    "read_card",
    "resolve",
    "rollback",
]
