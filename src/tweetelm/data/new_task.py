"""Writes the task file of a table of labeled tweets, or of a folder in TweetEval's layout."""

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path

from tweetelm.data.source_files import TEXTS, find_files
from tweetelm.data.tables import COMPRESSED, FORMATS, read_rows, table_rows
from tweetelm.data.text_file import content
from tweetelm.data.tweeteval import MAPPING
from tweetelm.files import atomic
from tweetelm.files.names import safe_name
from tweetelm.files.paths import expanded, is_url
from tweetelm.tasks import TASKS, SplitRule, TaskData
from tweetelm.tasks.parse import LICENSE, LIMITS, METRIC

MOST_LABELS = 1000
_SHOWN = 5
_TEMPLATE = """\
# A task of tweetelm. After a change: `tweetelm data check {name}.toml`
name = {name_}
question = {question}
labels = {labels} # in the order of their ids{order}
metric = "{metric}" # or accuracy, macro_recall, f1:LABEL, mean_f1:LABEL,LABEL

[data] # paths are relative to this file; URLs are possible
{data}
[card] # what the model card says of the data
license = "{license}"
limits = "{limits}"
"""


def write_task(
    source: str, folder: Path, *, text: str | None, label: str | None, group: str | None, force: bool
) -> Path:
    """Write a task file into `folder` and return its path.

    Args:
        source: a file, pattern or URL of tables, or a folder in TweetEval's layout.
        folder: where the file is written.
        text: the column with the tweet.
        label: the column with the label.
        group: a column whose values must stay in one split.
        force: replace an existing file.

    Raises:
        FileNotFoundError: there is no such file.
        FileExistsError: the task file exists.
        ValueError: a file is malformed, a column is missing, or the labels are unusable.
    """
    source = expanded(source)
    name = _name(source)
    path = folder / f"{name}.toml"
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists; edit it, or replace it with --force")
    if _is_tweeteval(Path(source)):
        if given := [flag for flag, value in (("text", text), ("label", label), ("group", group)) if value]:
            raise ValueError(f"{source} has TweetEval's layout, without columns; omit --{given[0]}")
        labels, data = _mapping_labels(Path(source)), _folders(Path(source), folder)
    else:
        if text is None or label is None:
            raise ValueError(
                f"name the columns of the tweet and of the label: --text COLUMN --label COLUMN"
                f"{_columns(source, folder)}"
            )
        labels = _found_labels(source, folder, text, label, group)
        data = _tables(source, folder, text, label, group)
    atomic.write_text(path, _render(name, labels, data))
    return path


def _name(source: str) -> str:
    """A name from that of the file or folder; wildcards and endings are dropped."""
    parts = [part for part in source.rstrip("/").split("/") if not set(part) & set("*?[")]
    stem = parts[-1] if parts else "task"
    while Path(stem).suffix in (*FORMATS, *COMPRESSED):
        stem = Path(stem).stem
    name = safe_name(stem)
    return f"my-{name}" if name in TASKS else name


def _is_tweeteval(path: Path) -> bool:
    return path.is_dir() and any((each / TEXTS[0]).is_file() for each in (path, *path.glob("*/")))


def _mapping_labels(path: Path) -> list[str]:
    """The last field of each line of mapping.txt, which may end in a tab."""
    return [line.split("\t")[-1].strip() for line in map(str.rstrip, content(path / MAPPING).splitlines())]


def _folders(path: Path, folder: Path) -> str:
    whole = _relative(str(path), folder)
    if (path / TEXTS[0]).is_file():
        return f"folders = {_quoted(whole)}\n"
    return f'folders = {_quoted(whole + "/*")}\nslices = ["folder"] # results are also shown by folder\n'


def _found_labels(source: str, folder: Path, text: str, label: str, group: str | None) -> list[str]:
    """The labels in the files: numbers in order, two by frequency, more in alphabetical order."""
    wanted = [text, label] + ([group] if group else [])
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"the columns are {', '.join(wanted)}; expected a different one for each flag")
    counts: Counter[str] = Counter()
    for file in _files(source, folder):
        counts.update(values[1] for _, values in read_rows(file, wanted))
        if len(counts) > MOST_LABELS:
            raise ValueError(
                f"the column {label!r} has more than {MOST_LABELS} values, such as {_few(counts)}; expected "
                "labels: choose another column with --label"
            )
    if len(counts) < 2:
        raise ValueError(
            f"the column {label!r} has {len(counts)} values ({_few(counts)}); expected at least two labels"
        )
    if "" in counts:
        raise ValueError(f"{counts['']} rows have an empty {label}; add a label or delete these rows")
    if all(name.lstrip("-").isdecimal() for name in counts):
        return sorted(counts, key=int)
    return [name for name, _ in counts.most_common()] if len(counts) == 2 else sorted(counts)


def _files(source: str, folder: Path) -> list[Path]:
    return find_files(TaskData(place=str(folder.absolute()), files=(source,)))["files"]


def _columns(source: str, folder: Path) -> str:
    _, row = next(table_rows(_files(source, folder)[0]), ("", {}))
    return f"; it has {', '.join(row)}" if row else ""


def _few(counts: Counter[str]) -> str:
    return ", ".join(repr(name[:40]) for name, _ in counts.most_common(_SHOWN))


def _tables(source: str, folder: Path, text: str, label: str, group: str | None) -> str:
    lines = [f"files = {_quoted(_relative(source, folder))}", f"text = {_quoted(text)}"]
    lines.append(f"label = {_quoted(label)}")
    if group:
        lines.append(f"group = {_quoted(group)} # rows of one {group} stay in one split")
    lines.append('# slices = ["COLUMN"] # results are also shown by the values of these columns')
    shares = ", ".join(f"{key} = {value}" for key, value in dataclasses.asdict(SplitRule()).items())
    lines.append(f"split = {{ {shares} }} # near-duplicates stay in one split")
    return "\n".join(lines) + "\n"


def _relative(source: str, folder: Path) -> str:
    """The path of a file below `folder` relative to it; other paths are absolute."""
    if is_url(source):
        return source
    path, here = Path(os.path.abspath(source)), folder.absolute()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)


def _render(name: str, labels: list[str], data: str) -> str:
    two = len(labels) == 2
    question = f"Is this tweet {labels[1]}?" if two else f"Which label fits this tweet: {_either(labels)}?"
    return _TEMPLATE.format(
        name=name,
        name_=_quoted(name),
        question=_quoted(question),
        labels=f"[{', '.join(map(_quoted, labels))}]",
        order="; the last one is the positive class" if two else "",
        data=data,
        metric=METRIC,
        license=LICENSE,
        limits=LIMITS,
    )


def _either(labels: list[str]) -> str:
    return ", ".join(labels) if len(labels) <= _SHOWN else f"{', '.join(labels[:_SHOWN])}, …"


def _quoted(text: str) -> str:
    """A TOML string; JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False)
