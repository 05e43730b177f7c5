"""The page as a person meets it: the application on a port of its own, and Chromium, watched for what it asks
and what it complains of."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.support.browser import BROWSER
from tweetelm.tasks import TASKS

# Chromium's own line for an answer that is an error; the page says it in its own words.
EXPECTED = "Failed to load resource"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser that this machine has; nothing is downloaded."""
    expect.set_options(timeout=30_000)  # a busy machine is no failure
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """The page at `url`. At the end it must have asked nobody else and complained of nothing."""
    context = browser.new_context(**options)
    page = context.new_page()
    asked, complaints = _watch(context, page)
    try:
        page.goto(f"{url}/")
        yield page
    finally:
        context.close()
    assert [one for one in asked if not one.startswith((f"{url}/", "data:"))] == []
    assert complaints == []


def _watch(context: BrowserContext, page: Page) -> tuple[list[str], list[str]]:
    """Lists that grow: addresses asked, and errors of the console and of the script."""
    asked: list[str] = []
    complaints: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: (
            complaints.append(said.text)
            if said.type in ("error", "warning") and not said.text.startswith(EXPECTED)
            else None
        ),
    )
    return asked, complaints


def tweet(page: Page) -> Locator:
    """The field for the tweet."""
    return page.get_by_role("textbox", name="Paste a tweet")


def card(page: Page, task: str) -> Locator:
    """What the page shows of one model."""
    return page.get_by_role("article", name=TASKS[task].question)


def classify(page: Page, text: str) -> None:
    """Ask for the verdicts on `text` and wait for them."""
    tweet(page).fill(text)
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("status")).to_contain_text("Done.")


def show_everything(page: Page) -> None:
    """Verdicts, words and a command."""
    classify(page, "no!! 😀 a !!!\nsome more words")
    page.get_by_role("button", name="Which words? (hate)").click()
    page.get_by_role("button", name="Copy as curl (hate)").click()
    expect(card(page, "hate").locator("pre")).to_be_visible()
    expect(card(page, "hate").locator(".marked")).to_be_visible()


def give(page: Page, key: str) -> None:
    """Type an API key and send it."""
    page.get_by_label("API key").fill(key)
    page.get_by_label("API key").press("Enter")


# Draws every ground from the root to the element, then the color, and reads the pixels: so any way to write
# a color, and any transparency, counts as it looks.
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
    """WCAG contrast ratios of every `texts` and of every control's `edges`, as they stand."""
    found: dict[str, list[tuple[str, float]]] = page.evaluate(_CONTRASTS)
    return found


def mark_all(page: Page, level: int) -> None:
    """Show every word of a panel as strongly as `level` says."""
    page.eval_on_selector_all(
        ".word",
        "(all, level) => all.forEach(e => e.className = e.className.replace(/level./, `level${level}`))",
        level,
    )


def stop(page: Page) -> dict[str, Any]:
    """Where the focus is, and how thick the line around it is in pixels."""
    found: dict[str, Any] = page.evaluate(
        """() => {
          const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
          const outline = outlineStyle === "none" ? 0 : parseFloat(outlineWidth);
          return { name: document.activeElement.textContent, outline };
        }"""
    )
    return found
