"""What a command has to do: the fragments of the input, and those that earlier commands have completed."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tweetelm.archive.fragments import CutFile
from tweetelm.archive.result_set import NamedFragment, ResultSet, name_fragments
from tweetelm.archive.tally import Tally
from tweetelm.files import object_storage
from tweetelm.files.json_file import parse_object
from tweetelm.files.paths import is_url, located

READERS = 16  # threads that read small files from object storage


@dataclass(frozen=True)
class Plan:
    """The fragments of the input.

    Attributes:
        fragments: all, in the order of the rows.
        remaining: those that are not complete.
        done: the counts of the complete ones.
    """

    results: ResultSet
    fragments: Sequence[NamedFragment]
    remaining: Sequence[NamedFragment]
    done: Tally

    def rows(self) -> int:
        """Rows of the input, with those that cannot be read."""
        return sum(named.fragment.rows for named in self.fragments)


def make_plan(results: ResultSet, files: Sequence[CutFile], *, replace: bool) -> Plan:
    """Find what remains to be done.

    Args:
        results: the set of results.
        files: the input.
        replace: whether to remove results of an earlier content of a file.

    Raises:
        ValueError: a file has changed since it was classified, and `replace` is off.
    """
    fragments = name_fragments(fragment for file in files for fragment in file.fragments)
    found = object_storage.listed(results.folder)
    outdated = results.outdated(found, fragments)
    if outdated and not replace:
        raise ValueError(
            f"{results.folder} has results of an earlier content of the input, such as {outdated[0]}; add "
            "--replace to remove them, or choose another folder with --out"
        )
    for name in outdated:
        object_storage.delete(f"{results.folder}/{name}")
    finished = results.finished(found)
    remaining = [named for named in fragments if named.name not in finished]
    files_done = [finished[named.name] for named in fragments if named.name in finished]
    return Plan(results, fragments, remaining, _sum(results, files_done))


def file_entries(plan: Plan) -> list[dict[str, Any]]:
    """The input files for summary.json."""
    entries: dict[str, dict[str, Any]] = {}
    for named in plan.fragments:
        place = named.fragment.file.place
        entry = entries.setdefault(place, {"place": place, "rows": 0, "results": []})
        entry["rows"] += named.fragment.rows
        entry["results"].append(plan.results.rows_file(named.name))
    return list(entries.values())


def check_out(out: str, places: Sequence[str]) -> None:
    """Raise ValueError unless results can be written to `out`.

    Results inside an input folder would be input of the next command.
    """
    if not is_url(out) and Path(out).exists() and not Path(out).is_dir():
        raise ValueError(f"--out is {out}, which is a file; expected a folder")
    for place in map(located, places):
        if f"{out}/".startswith(f"{place.rstrip('/')}/"):
            raise ValueError(f"--out is {out}, inside the input {place}; expected a folder outside the input")


def _sum(results: ResultSet, names: Sequence[str]) -> Tally:
    total = Tally()
    with ThreadPoolExecutor(READERS) as threads:
        for tally in threads.map(lambda name: _read_tally(f"{results.folder}/{name}"), names):
            total.add(tally)
    return total


def _read_tally(place: str) -> Tally:
    data = object_storage.read(place) or b""
    return Tally.from_json(parse_object(data, place, "delete it and run the command again"))
