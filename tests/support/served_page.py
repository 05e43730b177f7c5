"""The serving page in Chromium, with checks of its requests and console errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.support.browser import BROWSER
from tweetelm.tasks import TASKS, Task

# Chromium's console message for an error response; the page reports the error itself.
EXPECTED = "Failed to load resource"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The installed Chromium; nothing is downloaded."""
    expect.set_options(timeout=30_000)  # a slow machine is not a failure
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """The page at `url`; on exit, it must have made no other requests and logged no errors.

    Raises:
        AssertionError: a request went to another origin, or the console has an error or warning.
    """
    context = browser.new_context(**options)
    page = context.new_page()
    requested, errors = _watch(context, page)
    try:
        page.goto(f"{url}/")
        yield page
    finally:
        context.close()
    assert [one for one in requested if not one.startswith((f"{url}/", "data:"))] == []
    assert errors == []


def _watch(context: BrowserContext, page: Page) -> tuple[list[str], list[str]]:
    """Record requested URLs, and errors of the console and of scripts, in two lists."""
    requested: list[str] = []
    errors: list[str] = []
    context.on("request", lambda request: requested.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda message: (
            errors.append(message.text)
            if message.type in ("error", "warning") and not message.text.startswith(EXPECTED)
            else None
        ),
    )
    return requested, errors


def tweet(page: Page) -> Locator:
    """The text field for the tweet."""
    return page.get_by_role("textbox", name="Paste a tweet")


def card(page: Page, task: str | Task) -> Locator:
    """The card of one model."""
    question = task.question if isinstance(task, Task) else TASKS[task].question
    return page.get_by_role("article", name=question)


def classify(page: Page, text: str) -> None:
    """Classify `text` and wait for the predictions."""
    tweet(page).fill(text)
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("status")).to_contain_text("Done.")


def show_everything(page: Page) -> None:
    """Show predictions, word attributions and a curl command."""
    classify(page, "no!! 😀 a !!!\nsome more words")
    page.get_by_role("button", name="Which words? (hate)").click()
    page.get_by_role("button", name="Copy as curl (hate)").click()
    expect(card(page, "hate").locator("pre")).to_be_visible()
    expect(card(page, "hate").locator(".marked")).to_be_visible()


def enter_key(page: Page, key: str) -> None:
    """Type an API key and send it."""
    page.get_by_label("API key").fill(key)
    page.get_by_label("API key").press("Enter")


# Draws every background from the root to the element, then the color, and reads the pixels. This covers every
# color syntax and transparency.
_CONTRASTS = """() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const luminance = () => {
    const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paint = color => { pen.fillStyle = color; pen.fillRect(0, 0, 1, 1); return luminance(); };
  const ground = element => {
    if (element.parentElement) ground(element.parentElement);
    return paint(getComputedStyle(element).backgroundColor);
  };
  const ratio = (element, color) => {
    const [a, b] = [ground(element), paint(color)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const shown = [...document.body.querySelectorAll("*")]
    .filter(one => one.checkVisibility() && !one.closest(".unseen"));
  const written = shown.filter(one => one.value && one.matches("textarea, input") ||
    [...one.childNodes].some(part => part.nodeType === 3 && part.data.trim()));
  const texts = written.map(one => [one.textContent.trim(), ratio(one, getComputedStyle(one).color)]);
  const edges = shown.filter(one => one.matches("textarea, input, button:not(.examples *)"))
    .map(one => ["edge of " + one.tagName, ratio(one.parentElement, getComputedStyle(one).borderColor)]);
  return { texts, edges };
}"""


def contrasts(page: Page) -> dict[str, list[tuple[str, float]]]:
    """WCAG contrast ratios of all `texts`, and of the `edges` of all controls."""
    found: dict[str, list[tuple[str, float]]] = page.evaluate(_CONTRASTS)
    return found


def mark_all(page: Page, level: int) -> None:
    """Set the highlight level of every word of a panel."""
    page.eval_on_selector_all(
        ".word",
        "(all, level) => all.forEach(e => e.className = e.className.replace(/level./, `level${level}`))",
        level,
    )


def focused(page: Page) -> dict[str, Any]:
    """Name of the focused element, and the width of its outline in pixels."""
    found: dict[str, Any] = page.evaluate(
        """() => {
          const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
          const outline = outlineStyle === "none" ? 0 : parseFloat(outlineWidth);
          return { name: document.activeElement.textContent, outline };
        }"""
    )
    return found
