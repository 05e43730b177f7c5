"""A file of tweets on the page, in Chromium against the real application."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from serve.api import create_api
from serve.client import post
from serve.inference.engine import Engine
from tests.support.browser import BROWSER
from tests.support.fake_predictor import POISON, STANCE, FakePredictor, two_models
from tests.support.http_server import serving
from tests.support.served_files import (
    STATUS,
    choose,
    classify_file,
    csv_bytes,
    download,
    drop,
    panel,
    shown_rows,
)
from tests.support.served_page import visiting

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed"),
]
MARKUP = "<img src=x onerror=\"document.title='it ran'\">"
TWEETS = ['with, "quotes" !', "two\nlines !!!", "é🙂!!", MARKUP, "1 2 2 0", "plain", "a" * 30, " x"]
ROWS = [("id", "tweet", "label"), *((1234567890123456789 + n, one, n % 3) for n, one in enumerate(TWEETS))]


@pytest.fixture
def engine() -> Engine:
    engine = two_models()
    stance: Any = FakePredictor(STANCE, version="s2")
    engine.models = {**engine.models, "stance": stance}
    return engine


@pytest.fixture
def url(engine: Engine) -> Iterator[str]:
    with serving(create_api(engine)) as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with visiting(browser, url) as page:
        expect(page.get_by_label("Or choose a file")).to_be_visible()
        yield page


@pytest.mark.parametrize("give", [choose, drop])
@pytest.mark.parametrize(("model", "labels"), [("hate", ("not-hate", "hate")), ("stance", STANCE.labels)])
def test_download_has_all_columns_and_the_answers(
    page: Page, url: str, tmp_path: Path, give: Any, model: str, labels: tuple[str, ...]
) -> None:
    give(page, "tweets.csv", csv_bytes(ROWS))
    expect(page.get_by_label("Column of the tweets").locator("option:checked")).to_have_text("tweet")
    classify_file(page, model=model)
    rows = download(page, tmp_path)
    data = post(f"{url}/v1/classify", {"model": model, "input": TWEETS})["data"]
    assert (tmp_path / f"tweets-{model}.csv").exists()
    for row, came, found in zip(rows, ROWS[1:], data, strict=True):
        assert [row["id"], row["tweet"], row["label"]] == [str(cell) for cell in came]
        assert row["tweetelm_label"] == found["label"]  # the file has a column named label
        assert [float(row[f"tweetelm_prob_{label}"]) for label in labels] == found["probs"]
        assert row["tweetelm_version"] == found["version"]
        assert row["tweetelm_truncated"] == str(found["truncated"]).lower()
        assert row["tweetelm_error"] == ""
    assert page.locator("img").count() == 0


def test_filter_by_label_and_text(page: Page) -> None:
    drop(page, "tweets.csv", csv_bytes(ROWS))
    classify_file(page, model="stance")
    assert [row[0] for row in shown_rows(page)] == [str(n) for n in range(1, 9)]
    counts = panel(page).locator("#file-counts div").all_inner_texts()
    assert [" ".join(one.split()) for one in counts] == [
        "none 7 (87.5 %)",
        "against 0 (0.0 %)",
        "favor 1 (12.5 %)",
    ]
    page.get_by_label("Show").select_option("favor")
    assert shown_rows(page) == [["5", "1 2 2 0", "favor 50.0 %"]]
    page.get_by_label("Show").select_option("none")
    page.get_by_label("Text contains").fill("QUOTES")
    assert shown_rows(page) == [["1", 'with, "quotes" !', "none 33.3 %"]]
    expect(page.locator("#file-shown")).to_have_text("1 row")


def test_bad_rows_show_their_reason(page: Page, tmp_path: Path) -> None:
    lines = [
        b"id,text",
        b"1,good !",
        b"2",
        b"3,a,b",
        b"4,",
        b"5,\xff\xfe",
        b"",
        f"6,{POISON}".encode(),
        b"7,last",
    ]
    choose(page, "tweets.csv", b"\r\n".join(lines) + b"\r\n")
    classify_file(page, model="hate")
    expect(page.locator(STATUS)).to_have_text("Done. hate classified 2 rows; 5 rows could not be classified.")
    page.get_by_label("Show").select_option("Not classified")
    reasons = {row[0]: row[2] for row in shown_rows(page)}
    assert reasons == {
        "2": "the row has 1 field; the header has 2",
        "3": "the row has 3 fields; the header has 2",
        "4": "the row is empty; send a text",
        "5": "the row is not valid UTF-8",
        "6": "the model failed on this row",
    }
    rows = download(page, tmp_path)
    assert [row["id"] for row in rows] == list("1234567")
    assert [row["error"] for row in rows[1:6]] == list(reasons.values())
    assert rows[2]["column 3"] == "b"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", b'n\ttext\n1\ta, !\n2\t"b\t!!"\n'),
        ("a.csv", b'n;text\n1;a, !\n2;"b\t!!"\n'),
        ("a.csv", b'\xef\xbb\xbfn,text\n1,"a, !"\n2,b\t!!'),
        ("a.csv", 'n,text\n1,"a, !"\n2,b\t!!'.encode("utf-16")),
        ("a.jsonl", b'{"n": 1, "text": "a, !"}\n\n{"text": "b\\t!!", "n": 2}\n'),
        ("a.TXT", b"a, !\nb\t!!\n"),
        ("a.ndjson", b'"a, !"\n"b\\t!!"\n'),
    ],
)
def test_formats_have_the_same_texts(page: Page, tmp_path: Path, name: str, content: bytes) -> None:
    choose(page, name, content)
    classify_file(page, model="hate")
    rows = download(page, tmp_path)
    assert [row["text"] for row in rows] == ["a, !", "b\t!!"]
    assert [row["prob_hate"] for row in rows] == ["0.25", "0.5"]
    assert [row.get("n", str(1 + at)) for at, row in enumerate(rows)] == ["1", "2"]


def test_json_ids_and_nested_values_are_kept(page: Page, tmp_path: Path) -> None:
    lines = [
        '{"id": 1234567890123456789, "text": "a", "user": {"name": "b", "tags": [1, "x"]}}',
        '{"id": 2, "text": 7, "new": true}',
        "[1]",
        '{"id": null, "text": "say \\"1234567890123456789\\"", "user": null}',
    ]
    choose(page, "tweets.jsonl", "\n".join(lines).encode())
    classify_file(page, model="hate")
    rows = download(page, tmp_path)
    assert [row["id"] for row in rows] == ["1234567890123456789", "2", "", ""]
    assert json.loads(rows[0]["user"]) == {"name": "b", "tags": [1, "x"]}
    assert (rows[1]["new"], rows[3]["text"]) == ("true", 'say "1234567890123456789"')
    assert rows[2]["error"] == "the line is neither a JSON object nor a string"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"PAR1", "a.parquet is not a file that this page reads; expected .csv, .tsv"),
        ("a.csv", b"text\n" + b"a\n" * 50_001, "50,001 rows; expected at most 50,000"),
        ("a.txt", b"a" * 20_000_001, "has 21 MB; expected at most 20 MB"),
        ("a.csv", b"text\n", "a.csv has no rows."),
        ("a.csv", b'text\na\n"b\nc\n', "Record 3 of the file, counted from the header, opens a quote"),
    ],
)
def test_unreadable_file_is_refused(page: Page, name: str, content: bytes, message: str) -> None:
    drop(page, name, content)
    status = page.locator("#status")
    expect(status).to_contain_text(message)
    if "expected" in message:
        expect(status).to_contain_text("tweetelm classify-files")
    expect(panel(page)).to_be_hidden()


def test_stopped_file_continues_where_it_stopped(page: Page, engine: Engine, tmp_path: Path) -> None:
    fake: Any = engine.models["hate"]
    asked: list[Route] = []

    def hold_the_second(route: Route) -> None:
        asked.append(route)
        if len(asked) != 2:
            route.continue_()

    page.route("**/v1/classify/file*", hold_the_second)
    texts = [f"{n} {'!' * (n % 5)}" for n in range(4_100)]
    choose(page, "tweets.txt", "\n".join(texts).encode())
    page.locator("#file-start").click()
    expect(page.locator("#file-rate")).to_contain_text("2,000 of 4,100 rows")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(STATUS)).to_have_text("Stopped. hate classified 2,000 rows; 2,100 rows left.")
    assert download(page, tmp_path)[-1]["error"] == "not classified yet"
    expect(page.locator("#file-start")).to_have_text("Classify the rest")
    classify_file(page)
    rows = download(page, tmp_path)
    assert [row["text"] for row in rows] == texts
    assert [float(row["prob_hate"]) for row in rows] == [text.count("!") / len(text) for text in texts]
    assert (len(asked), sum(fake.batches)) == (4, 4_100)  # no row twice
    assert len(shown_rows(page)) == 500
    expect(page.locator("#file-shown")).to_have_text("4,100 rows; the first 500 are shown")


def test_busy_service_is_asked_again(page: Page) -> None:
    busy = {"Retry-After": "1"}
    page.route(
        "**/v1/classify/file*", lambda route: route.fulfill(status=429, headers=busy, body="{}"), times=2
    )
    choose(page, "tweets.txt", b"a!\nb")
    page.locator("#file-start").click()
    expect(page.locator(STATUS)).to_contain_text("trying again in 1 second")
    expect(page.locator(STATUS)).to_have_text("Done. hate classified 2 rows.")


def test_lost_connection_keeps_what_arrived(page: Page) -> None:
    first = '{"row": 0, "label": "hate", "probs": [0, 1], "truncated": false}\n{"row"'
    page.route("**/v1/classify/file*", lambda route: route.fulfill(body=first), times=1)
    choose(page, "tweets.txt", b"a!\nb")
    page.locator("#file-start").click()
    expect(page.locator(STATUS)).to_have_text("The connection ended before the last row.")
    assert [row[2] for row in shown_rows(page)] == ["hate 100.0 %", ""]
    classify_file(page)
    assert [row[2] for row in shown_rows(page)] == ["hate 100.0 %", "not-hate 100.0 %"]
