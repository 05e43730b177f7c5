"""Reads the rows of a part, its hash and its manifest. Errors name the part and the file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tweetelm.data.mix.recipe import Part
from tweetelm.data.mix.rows import Row
from tweetelm.data.part import MANIFEST_FILE, ROWS_FILE, read_manifest
from tweetelm.data.source_files import find_files
from tweetelm.data.tables import read_rows, table_rows
from tweetelm.files.hashing import sha256
from tweetelm.files.names import printable
from tweetelm.files.paths import expanded
from tweetelm.tasks import TaskData


@dataclass(frozen=True, kw_only=True)
class PartRows:
    """The rows of a part.

    Attributes:
        part: as in the recipe.
        rows: all rows, in order.
        sha256: of each file, by its name.
        manifest: what its maker says; empty without a manifest.
    """

    part: Part
    rows: list[Row]
    sha256: dict[str, str]
    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """One sha256 for all files: that of the file, if it is one."""
        if len(self.sha256) == 1:
            return next(iter(self.sha256.values()))
        return sha256(json.dumps(self.sha256, sort_keys=True).encode())

    @property
    def license(self) -> str:
        """The terms of the rows in one line."""
        generator = self.manifest.get("generator")
        stated = generator.get("license") if isinstance(generator, dict) else None
        found = self.part.license or self.manifest.get("license") or stated or self.manifest.get("terms")
        if not found:
            return "not stated"
        return printable(found if isinstance(found, str) else json.dumps(found, sort_keys=True))


def read_part(part: Part, place: str, labels: tuple[str, ...]) -> PartRows:
    """Read a part; its path is relative to `place`.

    Raises:
        FileNotFoundError: there are no files, or the command that writes the part has not ended.
        ValueError: a file is malformed or differs from its manifest, a column or a label is unknown, or there
            is no row.
    """
    try:
        files, manifest = _found(part, place)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"part {part.name}: {error}") from error
    rows = [row for file in files for row in _rows(part, file, labels)]
    if not rows:
        raise ValueError(
            f"part {part.name}: {files[0]} has a header but no rows; write it again, or remove the part"
        )
    return PartRows(
        part=part, rows=rows, sha256={file.name: sha256(file) for file in files}, manifest=manifest
    )


def _found(part: Part, place: str) -> tuple[list[Path], dict[str, Any]]:
    """The files with the rows, and the manifest beside them."""
    folder = Path(place) / expanded(part.path)
    if (folder / ROWS_FILE).is_file() or (folder / MANIFEST_FILE).is_file():
        return [folder / ROWS_FILE], read_manifest(folder)
    try:
        return find_files(TaskData(place=place, files=(part.path,)))["files"], {}
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}; expected a part's folder with {ROWS_FILE}, or tables, relative to the recipe"
        ) from None


def _rows(part: Part, file: Path, labels: tuple[str, ...]) -> Iterator[Row]:
    names = part.columns
    own = {"label": part.label, "account": part.account, "generator": part.generator}
    asked = {key: getattr(names, key) for key, value in own.items() if value is None}
    _check_columns(part, file, asked)
    optional = (names.prompt_id, names.imitated, names.sources)
    wanted = [names.text, *dict.fromkeys(asked.values())]
    for position, values in read_rows(file, wanted, optional):
        row = dict(zip((*wanted, *optional), map(_repaired, values), strict=True))
        found = {key: row[getattr(names, key)] if value is None else value for key, value in own.items()}
        if found["label"] not in labels:
            raise ValueError(
                f"part {part.name}: {position}: {names.label} is {found['label']!r}; expected one of "
                f"{', '.join(labels)}; correct the row, or state `label` for the whole part"
            )
        more = {key: row[getattr(names, key)] for key in ("prompt_id", "imitated", "sources")}
        yield Row(text=row[names.text], part=part.name, **found, **more)


def _check_columns(part: Part, file: Path, asked: dict[str, str]) -> None:
    """Raise a ValueError that names the missing column and the key that helps."""
    first = next(table_rows(file, (part.columns.text,)), None) if file.suffix != ".parquet" else None
    columns = list((first or next(table_rows(file), ("", {})))[1])
    missing = [(key, name) for key, name in asked.items() if columns and name not in columns]
    if missing:
        key, name = missing[0]
        raise ValueError(
            f"part {part.name}: {file} has no column {name!r} (it has {', '.join(columns)}); name it by "
            f'`columns = {{ {key} = "COLUMN" }}`, or state one value for all rows: `{key} = "NAME"`'
        )


def _repaired(text: str) -> str:
    """Replace unpaired surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
