"""A part: a folder with tweets from one origin, ready to be mixed into a dataset.

rows.csv is in TweepFake's format (`;`-separated, UTF-8, doubled quotes), with further columns after its own.
manifest.json says what the rows are, where they come from, and the hash of rows.csv.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tweetelm.files import object_storage
from tweetelm.files.hashing import sha256
from tweetelm.files.json_file import parse_object

ROWS_FILE, MANIFEST_FILE = "rows.csv", "manifest.json"
COLUMNS = ("screen_name", "text", "account.type", "class_type")
Kind = Literal["generated", "collected"]


def write_part(
    place: str,
    kind: Kind,
    rows: Sequence[Mapping[str, object]],
    further: Sequence[str],
    settings: Mapping[str, Any],
    **entries: Any,
) -> dict[str, Any]:
    """Write rows.csv and then manifest.json. Files that would only differ in the date stay as they are.

    Args:
        place: folder or URL of the part.
        kind: of the rows.
        rows: values by column.
        further: names of the columns after TweepFake's.
        settings: what the rows depend on.
        entries: of the manifest, which the kind adds.

    Returns:
        The manifest.
    """
    content, manifest_file = _csv(rows, further), f"{place}/{MANIFEST_FILE}"
    manifest = {
        "kind": kind,
        "created": datetime.now(UTC).date().isoformat(),
        "rows": len(rows),
        "sha256": sha256(content),
        "settings": dict(settings),
        **entries,
    }
    stored = object_storage.read(manifest_file)
    old = parse_object(stored, manifest_file, "delete it and run the command again") if stored else {}
    if {**old, "created": ""} == json.loads(json.dumps({**manifest, "created": ""})):
        manifest["created"] = old["created"]
    for file, data in ((f"{place}/{ROWS_FILE}", content), (manifest_file, _json(manifest))):
        if object_storage.read(file) != data:
            object_storage.write(file, data)
    return manifest


def _csv(rows: Sequence[Mapping[str, object]], further: Sequence[str]) -> bytes:
    text = io.StringIO()
    columns = [*COLUMNS, *further]
    text.write(";".join(columns) + "\n")
    # every text is quoted: Python's minimal quoting leaves a lone carriage return bare
    writer = csv.DictWriter(text, columns, delimiter=";", lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows(rows)
    return text.getvalue().encode()


def _json(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a part.

    Raises:
        FileNotFoundError: the folder is not a part, or its command has not ended.
        ValueError: manifest.json is damaged, or rows.csv is not the file that it describes.
    """
    path, rows = folder / MANIFEST_FILE, folder / ROWS_FILE
    if not path.is_file() or not rows.is_file():
        raise FileNotFoundError(
            f"{folder} is not a complete part: {ROWS_FILE} or {MANIFEST_FILE} is missing; run the command "
            "that writes it (ray_jobs.generate or ray_jobs.collect) until it ends"
        )
    needed = {"kind": str, "rows": int, "sha256": str, "settings": dict}
    manifest = parse_object(path.read_bytes(), path, "run the command that wrote it again", needed)
    if sha256(rows) != manifest["sha256"]:
        raise ValueError(f"{rows} was changed after it was written; run the command that wrote it again")
    return manifest
