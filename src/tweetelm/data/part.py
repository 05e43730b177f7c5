"""A part: a folder with tweets from one origin, ready to be mixed into a dataset.

rows.csv is in TweepFake's format (`;`-separated, UTF-8, doubled quotes), with further columns after its own.
manifest.json says what the rows are, where they come from, and the hash of rows.csv.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tweetelm.files import atomic
from tweetelm.files.hashing import sha256
from tweetelm.files.json_file import parse_object

ROWS_FILE, MANIFEST_FILE = "rows.csv", "manifest.json"
COLUMNS = ("screen_name", "text", "account.type", "class_type")
Kind = Literal["generated", "collected"]


def write_part(
    folder: Path,
    kind: Kind,
    rows: Iterable[Mapping[str, object]],
    further: Sequence[str],
    settings: Mapping[str, Any],
    **entries: Any,
) -> dict[str, Any]:
    """Write rows.csv and manifest.json; the manifest last, so that a part with one is complete.

    Args:
        folder: of the part.
        kind: of the rows.
        rows: values by column.
        further: names of the columns after TweepFake's.
        settings: what the rows depend on.
        entries: of the manifest, which the kind adds.

    Returns:
        The manifest.
    """
    columns = [*COLUMNS, *further]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter=";", lineterminator="\n")
    writer.writeheader()
    number = 0
    for number, row in enumerate(rows, start=1):  # noqa: B007  # the last number is the count
        writer.writerow(row)
    content = text.getvalue().encode()
    manifest = {
        "kind": kind,
        "created": datetime.now(UTC).date().isoformat(),
        "rows": number,
        "sha256": sha256(content),
        "settings": dict(settings),
        **entries,
    }
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    atomic.write(folder / ROWS_FILE, content)
    atomic.write_text(folder / MANIFEST_FILE, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    return manifest


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
