"""A report in headless Chromium, in a frame as wide as a telephone, and what can be asked of it there."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

from tweetelm.evaluation.report.document import Interval
from tweetelm.evaluation.report.formatting import show

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TELEPHONE = 390
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e-\d+)?")
ASK = f"""<!doctype html><pre id="answer"></pre>
<iframe id="page" src="report.html" style="width:{TELEPHONE}px;height:800px;border:0"></iframe>
<script>
document.getElementById("page").onload = event => {{
  const page = event.target.contentDocument;
  const boxes = [...page.querySelectorAll(".box")];
  const answer = {{
    width: page.documentElement.clientWidth,
    reach: page.documentElement.scrollWidth,
    wide: boxes.filter(box => box.scrollWidth > box.clientWidth).length,
    drawings: [...page.querySelectorAll("svg")].map(one => one.getBoundingClientRect().width),
  }};
  page.querySelectorAll("svg").forEach(one => one.remove());
  answer.text = page.body.innerText;
  document.getElementById("answer").textContent = JSON.stringify(answer);
}};
</script>"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        return


def look(folder: Path) -> dict[str, Any]:
    """Open `folder`/report.html: its text without drawings, its width, how far it reaches, how many tables
    are wider than their box, and the drawings' widths, all in pixels."""
    (folder / "ask.html").write_text(ASK)
    handler = functools.partial(Quiet, directory=str(folder))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [
            str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--no-first-run", "--disable-background-networking", "--disable-sync",
            f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom",
            f"http://127.0.0.1:{server.server_address[1]}/ask.html",
        ]  # fmt: skip
        answer = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
        server.shutdown()
    found = re.search(r'<pre id="answer">(.+?)</pre>', answer, re.DOTALL)
    assert found, answer[:2000]
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result


def not_in_the_json(folder: Path, text: str) -> list[str]:
    """Numbers of a text that report.json lacks."""
    known = set(NUMBER.findall("\n".join(_told(json.loads((folder / "report.json").read_text())))))
    return [number for number in NUMBER.findall(text) if number not in known]


def _told(value: Any) -> Iterator[str]:
    """Every text of a JSON document, numbers as the renderers write them."""
    if isinstance(value, dict) and value.keys() == {"value", "low", "high"}:
        yield show(Interval(**value))
    elif isinstance(value, dict):
        for part in value.values():
            yield from _told(part)
    elif isinstance(value, list):
        for part in value:
            yield from _told(part)
    else:
        yield show(value)
