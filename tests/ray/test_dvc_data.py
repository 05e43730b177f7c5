"""`examples/dvc-data` with the real DVC: from parts to a tested model, on the embedded sample."""

import json
import random
from pathlib import Path

import pytest

from tests.support import mixes
from tests.support.chat_api import chat_api
from tests.support.dvc_project import dvc_project
from tests.support.x_archive import archive, tweet
from tweetelm.files.hashing import sha256

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_pipeline_runs_from_parts_to_a_tested_model(tmp_path: Path) -> None:
    rng = random.Random(0)
    with chat_api() as api, dvc_project(tmp_path, "dvc-data") as project:
        posts = [tweet(number, mixes.tweet(rng)) for number in range(1, 31)]
        archive(tmp_path / "archive.zip", posts)
        file = tmp_path / "dvc.yaml"
        own = "--model ${generate.model}"
        assert own in file.read_text()
        file.write_text(
            file.read_text().replace(own, f"--endpoint {api.url} --model talker --max-requests 400")
        )
        params = tmp_path / "params.yaml"
        params.write_text(params.read_text().replace("rows: 1000", "rows: 60"))
        project.dvc("repro")
        requests = len(api.arrivals)
        assert requests >= 60
        values = json.loads((tmp_path / "mixed" / "mix.json").read_text())
        assert {part["name"]: part["read"] for part in values["parts"]} == {"generated": 60, "collected": 30}
        scores = json.loads((tmp_path / "report" / "scores.json").read_text())
        tested = json.loads((tmp_path / "evaluation" / "report.json").read_text())
        card = next((tmp_path / "models").glob("tweets/versions/*/card.json"))
        data = json.loads(card.read_text())["data"]
        project.dvc("repro")
        assert len(api.arrivals) == requests
    assert 0.5 < scores["test"]["accuracy"] < 1
    assert tested["sections"][0]["text"][0].startswith("accuracy on test: ")
    assert f"over {values['splits']['generated-test']['rows']} tweets" in tested["sections"][0]["text"][0]
    mix = data["mix"]
    assert data["synthetic"]  # the base is the embedded sample
    assert (mix["version"], mix["recipe"]) == (values["version"], values["recipe_sha256"])
    for part, folder in (("generated", "generated"), ("collected", "collected")):
        assert mix["parts"][part] == sha256(tmp_path / folder / "rows.csv")
