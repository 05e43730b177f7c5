"""Kill publishers and promoters at random times: the registry must not lose or partly show a version.

In each round two processes publish small models as fast as they can and get SIGKILL after a random time. In
half of the campaigns they also promote and roll back. Afterwards every acknowledged version must be listed
and complete. The current version must resolve and, without promotions, be the best. Runs on a folder and on
a fake S3 (moto).
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
    """Number of incomplete publications in a registry, which readers must not see."""
    store = open_store(place)
    root = store.place(TASK)
    if root is None:
        return len(unfinished(store, TASK))
    return len(list(root.glob("versions/.*"))) + len(list(root.glob(".current.json.*")))


def run_campaigns(name: str, root: str, environment: Mapping[str, str], kills: int, seed: int) -> str:
    """Run `kills` rounds, with a new registry every `PER_REGISTRY` rounds; returns a summary."""
    rng, began = random.Random(seed), time.monotonic()
    published = left = 0
    for first in range(0, kills, PER_REGISTRY):
        place = f"{root}/{uuid.uuid4().hex}"
        mixed = first // PER_REGISTRY % 2 == 1
        campaign = Campaign(place, environment, mixed=mixed, seed=rng.randrange(1 << 30))
        for number in range(first, min(first + PER_REGISTRY, kills)):
            before = leftovers(place)
            campaign.kill_some(2, rng.uniform(0, 0.15))
            left += leftovers(place) > before
            print(f"{name}: {number + 1} of {kills}", flush=True)
        published += len(campaign.acknowledged)
    return (
        f"{name}: {kills} rounds, {2 * kills} processes killed; incomplete publications in {left} "
        f"rounds; {published} versions acknowledged: 0 lost, 0 damaged, 0 partly visible. "
        f"{time.monotonic() - began:.0f} s"
    )


def main() -> None:
    """Command line.

    Raises:
        AssertionError: a version was lost, damaged or partly visible.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="rounds per kind of storage")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the kills")
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = [run_campaigns("folder", folder, {}, arguments.kills, arguments.seed)]
    with object_storage() as environment:
        os.environ.update(environment)
        url = f"s3://{BUCKET}"
        lines.append(
            run_campaigns("object storage (moto)", url, environment, arguments.kills, arguments.seed)
        )
    text = "\n\n".join([f"# Registry kills\n\n{date.today()}, Python {platform.python_version()}.", *lines])
    print(f"\n{text}")
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
