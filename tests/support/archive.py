"""Archives for tests: files in each format, and a classifier with a rule that is checked by hand."""

import bz2
import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq

from tweetelm.archive.classify_fragment import FragmentClassifier
from tweetelm.archive.dedup import DedupClassifier
from tweetelm.archive.fragments import cut
from tweetelm.archive.inputs import find_inputs
from tweetelm.archive.result_set import NamedFragment, ResultSet, Settings, name_fragments
from tweetelm.encoding import Encoded
from tweetelm.prediction.result_cache import ResultCache
from tweetelm.predictor import Prediction

LIMIT = 20


class LengthClassifier:
    """Token ids are characters, at most 20; the label is the length modulo the number of labels."""

    def __init__(self, labels: tuple[str, ...] = ("short", "long", "longer")) -> None:
        self.labels = labels
        self.precision = "float32"
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        return [Encoded(tuple(map(ord, text[:LIMIT])), len(text) > LIMIT) for text in texts]

    def classify(self, encoded: Sequence[Encoded]) -> list[Prediction]:
        return [self._classify(item) for item in encoded]

    def _classify(self, item: Encoded) -> Prediction:
        self.asked.append("".join(map(chr, item.ids)))
        chosen = len(item.ids) % len(self.labels)
        probabilities = tuple(float(index == chosen) for index in range(len(self.labels)))
        return Prediction(self.labels[chosen], probabilities, len(item.ids), item.truncated)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows in the format and compression of the path's endings."""
    suffixes = path.suffixes
    if suffixes[-1] == ".parquet":
        pq.write_table(pyarrow.Table.from_pylist(list(rows)), path, row_group_size=7)
        return path
    content = _lines(suffixes[0], rows).encode()
    path.write_bytes(compressed(content, suffixes[1] if len(suffixes) > 1 else ""))
    return path


def compressed(content: bytes, ending: str) -> bytes:
    if ending == ".gz":
        return gzip.compress(content)
    if ending == ".bz2":
        return bz2.compress(content)
    return bytes(pyarrow.compress(content, "zstd", asbytes=True)) if ending == ".zst" else content


def _lines(suffix: str, rows: Sequence[Mapping[str, Any]]) -> str:
    if suffix == ".txt":
        return "".join(f"{row['text']}\n" for row in rows)
    if suffix == ".jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if suffix == ".tsv" else ",")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def settings(**changes: Any) -> Settings:
    """Settings of a set of results of `LengthClassifier`."""
    values: dict[str, Any] = {
        "task": "length",
        "model": "0" * 64,
        "version": "v1",
        "labels": ("short", "long", "longer"),
        "text": "text",
        "prefix": "",
        "format": "jsonl",
        "fragment_rows": 10,
        "precision": "auto",
    }
    return Settings(**{**values, **changes})


def plan(*places: Path | str, text: str = "text", rows: int = 10) -> list[NamedFragment]:
    """The fragments of files."""
    files = [cut(file, text=text, rows=rows) for file in find_inputs([str(place) for place in places])]
    return name_fragments(fragment for file in files for fragment in file.fragments)


def classify(out: Path | str, fragments: Sequence[NamedFragment], **changes: Any) -> ResultSet:
    """Classify fragments with `LengthClassifier`."""
    results = ResultSet(str(out), settings(**changes))
    classifier = FragmentClassifier(DedupClassifier(LengthClassifier(), ResultCache(99)), results)
    for named in fragments:
        classifier(named)
    return results


def json_rows(results: ResultSet, folder: str = "rows") -> list[dict[str, Any]]:
    """All rows of a set written as JSON lines, in the order of the file names."""
    files = sorted(Path(results.folder, folder).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
