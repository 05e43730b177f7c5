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
def test_killed_workers_leave_a_consistent_registry(registry: str, mixed: bool) -> None:
    dice, campaign = random.Random(mixed), Campaign(registry, mixed=mixed)
    for _ in range(5):
        campaign.kill_some(2, dice.uniform(0, 0.15))
    assert len(campaign.acknowledged) >= 10


@pytest.mark.slow
def test_publish_is_atomic_at_every_step(registry: str, tmp_path: Path) -> None:
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
def test_concurrent_publishers_promote_the_best(registry: str) -> None:
    campaign = Campaign(registry)
    for process in campaign.start(4, rounds=5):
        campaign.finish(process)
        assert process.returncode == 0
    campaign.check()
    cards = list_versions(TASK, registry=registry)
    assert len(cards) == 20 == len(campaign.acknowledged)
    best = max(cards, key=lambda card: card.validation or 0)
    assert current_version(TASK, registry=registry) == best.version


@pytest.mark.slow
def test_concurrent_same_model_makes_one_version(registry: str) -> None:
    campaign = Campaign(registry)
    first = campaign.launch(rounds=3)
    campaign.seed = 0
    second = campaign.launch(rounds=3)
    for process in (first, second):
        campaign.finish(process)
        assert process.returncode == 0
    campaign.check()
    assert len(list_versions(TASK, registry=registry)) == 3
