"""Decides whether training can reuse the classifier of a checkpoint, or must replace it."""

from pathlib import Path

from tweetelm.files.json_file import parse_object
from tweetelm.files.names import printable
from tweetelm.openelm.checkpoints.loading import read_config
from tweetelm.openelm.checkpoints.weight_files import stored_shapes
from tweetelm.tasks import Task

HEAD = "score.weight"
_ENCODING = "encoding.json"


def head_mismatch(folder: Path, task: Task, layers: int | None = None) -> str:
    """Why a checkpoint's classifier cannot be reused for a task; empty if it can, or if there is none.

    Each row of the classifier scores one label. With other labels, or another order of labels, a row would
    score the wrong label. With fewer `layers`, it would read the states of another layer.

    Raises:
        FileNotFoundError, ValueError: the folder is not an OpenELM checkpoint, or is damaged.
    """
    if HEAD not in stored_shapes(folder):
        return ""
    config = read_config(folder)
    if layers is not None and layers < config.num_transformer_layers:
        return f"the checkpoint's classifier reads layer {config.num_transformer_layers}, not layer {layers}"
    labels = [str(label) for _, label in sorted((config.id2label or {}).items())]
    if labels != list(task.labels):
        stored, expected = printable(", ".join(labels)), ", ".join(task.labels)
        return f"the checkpoint's labels are {stored}; the labels of {task.name} are {expected}"
    return _other_task(folder / _ENCODING, task)


def _other_task(file: Path, task: Task) -> str:
    if not file.is_file():
        return ""
    try:
        name = parse_object(file.read_bytes(), file, "copy the checkpoint again", {"task": str})["task"]
    except ValueError as error:
        return f"the checkpoint's task is unknown: {error}"
    return (
        "" if name == task.name else f"the checkpoint was trained for {printable(name)}, not for {task.name}"
    )
