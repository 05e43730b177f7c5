"""Progress output of a search."""

from types import SimpleNamespace
from typing import Any

import pytest

from ray_jobs.search.progress import Watch


def trial(order: int, name: str, status: str = "RUNNING", **last: Any) -> Any:
    config = {"optim.lr": 0.00123, "loop.epochs": 3}
    tag = f"{order}_loop_epochs=3,optim_lr=0.0012"
    return SimpleNamespace(
        experiment_tag=tag, trial_id=name, config=config, status=status, last_result=last or None
    )


def test_log_line_has_trial_event_and_score(capsys: pytest.CaptureFixture[str]) -> None:
    watch, trials = Watch(count=8, metric="macro_f1", epochs=3), [trial(1, "aa"), trial(2, "bb")]
    watch.on_trial_start(0, trials, trials[1])
    watch.on_trial_result(0, trials, trials[1], {"epoch": 1.0, "validation_macro_f1": 0.71234})
    watch.on_trial_result(0, trials, trials[0], {"phase": "pretrain", "step": 7, "loss": 2.5})
    trials[1].last_result = {"epoch": 1.0}
    watch.on_trial_complete(0, trials, trials[1])
    assert capsys.readouterr().out.splitlines() == [
        "trial 2/8  bb  starting: optim.lr 0.0012, loop.epochs 3",
        "trial 2/8  bb  epoch 1.00 of 3  validation macro_f1 0.7123",
        "trial 1/8  aa  language modeling, step 7  loss 2.5000",
        "trial 2/8  bb  pruned",
    ]


def test_trial_number_survives_a_restore(
    capsys: pytest.CaptureFixture[str],
) -> None:
    watch, late = Watch(count=8, metric="macro_f1", epochs=3), trial(10, "jj")
    watch.on_trial_start(0, [late, *(trial(n, str(n), "TERMINATED") for n in range(1, 10))], late)
    assert capsys.readouterr().out.startswith("trial 10/8  jj")


def test_table_marks_starting_trials() -> None:
    watch = Watch(count=3, metric="macro_f1", epochs=3)
    trials = [
        trial(2, "bb"),
        trial(1, "aa", epoch=1.0, validation_macro_f1=0.7),
        trial(0, "zz", "TERMINATED", epoch=3.0),
    ]
    columns = watch._table(trials).columns
    assert list(columns[0].cells) == ["zz", "aa", "bb"]
    assert list(columns[-1].cells) == ["done", "running", "starting"]
