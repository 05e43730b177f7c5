"""Reads TweetEval's layout: a file of texts and a file of label ids per split, and mapping.txt."""

from pathlib import Path

from tweetelm.data.text_file import CUT_OFF, REMEDY, content, lines
from tweetelm.tasks import Task

MAPPING = "mapping.txt"
PREFIX = {"train": "train", "validation": "val", "test": "test"}


def read_tweeteval(
    where: Path, split: str, task: Task, remedy: tuple[str, str] = (REMEDY, CUT_OFF)
) -> tuple[list[str], list[int]]:
    """Texts and label ids of a split, in the order of the files.

    Args:
        where: the folder; mapping.txt may also lie in its parent.
        split: train, validation or test.
        task: gives the expected labels.
        remedy: what to do about a missing and a truncated file, for messages.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is malformed; the message names the file and the row.
    """
    mapping = where / MAPPING
    _check_mapping(mapping if mapping.is_file() else where.parent / MAPPING, task, remedy[0])
    text_file, label_file = (where / f"{PREFIX[split]}_{kind}.txt" for kind in ("text", "labels"))
    texts, labels = lines(text_file, *remedy), _labels(label_file, len(task.labels), remedy)
    if len(texts) != len(labels):
        raise ValueError(
            f"{text_file} has {len(texts)} rows and {label_file} has {len(labels)}; "
            f"expected as many labels as texts. To repair the files, {remedy[0]}"
        )
    return texts, labels


def _check_mapping(file: Path, task: Task, remedy: str) -> None:
    """Compare the ids and labels; a line may have the label in two forms, such as an emoji and its name."""
    found = [line.split("\t") for line in content(file, remedy).splitlines()]  # may end without a newline
    expected = list(enumerate(task.labels))
    right = len(found) == len(expected) and all(
        fields[0] == str(number) and label in [field.strip() for field in fields[1:]]
        for fields, (number, label) in zip(found, expected, strict=True)
    )
    if not right:
        shown = ["\t".join(fields) for fields in found]
        wanted = [f"{number}\t{label}" for number, label in expected]
        raise ValueError(f"{file} contains {shown}; expected {wanted}")


def _labels(file: Path, classes: int, remedy: tuple[str, str]) -> list[int]:
    known = {str(i): i for i in range(classes)}
    labels = lines(file, *remedy)
    for row, label in enumerate(labels, start=1):
        if label not in known:
            raise ValueError(f"{file}, row {row}: the label is {label!r}; expected one of {', '.join(known)}")
    return [known[label] for label in labels]
