"""mix.json: what a mixed dataset was made of, for machines. Read for the cards of models."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tweetelm.files.hashing import sha256
from tweetelm.files.json_file import parse_object

MIX_FILE = "mix.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MixLineage:
    """The origin of a mixed dataset; part of a model's card.

    Attributes:
        version: the dataset's version.
        recipe: sha256 of the recipe.
        base: name of the base task and hash of its files; empty without a base.
        parts: sha256 by part.
    """

    version: str
    recipe: str
    base: dict[str, str]
    parts: dict[str, str]

    def __str__(self) -> str:
        base = [f"the base {name} (md5 `{md5}`)" for name, md5 in self.base.items()]
        parts = [f"{name} (sha256 `{digest}`)" for name, digest in self.parts.items()]
        whole = ", ".join([*base, *parts])
        return f"dataset version `{self.version}`, recipe sha256 `{self.recipe}`, of {whole}"


def read_lineage(folder: Path, files: Iterable[Path]) -> MixLineage | None:
    """The lineage in a folder's mix.json; None without one, or if a file of the folder was changed since.

    Args:
        folder: the folder of the task file.
        files: the data files that are read.

    Raises:
        ValueError: mix.json is damaged.
    """
    path = folder / MIX_FILE
    if not path.is_file():
        return None
    needed = {"version": str, "recipe_sha256": str, "base": dict, "parts": list, "files": dict}
    found = parse_object(path.read_bytes(), path, "run `tweetelm data mix` again", needed)
    for file in files:
        if found["files"].get(file.name) != sha256(file):
            log.warning("%s does not describe %s: the file was changed after mixing", path, file.name)
            return None
    return MixLineage(
        version=found["version"],
        recipe=found["recipe_sha256"],
        base={name: str(md5) for name, md5 in found["base"].items()},
        parts={part["name"]: part["sha256"] for part in found["parts"]},
    )
