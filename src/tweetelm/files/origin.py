"""origin.json: where an imported model comes from."""

import json
from collections.abc import Mapping
from pathlib import Path

from tweetelm.files import atomic
from tweetelm.files.json_file import parse_object

ORIGIN_FILE = "origin.json"
"""In the folder of an imported model, and in every checkpoint that is trained from it: `base` (name),
`sha256` of the source, `quantization`, `license` and, if known, `file`, `repository`, `revision`."""
UNKNOWN_LICENSE = "not stated"


def write_origin(folder: Path, origin: Mapping[str, str]) -> None:
    """Write origin.json."""
    atomic.write_text(folder / ORIGIN_FILE, json.dumps(origin, indent=2) + "\n")


def read_origin(folder: Path) -> dict[str, str] | None:
    """The content of origin.json; None if the model was not imported, nor trained from an imported one.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / ORIGIN_FILE
    if not path.is_file():
        return None
    needed = dict.fromkeys(("base", "sha256", "quantization"), str)
    return parse_object(path.read_bytes(), path, "import the model again", needed)
