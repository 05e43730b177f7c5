"""Take screenshots of reports for the docs, as small PNGs: `python -m tools.report_pictures --help`.

    python -m tools.report_pictures --evaluation evaluation-VERSION --search runs/demo --page http://127.0.0.1:8000
    python -m tools.report_pictures --file http://127.0.0.1:8000 --model emotion

Every report has four pictures: light and dark, for a wide screen and a phone. With --page, overview.png shows
the serving page next to the evaluation report. With --file, two pictures show the page with a dropped CSV.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.browser import BROWSER
from tests.support.served_files import classify_file, csv_bytes, drop

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
SCREENS = {1280: 1400, 390: 1400}  # width: height of the picture, CSS pixels
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
COLORS = 128  # size of the palette
LIMIT = 150_000  # bytes
TWEET = "hot take: Zorblaxians are worse than space rats"
PANELS = ((1000, 900), (1000, 900))  # of overview.png: page, report
FILE_SCREENS = {1280: 1020, 375: 1020}  # of the pictures with a dropped file
NO_TWEET = 21  # place of a tweet without text, to show an error
MOODS = (
    "what a lovely morning :)",
    "so tired of this",
    "we will win the next one, believe me",
    "they broke it again!!",
)
SUBJECTS = ("the council", "my neighbor", "this bus line", "our team", "the new park", "that song")
GAP, BORDER = 24, (203, 213, 225)


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the pictures that the arguments name and print their paths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluation", type=Path, help="folder with an evaluation's report.html")
    parser.add_argument("--search", type=Path, help="folder with a search's report.html")
    parser.add_argument("--page", help="URL of a running service; needs --evaluation")
    parser.add_argument("--file", help="URL of a running service, for the page with a dropped CSV")
    parser.add_argument("--model", help="the model that classifies the CSV; default: the service's first one")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the pictures")
    given = parser.parse_args(arguments)
    if given.page and not given.evaluation:
        parser.error("--page needs --evaluation: overview.png shows both")
    given.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        for name in ("evaluation", "search"):
            folder = getattr(given, name)
            if folder:
                report_pictures(browser, folder / "report.html", given.out, name)
        if given.page:
            save(overview(browser, given.page, given.evaluation / "report.html"), given.out / "overview.png")
        if given.file:
            file_pictures(browser, given.file, given.out, given.model)
        browser.close()


def file_pictures(browser: Browser, url: str, out: Path, model: str | None) -> None:
    """Write file-<width>.png: the page with the results of a dropped CSV, on a laptop and a phone."""
    for width, height in FILE_SCREENS.items():
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        page.goto(url)
        page.get_by_role("button", name="Classify").wait_for()
        drop(page, "tweets.csv", csv_bytes(made_up_tweets()))
        classify_file(page, model=model)
        page.evaluate("window.scrollTo(0, 0)")
        if width < 1000:
            page.locator("#file-panel").evaluate("panel => panel.scrollIntoView()")
        save(_screenshot(page), out / f"file-{width}.png")
        page.close()


def made_up_tweets() -> list[tuple[object, ...]]:
    """A table with an id, an author and a tweet; one tweet is empty."""
    texts = [f"{subject}: {mood}" for subject in SUBJECTS for mood in MOODS]
    texts[NO_TWEET] = ""
    return [("id", "author", "tweet"), *((1000 + n, f"user{n % 5}", text) for n, text in enumerate(texts))]


def report_pictures(browser: Browser, report: Path, out: Path, name: str) -> None:
    """Write <name>-<width>-<scheme>.png for every screen and color scheme."""
    for width, height in SCREENS.items():
        for scheme in SCHEMES:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(report.resolve().as_uri())
            save(_screenshot(page), out / f"{name}-{width}-{scheme}.png")
            page.close()


def overview(browser: Browser, url: str, report: Path) -> Image.Image:
    """A picture of the serving page with a prediction, next to the evaluation report."""
    panels = []
    for target, (width, height) in zip((url, report.resolve().as_uri()), PANELS, strict=True):
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        page.goto(target)
        if target == url:
            page.get_by_role("textbox", name="Paste a tweet").fill(TWEET)
            page.get_by_role("button", name="Classify").click()
            page.get_by_text("Done.").wait_for(timeout=60_000)
            page.evaluate("window.scrollTo(0, 0)")
        panels.append(_screenshot(page))
        page.close()
    return side_by_side(panels)


def side_by_side(panels: Sequence[Image.Image]) -> Image.Image:
    """Pictures in one row, each with a thin border, on a white background."""
    width = sum(panel.width + 2 for panel in panels) + GAP * (len(panels) + 1)
    height = max(panel.height + 2 for panel in panels) + 2 * GAP
    picture = Image.new("RGB", (width, height), "white")
    left = GAP
    for panel in panels:
        picture.paste(BORDER, (left, GAP, left + panel.width + 2, GAP + panel.height + 2))
        picture.paste(panel, (left + 1, GAP + 1))
        left += panel.width + 2 + GAP
    return picture


def _screenshot(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def save(picture: Image.Image, path: Path) -> None:
    """Write a PNG with a palette.

    Raises:
        ValueError: the file would be larger than LIMIT.
    """
    buffer = io.BytesIO()
    palette = picture.quantize(COLORS, dither=Image.Dither.NONE)
    palette.save(buffer, "PNG", optimize=True)
    if buffer.tell() > LIMIT:
        raise ValueError(
            f"{path} has {buffer.tell()} bytes; expected at most {LIMIT}: lower COLORS or SCREENS"
        )
    path.write_bytes(buffer.getvalue())
    print(f"{path}  {buffer.tell():,} bytes")


if __name__ == "__main__":
    main()
