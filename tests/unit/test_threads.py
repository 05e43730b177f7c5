"""Threads of a forward pass follow the CPUs that other processes leave free."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.places import ROOT
from tweetelm import threads
from tweetelm.threads import Sample, ThreadFitter, sample, threads_for

CPUS = len(os.sched_getaffinity(0))


@pytest.fixture
def fitter(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadFitter]:
    """A fitter on 4 CPUs; torch's own number of threads is restored."""
    before = torch.get_num_threads()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(threads, "usable_cpus", lambda: 4)
    torch.set_num_threads(4)
    yield ThreadFitter()
    torch.set_num_threads(before)


def fit(fitter: ThreadFitter, monkeypatch: pytest.MonkeyPatch, others: float, at: float) -> int:
    """The threads after a fit at time `at` with `others` CPUs in use by other processes since the start."""
    monkeypatch.setattr(time, "monotonic", lambda: at)
    monkeypatch.setattr(threads, "sample", lambda: Sample(at, (1.5 + others) * at, 1.5 * at))
    fitter.fit()
    return torch.get_num_threads()


@pytest.mark.parametrize(("others", "expected"), [(0, 4), (0.6, 4), (0.7, 3), (1, 3), (2.7, 1), (9, 1)])
def test_threads_are_the_free_cpus(
    fitter: ThreadFitter, monkeypatch: pytest.MonkeyPatch, others: float, expected: int
) -> None:
    assert fit(fitter, monkeypatch, others, 1.0) == 4  # nothing is known yet
    assert fit(fitter, monkeypatch, others, 2.0) == expected


def test_threads_return_when_the_load_ends(fitter: ThreadFitter, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(fitter, monkeypatch, 3, 1.0)
    assert fit(fitter, monkeypatch, 3, 2.0) == 1
    monkeypatch.setattr(time, "monotonic", lambda: 3.0)
    monkeypatch.setattr(threads, "sample", lambda: Sample(3.0, 4.5 * 2 + 1, 1.5 * 2 + 1))
    fitter.fit()
    assert torch.get_num_threads() == 4


def test_set_number_of_threads_is_the_limit(fitter: ThreadFitter, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(fitter, monkeypatch, 0, 1.0)
    torch.set_num_threads(2)
    fit(fitter, monkeypatch, 0, 2.0)
    assert fit(fitter, monkeypatch, 0, 3.0) == 2


def test_old_measurement_is_not_used(fitter: ThreadFitter, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(fitter, monkeypatch, 3, 1.0)
    assert fit(fitter, monkeypatch, 3, 60.0) == 4


def test_quota_of_the_container_limits_threads(fitter: ThreadFitter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "usable_cpus", lambda: 3)
    assert fit(fitter, monkeypatch, 0, 1.0) == 3


def test_unknown_load_changes_nothing(
    fitter: ThreadFitter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(threads, "_STAT", tmp_path / "stat")
    assert sample() is None
    fitter.fit()
    fitter.fit()
    assert torch.get_num_threads() == 4


def test_each_thread_has_a_state_of_its_own(fitter: ThreadFitter, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(fitter, monkeypatch, 3, 1.0)
    found: list[int] = []
    other = threading.Thread(target=lambda: found.append(fitter.limit))
    other.start()
    other.join()
    assert (fitter.limit, found) == (4, [1])


def test_own_work_is_not_load_of_others() -> None:
    """Real counters: a busy loop here counts as own time, one in another process as that of others."""
    before, end = sample(), time.monotonic() + 1.0
    while time.monotonic() < end:
        pass
    now = sample()
    assert before is not None
    assert now is not None
    assert now.own - before.own == pytest.approx(now.at - before.at, rel=0.9)
    assert now.everyone - before.everyone >= (now.own - before.own) - 0.1
    assert 1 <= threads_for(before, now, CPUS) <= CPUS


@pytest.mark.slow
def test_results_do_not_depend_on_the_load() -> None:
    script = (
        "import torch; from benchmarks.bench_threads import model\n"
        "p, texts = model('scratch-1m'), [f'tweet {i} of many' for i in range(64)]\n"
        "torch.set_num_threads(1); a = p.predict(texts); torch.set_num_threads(2); b = p.predict(texts)\n"
        "print(max(abs(x - y) for q, r in zip(a, b) for x, y in zip(q.probabilities, r.probabilities)))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 1e-5
