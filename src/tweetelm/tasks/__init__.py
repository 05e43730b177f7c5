"""The tasks of tweetelm, each a TOML file, with published results on their test splits."""

from pathlib import Path
from typing import Literal

from tweetelm.tasks.task import Published, Task
from tweetelm.tasks.task_file import read_task

__all__ = ["DEEPFAKE", "HATE", "SYNTHETIC_NOTICE", "TASKS", "Published", "Task", "TaskName", "read_task"]

TaskName = Literal["hate", "deepfake"]
SYNTHETIC_NOTICE = "synthetic sample: says nothing about tweets"
HATE = read_task(Path(__file__).with_name("hate.toml"))
DEEPFAKE = read_task(Path(__file__).with_name("deepfake.toml"))
TASKS: dict[str, Task] = {task.name: task for task in (HATE, DEEPFAKE)}
