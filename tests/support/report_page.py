"""A report in headless Chromium, with measurements for tests."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page

from tests.support.browser import PHONE_WIDTH
from tweetelm.evaluation.report.document import Interval
from tweetelm.evaluation.report.formatting import show

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e-\d+)?")
Scheme = Literal["light", "dark"]

# Texts with their contrast against the nearest opaque background (WCAG 2). In SVG, the color is the fill.
CONTRAST = """() => {
  const parse = color => color.match(/[\\d.]+/g).map(Number);
  const luminance = color => {
    const [r, g, b] = parse(color).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (parse(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const own = e => !e.closest("defs")
    && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  return [...document.body.querySelectorAll("*")].filter(own).map(e => {
    const style = getComputedStyle(e);
    const [a, b] = [luminance(e.closest("svg") ? style.fill : style.color), luminance(background(e))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent.trim()];
  });
}"""


@contextmanager
def opened(
    browser: Browser, file: Path, *, width: int = PHONE_WIDTH, scheme: Scheme = "light"
) -> Iterator[Page]:
    """The report in a window of `width` CSS pixels."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.goto(file.resolve().as_uri())
    try:
        yield page
    finally:
        context.close()


def unfold(page: Page) -> None:
    """Open all `details` elements."""
    page.eval_on_selector_all("details", "folds => folds.forEach(fold => { fold.open = true; })")


def text_without_figures(page: Page) -> str:
    """The visible text; figures are removed from the page."""
    page.eval_on_selector_all("svg", "figures => figures.forEach(figure => figure.remove())")
    return page.inner_text("body")


def low_contrast(page: Page, least: float = 4.5) -> list[tuple[float, str]]:
    """Texts with a contrast ratio below `least`."""
    return [(ratio, text) for ratio, text in page.evaluate(CONTRAST) if ratio < least]


def numbers_missing_in_json(folder: Path, text: str) -> list[str]:
    """Numbers of a text that report.json does not contain."""
    known = set(NUMBER.findall("\n".join(_texts(json.loads((folder / "report.json").read_text())))))
    return [number for number in NUMBER.findall(text) if number not in known]


def _texts(value: Any) -> Iterator[str]:
    """Every text of a JSON document; numbers are formatted as the renderers format them."""
    if isinstance(value, dict) and value.keys() == {"value", "low", "high"}:
        yield show(Interval(**value))
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    else:
        yield show(value)
