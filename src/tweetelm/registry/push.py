"""Uploads a version to the Hugging Face hub with huggingface_hub."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

from tweetelm.registry.card import Card
from tweetelm.registry.store import CARD


def push(folder: Path, card: Card, hub_id: str, *, public: bool = False) -> str:
    """Upload a version as one commit to a model repository. Creates the repository if it does not exist.

    Uploads only files in the card. Removes the evaluation files of an earlier version; keeps other files of
    the repository.

    Args:
        folder: the version's folder, from `resolve`.
        card: the version's card.
        hub_id: owner/name.
        public: whether a new repository is public.

    Returns:
        The URL of the commit.

    Raises:
        ValueError: the repository is public and `public` is not set, or the hub refused or is unreachable.
    """
    from huggingface_hub import HfApi

    hub = HfApi()
    with _explained(hub_id):
        hub.create_repo(hub_id, private=not public, exist_ok=True)
        seen_by_all = not hub.model_info(hub_id).private
    if seen_by_all and not public:
        raise ValueError(
            f"{hub_id} is public: everybody could download the model; add --public to upload it anyway, or "
            "use another repository"
        )
    with _explained(hub_id):
        commit = hub.upload_folder(
            repo_id=hub_id,
            folder_path=folder,
            allow_patterns=[*card.files, CARD],
            delete_patterns=["evaluation/*"],
            commit_message=f"{card.task} {card.version}",
        )
    return str(commit.commit_url)


def plan(folder: Path, card: Card, hub_id: str) -> list[str]:
    """Lines that describe an upload by `push`. Sends nothing and does not contact the hub.

    Raises:
        ValueError: `hub_id` is not a valid repository name.
    """
    from huggingface_hub import constants

    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", hub_id):
        raise ValueError(f"{hub_id!r} is not a repository name; expected owner/name")
    sizes = {name: (folder / name).stat().st_size for name in sorted([*card.files, CARD])}
    lines = [f"{size:>13,}  {name}" for name, size in sizes.items()]
    total = f"{sum(sizes.values()):>13,}  bytes in {len(sizes)} files"
    target = f"without --dry-run, one commit uploads them to {constants.ENDPOINT}/{hub_id}"
    return [*lines, total, f"nothing was uploaded; {target} and removes its other files in evaluation/"]


@contextmanager
def _explained(hub_id: str) -> Iterator[None]:
    """Convert errors of the hub client and its HTTP library to a ValueError with advice."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error} {error.__cause__ or ''}".split())
        raise ValueError(
            f"the upload to {hub_id} (expected owner/name) failed: {shorten(reason, 300, placeholder=' …')}; "
            "log in with `hf auth login`, or set HF_TOKEN to a token with write access"
        ) from error
