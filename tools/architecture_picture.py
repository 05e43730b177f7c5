"""Draw docs/pictures/architecture.svg: `python tools/architecture_picture.py`."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

FILE = Path(__file__).parents[1] / "docs" / "pictures" / "architecture.svg"
WIDTH, HEIGHT = 960, 330
BOX_WIDTH, BOX_HEIGHT, LINE = 200, 86, 17
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2937; text-anchor: middle }
  .title { font-weight: 600; font-size: 14px }
  .box { fill: #ffffff; stroke: #475569; stroke-width: 1.5 }
  .disk { fill: #fef3c7 } .ray { fill: #dbeafe } .library { fill: #dcfce7 }
  .note { fill: #475569; font-size: 12px }
  path { stroke: #475569; stroke-width: 1.5; fill: none; marker-end: url(#tip) }
"""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle; x and y are its upper left corner in pixels."""

    x: int
    y: int
    title: str
    lines: tuple[str, ...]
    kind: str
    width: int = BOX_WIDTH

    def draw(self) -> str:
        """The rectangle and its centered text."""
        middle, top = self.x + self.width // 2, self.y + 26
        text = [f'<text class="title" x="{middle}" y="{top}">{escape(self.title)}</text>']
        for number, line in enumerate(self.lines, start=1):
            text.append(f'<text x="{middle}" y="{top + number * LINE + 3}">{escape(line)}</text>')
        size = f'width="{self.width}" height="{BOX_HEIGHT}" rx="8"'
        return "\n".join([f'<rect class="box {self.kind}" x="{self.x}" y="{self.y}" {size}/>', *text])


BOXES = (
    Box(x=20, y=40, title="data/", lines=("TweetEval hate, TweepFake", "DVC, pinned hashes"), kind="disk"),
    Box(x=260, y=40, title="ray_jobs/", lines=("Ray Train: fine-tune", "Ray Tune: search"), kind="ray"),
    Box(x=500, y=40, title="models/", lines=("the registry: versions,", "cards, reports"), kind="disk"),
    Box(x=740, y=40, title="serve/", lines=("Ray Serve: HTTP, page", "batching, hot swap"), kind="ray"),
    Box(
        x=260,
        y=204,
        title="src/tweetelm/: the library, without Ray",
        lines=("openelm, text, data, training,", "evaluation, predictor, registry"),
        kind="library",
        width=440,
    ),
)
ARROWS = ("M220 83 H256", "M460 83 H496", "M700 83 H736", "M360 126 V200", "M840 126 V247 H704")
NOTES = (
    (390, 168, "imports"),
    (870, 168, "imports"),
    (836, 30, "clients: OpenAI, TEI, vLLM, HF"),
)


def svg() -> str:
    """The SVG text; it is deterministic."""
    arrows = [f'<path d="{path}"/>' for path in ARROWS]
    notes = [f'<text class="note" x="{x + 4}" y="{y}">{escape(note)}</text>' for x, y, note in NOTES]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    head += "<title>Data, jobs, registry and serving; the library below them</title>"
    size = 'refX="7" refY="4" markerWidth="8" markerHeight="8"'
    tip = f'<marker id="tip" viewBox="0 0 8 8" {size} orient="auto">'
    tip += '<path d="M0 0 L8 4 L0 8 z" style="fill:#475569;stroke:none;marker-end:none"/></marker>'
    background = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    parts = [head, f"<style>{STYLE}</style><defs>{tip}</defs>", background]
    return "\n".join([*parts, *(box.draw() for box in BOXES), *arrows, *notes, "</svg>", ""])


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(svg(), encoding="utf-8")
