"""The pictures of reports that the docs show."""

from pathlib import Path

import pytest
from PIL import Image

from tools.report_pictures import FILE_SCREENS, FOLDER, LIMIT, SCHEMES, SCREENS, save, side_by_side

REPORTS = [
    f"{name}-{width}-{scheme}.png"
    for name in ("evaluation", "search")
    for width in SCREENS
    for scheme in SCHEMES
]
FILES = [f"file-{width}.png" for width in FILE_SCREENS]


@pytest.mark.parametrize("name", [*REPORTS, *FILES, "overview.png"])
def test_committed_pictures_are_small(name: str) -> None:
    file = FOLDER / name
    assert file.stat().st_size <= LIMIT
    with Image.open(file) as picture:
        width = picture.width
    assert name == "overview.png" or width == int(Path(name).stem.split("-")[1])


def test_panels_are_in_one_row_with_borders() -> None:
    red, blue = Image.new("RGB", (10, 20), "red"), Image.new("RGB", (30, 5), "blue")
    picture = side_by_side([red, blue])
    assert picture.size == (24 * 3 + 12 + 32, 22 + 48)
    assert picture.getpixel((26, 26)) == (255, 0, 0)
    assert picture.getpixel((24 + 12 + 24 + 2, 26)) == (0, 0, 255)
    assert picture.getpixel((0, 0)) == (255, 255, 255)


def test_pictures_over_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.report_pictures.LIMIT", 10)
    with pytest.raises(ValueError, match="expected at most 10"):
        save(Image.new("RGB", (10, 10)), tmp_path / "picture.png")
    assert not (tmp_path / "picture.png").exists()
