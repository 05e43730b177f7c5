"""Tasks: what a model decides about tweets. Each is a TOML file; two are built in."""

from tweetelm.tasks.metric import metric_name, shown_metrics
from tweetelm.tasks.task import CATEGORIES, Published, SplitRule, Task, TaskData
from tweetelm.tasks.task_file import TASKS, as_task, find_task, from_json, read_task, task_name, to_json

__all__ = [
    "CATEGORIES",
    "DEEPFAKE",
    "HATE",
    "SYNTHETIC_NOTICE",
    "TASKS",
    "Published",
    "SplitRule",
    "Task",
    "TaskData",
    "as_task",
    "find_task",
    "from_json",
    "metric_name",
    "read_task",
    "shown_metrics",
    "task_name",
    "to_json",
]

SYNTHETIC_NOTICE = "synthetic sample: says nothing about tweets"
HATE, DEEPFAKE = TASKS["hate"], TASKS["deepfake"]
