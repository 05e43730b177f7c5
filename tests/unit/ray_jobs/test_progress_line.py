import time

import pytest

from ray_jobs.progress_line import EVERY_S, Progress, duration


def test_line_gives_rows_speed_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(1000, 200)
    progress.add(100, seconds=1.0)
    assert capsys.readouterr().out == "300 of 1,000 rows (30%), 100 rows/s, 7 s left\n"


def test_lines_are_rare(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(1000, 0)
    for _ in range(5):
        progress.add(10, seconds=1.0)
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert EVERY_S > 1


def test_speed_leaves_out_the_start_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress(1000, 0)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    progress.add(100, seconds=2.0)
    assert progress.speed == pytest.approx(50)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (3600, "1 h 0 min"), (90_000, "25 h 0 min")]
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
