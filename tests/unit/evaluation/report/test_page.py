"""The renderers, on a document with every kind of content."""

import json
import re

from tweetelm.evaluation.report.document import Document, Figure, Interval, Section, Table
from tweetelm.evaluation.report.formatting import show
from tweetelm.evaluation.report.html import render_html
from tweetelm.evaluation.report.markdown import render_markdown

DOCUMENT = Document(
    title="hate <b>: evaluation",
    notices=("synthetic sample & nothing else",),
    sections=(
        Section(
            title="Headline",
            text=("Type `python -m x <y>` for a_b * c|d.",),
            tables=(
                Table(
                    columns=("system", "macro-F1", "tweets"),
                    rows=(
                        ("ours <script>", Interval(value=0.4943, low=0.4757, high=0.5123), 12970),
                        ("pipe | here", 0.00004, None),
                    ),
                    caption="One of many.",
                ),
            ),
            figures=(
                Figure(
                    name="roc",
                    caption="ROC of `hate`",
                    svg='<?xml version="1.0"?>\n<svg width="9pt"><g/></svg>',
                ),
            ),
        ),
        Section(title="Provenance", text=("From a run.",)),
    ),
)


def test_numbers_have_one_format() -> None:
    cells = {
        0.5: "0.500",
        2970: "2970",
        12970: "12,970",
        1234.56: "1,234.6",
        0.00004: "4.0e-05",
        0.0: "0.000",
        None: "–",
        "as it is": "as it is",
    }
    assert {cell: show(cell) for cell in cells} == cells
    assert show(Interval(value=0.5, low=0.25, high=0.75)) == "0.500 [0.250, 0.750]"


def test_page_escapes_text_and_requests_nothing() -> None:
    page = render_html(DOCUMENT)
    assert "<script" not in page
    assert "ours &lt;script&gt;" in page
    assert "<title>hate &lt;b&gt;: evaluation</title>" in page
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", page) == ["#s1"]
    assert "default-src &#x27;none&#x27;" in page
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", page)


def test_page_shows_notices_first_and_figures_inline() -> None:
    page = render_html(DOCUMENT)
    assert page.index("synthetic sample &amp; nothing else") < page.index("<h1>")
    assert (
        '<figure style="--width: 9pt"><svg role="img" aria-label="ROC of hate" width="9pt"><g/></svg>'
        "<figcaption>" in page
    )
    assert "<?xml" not in page
    assert '<td class="number">0.494 <span class="range">[0.476, 0.512]</span></td>' in page
    assert "<code>python -m x &lt;y&gt;</code>" in page


def test_markdown_has_the_same_numbers_and_escapes_tables() -> None:
    text = render_markdown(DOCUMENT)
    assert text.startswith("> **synthetic sample & nothing else**\n\n# hate \\<b>: evaluation\n")
    assert "| system | macro-F1 | tweets |\n| --- | ---: | ---: |\n" in text
    assert "| ours \\<script> | 0.494 [0.476, 0.512] | 12,970 |" in text
    assert "| pipe \\| here | 4.0e-05 | – |" in text
    assert "Type `python -m x <y>` for a_b \\* c\\|d." in text
    assert "![ROC of `hate`](roc.svg)" in text


def test_json_has_unrounded_numbers_and_no_svg() -> None:
    content = json.loads(json.dumps(DOCUMENT.to_dict(), allow_nan=False))
    cells = content["sections"][0]["tables"][0]["rows"]
    assert cells[0][1] == {"value": 0.4943, "low": 0.4757, "high": 0.5123}
    assert cells[1][1:] == [0.00004, None]
    assert content["sections"][0]["figures"] == [{"name": "roc", "caption": "ROC of `hate`"}]
