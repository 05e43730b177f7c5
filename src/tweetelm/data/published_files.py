"""The files of each dataset with their published md5, and checks of a folder against them."""

from pathlib import Path

from tweetelm.files.hashing import md5
from tweetelm.files.names import printable

PUBLISHED: dict[str, dict[str, str]] = {  # md5 by file, at the revisions that upstream/raw/*.dvc pin
    "hate": {
        "mapping.txt": "40135225166b334bffc53c5ae5993437",
        "test_labels.txt": "eef78e14b5af0d38bb763304235164cc",
        "test_text.txt": "a197093adb23a164e219000c19e5e1f0",
        "train_labels.txt": "0dcbe35432e20538cb1476d4b863801b",
        "train_text.txt": "7f6e1285b696f9d5e0a9e273eadd6803",
        "val_labels.txt": "bea1e1b7e9d676711dfde4c27d7dfd1a",
        "val_text.txt": "262405a6adfeee5c5149fc71456c4bb5",
    },
    "deepfake": {
        "test.csv": "5c6fba82b68fe04837e370d842fdfb0a",
        "train.csv": "dbab8a62d57bd1adc5e754e50681d3ef",
        "validation.csv": "175725bb9375d0fc467f66ea4c1389d8",
    },
}
FILES = {task: tuple(files) for task, files in PUBLISHED.items()}  # the files that a task's reader reads
ALL = tuple(f"{task}/{name}" for task, names in FILES.items() for name in names)
_MAX_LISTED = 5


def foreign(where: Path, files: tuple[str, ...]) -> list[str]:
    """Relative paths of other files below a folder, such as hidden files of a desktop or backup copies."""
    found = (path.relative_to(where).as_posix() for path in where.rglob("*") if not path.is_dir())
    return sorted(name for name in found if name not in files)


def listed(names: list[str]) -> str:
    """The first names and the number of the others, for a message."""
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(map(printable, names[:_MAX_LISTED])) + more


def unpublished(task: str, where: Path) -> list[str]:
    """One line per file of a task that is missing or differs from the published bytes."""
    lines = []
    for name, expected in PUBLISHED[task].items():
        path = where / name
        if not path.is_file():
            lines.append(f"{path} does not exist")
        elif (found := md5(path)) != expected:
            lines.append(f"{path} differs from the published file: md5 {found}, published {expected}")
    return lines
