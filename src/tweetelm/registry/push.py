"""A version on the model hub, through the ordinary hub client."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

from tweetelm.registry.card import Card
from tweetelm.registry.store import CARD


def push(folder: Path, card: Card, hub_id: str, *, public: bool = False) -> str:
    """Upload a version as one commit to a model repository, which is made if there is none.

    Only what the card names is sent. Evaluations of an earlier version are removed; other files that the
    repository has stay.

    Args:
        folder: of the version, from `resolve`.
        card: of the version.
        hub_id: owner/name.
        public: whether everybody may see the repository, if it is made now.

    Returns:
        The commit's address.

    Raises:
        ValueError: the repository is public and `public` is not set; the hub refused, or was not reached.
    """
    from huggingface_hub import HfApi

    hub = HfApi()
    with _explained(hub_id):
        hub.create_repo(hub_id, private=not public, exist_ok=True)
        seen_by_all = not hub.model_info(hub_id).private
    if seen_by_all and not public:
        raise ValueError(
            f"{hub_id} is public: everybody could see the model; if that is meant, add --public, else name "
            "another repository"
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
    """What `push` would upload, in lines; nobody is asked and nothing is sent.

    Raises:
        ValueError: the repository's name cannot be one.
    """
    from huggingface_hub import constants

    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", hub_id):
        raise ValueError(f"{hub_id!r} names no repository; expected owner/name")
    sizes = {name: (folder / name).stat().st_size for name in sorted([*card.files, CARD])}
    lines = [f"{size:>13,}  {name}" for name, size in sizes.items()]
    total = f"{sum(sizes.values()):>13,}  bytes in {len(sizes)} files"
    where = f"nothing was uploaded; without --dry-run these go to {constants.ENDPOINT}/{hub_id}"
    return [*lines, total, f"{where} as one commit, and its other files in evaluation/ are removed"]


@contextmanager
def _explained(hub_id: str) -> Iterator[None]:
    """The hub's errors, or those of whatever HTTP library it uses, with advice."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error} {error.__cause__ or ''}".split())
        raise ValueError(
            f"the hub did not take {hub_id} (expected owner/name): {shorten(reason, 300, placeholder=' …')}; "
            "log in with `hf auth login`, or set HF_TOKEN to a token that may write there"
        ) from error
