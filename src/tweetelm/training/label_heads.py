"""Whether a checkpoint's classifier answers the same question, so that it can be learned further."""

from pathlib import Path

from tweetelm.files.json_file import parse_object
from tweetelm.files.names import printable
from tweetelm.openelm.checkpoints.loading import read_config
from tweetelm.openelm.checkpoints.weight_files import stored_shapes
from tweetelm.tasks import Task

HEAD = "score.weight"
_ENCODING = "encoding.json"


def head_mismatch(folder: Path, task: Task) -> str:
    """Why a checkpoint's classifier cannot be kept for a task; empty if it can, or if there is none.

    Its rows stand for labels: under other labels, or the same in another order, they would say the opposite
    of what they have learned.

    Raises:
        FileNotFoundError, ValueError: the checkpoint is no model of ours.
    """
    if HEAD not in stored_shapes(folder):
        return ""
    labels = [str(label) for _, label in sorted((read_config(folder).id2label or {}).items())]
    if labels != list(task.labels):
        theirs, ours = printable(", ".join(labels)), ", ".join(task.labels)
        return f"the checkpoint's labels are {theirs}; those of {task.name} are {ours}"
    return _other_task(folder / _ENCODING, task)


def _other_task(file: Path, task: Task) -> str:
    if not file.is_file():
        return ""
    try:
        name = parse_object(file.read_bytes(), file, "copy the checkpoint again", {"task": str})["task"]
    except ValueError as error:
        return f"what it was trained for is unknown: {error}"
    return (
        "" if name == task.name else f"the checkpoint was trained for {printable(name)}, not for {task.name}"
    )
