"""The model registry: a folder or URL with published versions. One version per task is current.

    models/hate/versions/20261121-abc123/   a checkpoint, card.json, README.md, evaluation/
    models/hate/current.json                {"version": …, "previous": …, "metric": …}

Training calls `publish`; inference calls `resolve`. The command line is `python -m tweetelm.registry`.
"""

from tweetelm.registry.card import Base, Card, Provenance, make_card
from tweetelm.registry.code_version import Git, git_state
from tweetelm.registry.publish import Published, publish
from tweetelm.registry.versions import (
    current_version,
    list_versions,
    previous_version,
    promote,
    read_card,
    resolve,
    rollback,
    tasks,
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
    "tasks",
]
