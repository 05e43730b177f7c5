"""Files on the serving page: choose, drop, classify, download."""

import base64
import csv
import io
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

STATUS = "#file-status"
# A drop as a browser sends it: a DataTransfer with the file, on an element of the page.
_DROP = """([name, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  for (const type of ["dragover", "drop"]) {
    document.querySelector("main").dispatchEvent(
      new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
  }
}"""


def csv_bytes(rows: Sequence[Sequence[object]]) -> bytes:
    """Rows as CSV in UTF-8."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def panel(page: Page) -> Locator:
    """The panel of the file."""
    return page.locator("#file-panel")


def choose(page: Page, name: str, content: bytes) -> None:
    """Choose a file with the button."""
    page.get_by_label("Or choose a file").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )


def drop(page: Page, name: str, content: bytes) -> None:
    """Drop a file onto the page."""
    page.evaluate(_DROP, [name, base64.b64encode(content).decode()])


def classify_file(page: Page, *, column: str | None = None, model: str | None = None) -> None:
    """Classify the open file and wait for the end."""
    if column:
        page.get_by_label("Column of the tweets").select_option(label=column)
    if model:
        page.get_by_label("Model", exact=True).select_option(model)
    page.locator("#file-start").click()
    expect(page.locator(STATUS)).to_contain_text("Done.")


def download(page: Page, folder: Path) -> list[dict[str, str]]:
    """Download the results and return their rows."""
    with page.expect_download() as event:
        page.get_by_role("button", name="Download CSV").click()
    path = folder / event.value.suggested_filename
    event.value.save_as(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def shown_rows(page: Page) -> list[list[str]]:
    """The cells of the table of results."""
    return page.locator("#file-rows tr").evaluate_all(  # type: ignore[no-any-return]
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
