"""Publishers and promoters killed at random moments: does the registry ever lose or half show a version?

Rounds of two processes that publish small models as fast as they can, in half of the rounds with promotions
and roll-backs in between; both get SIGKILL after a random time. Then all that was acknowledged must be listed
and whole, what is current must resolve and (without promotions) be the best. In a folder, and in a local
stand-in for S3.
"""

import argparse
import os
import platform
import random
import tempfile
import time
import uuid
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from tests.support.registry_workers import TASK, Campaign
from tests.support.s3 import BUCKET, object_storage
from tweetelm.registry.store import open_store
from tweetelm.registry.verify import unfinished

PER_REGISTRY = 20


def leftovers(place: str) -> int:
    """Unfinished work that the kills left in a registry, which nobody may see."""
    store = open_store(place)
    root = store.place(TASK)
    if root is None:
        return len(unfinished(store, TASK))
    return len(list(root.glob("versions/.*"))) + len(list(root.glob(".current.json.*")))


def campaigns(name: str, root: str, environment: Mapping[str, str], kills: int, seed: int) -> str:
    """Kill `kills` times, on a new registry every few, and say what came of it."""
    dice, began = random.Random(seed), time.monotonic()
    published = left = 0
    for first in range(0, kills, PER_REGISTRY):
        place = f"{root}/{uuid.uuid4().hex}"
        mixed = first // PER_REGISTRY % 2 == 1
        campaign = Campaign(place, environment, mixed=mixed, seed=dice.randrange(1 << 30))
        for number in range(first, min(first + PER_REGISTRY, kills)):
            before = leftovers(place)
            campaign.kill_some(2, dice.uniform(0, 0.15))
            left += leftovers(place) > before
            print(f"{name}: {number + 1} of {kills}", flush=True)
        published += len(campaign.acknowledged)
    return (
        f"{name}: {kills} rounds, {2 * kills} processes killed, {left} rounds left something unfinished; "
        f"{published} versions were acknowledged: 0 lost, 0 damaged, 0 half visible. "
        f"{time.monotonic() - began:.0f} s"
    )


def main() -> None:
    """Command line; an AssertionError says what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="rounds in each kind of registry")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the result there, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = [campaigns("folder", folder, {}, arguments.kills, arguments.seed)]
    with object_storage() as environment:
        os.environ.update(environment)
        url = f"s3://{BUCKET}"
        lines.append(campaigns("object storage (moto)", url, environment, arguments.kills, arguments.seed))
    text = "\n\n".join(
        [f"# Killed publishers\n\n{date.today()}, Python {platform.python_version()}.", *lines]
    )
    print(f"\n{text}")
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
