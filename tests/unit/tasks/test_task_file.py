"""Tasks as TOML files: what is read, and what an error says."""

import json
from pathlib import Path

import pytest

from tweetelm.tasks import (
    DEEPFAKE,
    HATE,
    Published,
    SplitRule,
    TaskData,
    find_task,
    from_json,
    read_task,
    to_json,
)

GOOD = """
name = "mood"
question = "Is this tweet happy?"
labels = ["sad", "happy"]
metric = "accuracy"

[data]
files = "tweets/*.csv"
text = "tweet"
label = "side"
group = "author"
slices = ["topic"]
split = { validation = 0.2, test = 0.3, seed = 7 }

[card]
dataset = "my tweets"
license = "mine"
license_name = "other"
limits = "few tweets"

[[published]]
system = "a coin"
value = 1
source = "measured"
per_group = { news = 0.5 }
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "mood.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_every_key_of_a_task_file_is_read(tmp_path: Path) -> None:
    task = read_task(written(tmp_path, GOOD))
    assert (task.name, task.labels, task.positive) == ("mood", ("sad", "happy"), "happy")
    assert (task.metric, task.group_column, task.hub_dataset) == ("accuracy", "topic", None)
    assert task.data == TaskData(
        place=str(tmp_path),
        files=("tweets/*.csv",),
        text="tweet",
        label="side",
        group="author",
        split=SplitRule(validation=0.2, test=0.3, seed=7),
    )
    assert task.published == (
        Published(system="a coin", value=1.0, source="measured", per_group=(("news", 0.5),)),
    )


def test_built_in_tasks_keep_their_labels_and_metrics() -> None:
    assert (HATE.labels, HATE.metric, HATE.group_column) == (("not-hate", "hate"), "macro_f1", None)
    assert (DEEPFAKE.labels, DEEPFAKE.metric) == (("human", "bot"), "accuracy")
    assert DEEPFAKE.group_column == "class_type"
    assert max(p.value for p in HATE.published) == 0.564


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("labels =", "lables =", r"lables is unknown; did you mean labels\?"),
        ('labels = ["sad", "happy"]\n', "", "it lacks labels"),
        ('files = "tweets/*.csv"', 'train = "tweets.csv"', r"data has train; expected `files`"),
        ('files = "tweets/*.csv"', "files = []", r"data\.files is empty; expected a file"),
        ('"tweets/*.csv"', '"a.csv"\ntrain = "b.csv"', r"data has files, train; expected `files`"),
        ('text = "tweet"', 'text = "side"', r"data has .*; expected a different column for each"),
        ("test = 0.3", "test = 0.9", r"data\.split has validation 0\.2 and test 0\.9; expected shares"),
        ("seed = 7", "sede = 7", r"data\.split\.sede is unknown; did you mean seed\?"),
        ('"mood"', '"hate"', r"name is hate, a built-in task; choose another"),
        ('metric = "accuracy"', 'metric = "acuracy"', r"metric is 'acuracy'; expected macro_f1, accuracy"),
        (
            '"accuracy"',
            '"f1:glad"',
            r"metric is 'f1:glad', but 'glad' is no label; expected labels of sad, happy",
        ),
        ('"accuracy"', '"f1:"', r"metric is 'f1:'; expected macro_f1"),
        ('["sad", "happy"]', '["sad"]', r"labels has 1 of them; expected at least two"),
        ('["sad", "happy"]', '["sad", "sad"]', r"labels repeats sad"),
        ('["sad", "happy"]', '["sad", 1]', r"labels is \['sad', 1\]; expected a list of non-empty strings"),
        ('"mood"', '"../mood"', r"name is '\.\./mood'; expected ASCII letters"),
        ("value = 1", 'value = "1"', r"published 1: value is a string; expected a number"),
        ("news = 0.5", 'news = "x"', r"published 1: per_group\.news is a string; expected a number"),
        ("[data]\n", "[data]\nslice = 1\n", r"data\.slice is unknown; did you mean slices\?"),
    ],
)
def test_bad_task_file_names_key_and_expectation(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in GOOD
    with pytest.raises(ValueError, match=rf"mood\.toml is not a task: {message}"):
        read_task(written(tmp_path, GOOD.replace(before, after)))


def test_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mood\.toml is not TOML: .*line 1"):
        read_task(written(tmp_path, "name = \n"))
    (tmp_path / "mood.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(ValueError, match=r"mood\.toml is not UTF-8 at byte 8; save it as UTF-8"):
        read_task(tmp_path / "mood.toml")


def test_own_task_survives_json(tmp_path: Path) -> None:
    task = read_task(written(tmp_path, GOOD))
    stored = json.loads(json.dumps(to_json(task)))
    assert from_json(stored) == task
    assert from_json(json.loads(json.dumps(to_json(task, files=False)))).data is None
    assert (to_json(HATE), from_json("hate")) == ("hate", HATE)


def test_stored_definition_cannot_replace_built_in_task(tmp_path: Path) -> None:
    stored = to_json(read_task(written(tmp_path, GOOD))) | {"name": "hate"}
    with pytest.raises(ValueError, match="task 'hate' is built in; expected its name alone"):
        from_json(stored)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("irony", "there is no task or file 'irony'; expected hate, deepfake, or a task file"),
        (".", "is a folder; expected a task file"),
        ("s3://bucket/mood.toml", "download the task file first"),
        ("mood.toml", "there is no task or file 'mood.toml'"),
    ],
)
def test_unknown_task_error_says_what_to_type(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_task(name)
