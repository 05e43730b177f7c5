"""Publishers that are killed, and concurrent publishers."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.registry_workers import ROOT, TASK, Campaign
from tweetelm.registry import current_version, list_versions


@pytest.mark.slow
@pytest.mark.parametrize("mixed", [False, True], ids=["publishing", "promoting"])
def test_workers_that_are_killed_at_any_moment_leave_a_whole_registry(registry: str, mixed: bool) -> None:
    dice, campaign = random.Random(mixed), Campaign(registry, mixed=mixed)
    for _ in range(5):
        campaign.kill_some(2, dice.uniform(0, 0.15))
    assert len(campaign.acknowledged) >= 10


@pytest.mark.slow
def test_a_publisher_that_dies_at_any_step_leaves_the_old_version_or_the_new_one(
    registry: str, tmp_path: Path
) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.support.registry_crashes", registry, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 10


@pytest.mark.slow
def test_of_many_publishers_at_the_same_time_none_is_lost_and_the_best_is_served(registry: str) -> None:
    campaign = Campaign(registry)
    for process in campaign.start(4, rounds=5):
        campaign.finish(process)
        assert process.returncode == 0
    campaign.look()
    cards = list_versions(TASK, registry=registry)
    assert len(cards) == 20 == len(campaign.acknowledged)
    best = max(cards, key=lambda card: card.validation or 0)
    assert current_version(TASK, registry=registry) == best.version


@pytest.mark.slow
def test_publishers_of_the_same_model_at_the_same_time_make_one_version(registry: str) -> None:
    campaign = Campaign(registry)
    first = campaign.launch(rounds=3)
    campaign.seed = 0
    second = campaign.launch(rounds=3)
    for process in (first, second):
        campaign.finish(process)
        assert process.returncode == 0
    campaign.look()
    assert len(list_versions(TASK, registry=registry)) == 3
