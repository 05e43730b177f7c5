"""The report as a browser shows it: no number that the JSON lacks, no sideways scrolling on a telephone."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import checkpoint
from tests.fakes import card
from tweetelm.data import SAMPLE, load, provenance
from tweetelm.evaluation.digits import show
from tweetelm.evaluation.document import Interval
from tweetelm.evaluation.evaluate import calibrated, evaluate
from tweetelm.evaluation.evidence import Evidence
from tweetelm.evaluation.report import write
from tweetelm.predictor import Predictor
from tweetelm.tasks import DEEPFAKE

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e-\d+)?")
ASK = """<!doctype html><pre id="answer"></pre>
<iframe id="page" src="report.html" style="width:390px;height:800px;border:0"></iframe>
<script>
document.getElementById("page").onload = event => {
  const page = event.target.contentDocument;
  const boxes = [...page.querySelectorAll(".box")];
  const answer = {
    width: page.documentElement.clientWidth,
    reach: page.documentElement.scrollWidth,
    wide: boxes.filter(box => box.scrollWidth > box.clientWidth).length,
    drawings: [...page.querySelectorAll("svg")].map(one => one.getBoundingClientRect().width),
  };
  page.querySelectorAll("svg").forEach(one => one.remove());
  answer.text = page.body.innerText;
  document.getElementById("answer").textContent = JSON.stringify(answer);
};
</script>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browser")
    model = checkpoint(place / "model", DEEPFAKE)
    rows, source = load(DEEPFAKE, SAMPLE), provenance(DEEPFAKE, SAMPLE)
    found = calibrated(evaluate(Predictor.load(model, precision="float32"), rows), rows)
    made = card(task="deepfake", metric="accuracy", metrics=found.metrics)
    write(Evidence(evaluation=found, dataset=rows, provenance=source, card=made), place)
    (place / "ask.html").write_text(ASK)
    return place


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        return


@pytest.fixture(scope="module")
def seen(address: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    profile = tmp_path_factory.mktemp("profile")
    command = [
        str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom", f"{address}/ask.html",
    ]  # fmt: skip
    answer = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
    found = re.search(r'<pre id="answer">(.+?)</pre>', answer, re.DOTALL)
    assert found, answer[:2000]
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result


def told(value: Any) -> Iterator[str]:
    """Every text of a JSON document, numbers as the renderers write them."""
    if isinstance(value, dict) and value.keys() == {"value", "low", "high"}:
        yield show(Interval(**value))
    elif isinstance(value, dict):
        for part in value.values():
            yield from told(part)
    elif isinstance(value, list):
        for part in value:
            yield from told(part)
    else:
        yield show(value)


def test_every_number_that_is_shown_stands_in_the_json(folder: Path, seen: dict[str, Any]) -> None:
    known = set(NUMBER.findall("\n".join(told(json.loads((folder / "report.json").read_text())))))
    shown = NUMBER.findall(seen["text"])
    assert len(shown) > 300
    assert [number for number in shown if number not in known] == []


def test_the_page_does_not_scroll_sideways_on_a_telephone(seen: dict[str, Any]) -> None:
    assert seen["width"] == 390
    assert seen["reach"] <= 390
    assert seen["wide"] > 0  # some tables are wider, and scroll inside their box
    assert seen["drawings"]
    assert max(seen["drawings"]) <= 390
