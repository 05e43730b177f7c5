"""Reads the human tweets that prompts show, and those that no generated tweet may copy."""

from pathlib import Path

from tweetelm.config.text_config import TextConfig
from tweetelm.data import load
from tweetelm.generation.strategies import HumanTweets
from tweetelm.tasks import Task
from tweetelm.text.normalize import normalize

_ACCOUNT = "screen_name"


def read_human_tweets(
    task: Task, root: str | Path, label: str, account: str | None = None
) -> tuple[HumanTweets, list[str]]:
    """The human tweets of the training split, and those of the other splits, all normalized.

    Args:
        task: the task.
        root: folder or URL of the datasets.
        label: of the human tweets.
        account: column with the author; by default `screen_name` if the data has it.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: the data is malformed, has no such column, or no human tweet for training.
    """
    data, human = load(task, root), task.labels.index(label)
    train = data["train"]
    if account is not None and account not in train.column_names:
        raise ValueError(
            f"--account is {account!r}; the data has the columns {', '.join(train.column_names)}"
        )
    column = account or _ACCOUNT
    names = train[column] if column in train.column_names else [""] * len(train)
    found = [
        (row, normalize(text, TextConfig()), name)
        for row, (text, name, own) in enumerate(zip(train["text"], names, train["label"], strict=True))
        if own == human
    ]
    if not found:
        raise ValueError(f"the training split of {task.name} has no tweet with the label {label!r}")
    rows, texts, accounts = zip(*found, strict=True)
    others = [
        normalize(text, TextConfig())
        for split in data
        if split != "train"
        for text, own in zip(data[split]["text"], data[split]["label"], strict=True)
        if own == human
    ]
    return HumanTweets(texts=texts, rows=rows, accounts=accounts), others
