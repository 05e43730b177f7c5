import csv
import io
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serve.api import create_api
from serve.inference.engine import Engine, Limits
from serve.middleware.gateway import Policy
from tests.support.fake_predictor import POISON, two_models

PATH = "/v1/classify/file"


@pytest.fixture
def engine() -> Engine:
    return two_models()


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    limits = Limits(body_bytes=1000, line_bytes=50, file_bytes=50_000, files=1)
    with TestClient(create_api(engine, policy=Policy(limits=limits))) as client:
        yield client


def send(client: TestClient, body: bytes, kind: str, **more: Any) -> list[dict[str, Any]]:
    response = client.post(PATH, content=body, headers={"Content-Type": kind}, **more)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_tweet_a_line_is_answered_line_by_line_and_the_end_is_told(client: TestClient) -> None:
    *rows, end = send(client, "abc!\né🙂!!\r\nlast".encode(), "text/plain; charset=utf-8")
    assert [(row["row"], row["label"], row["probs"][1]) for row in rows] == [
        (0, "hate", 0.25),
        (1, "hate", 0.5),
        (2, "not-hate", 0.0),
    ]
    assert end == {"done": True, "rows": 3, "failed": 0, "model": "hate", "version": "v1"}


def test_json_lines_hold_texts_or_objects_with_one(client: TestClient) -> None:
    body = b'"a!"\n{"text": "abc!", "id": 7}\n{"tweet": "a"}\n[1]\n{\n'
    *rows, end = send(client, body, "application/jsonl", params={"model": "deepfake"})
    assert [row.get("label") or row["error"]["code"] for row in rows] == [
        "bot",
        "human",
        "invalid_json",
        "invalid_json",
        "invalid_json",
    ]
    assert (end["model"], end["failed"]) == ("deepfake", 3)
    *rows, _ = send(client, b'{"tweet": "!"}\n', "application/x-ndjson", params={"column": "tweet"})
    assert rows[0]["label"] == "hate"


def test_csv_has_quotes_commas_and_line_ends_within_a_field(client: TestClient) -> None:
    tweets = ["plain", 'with "quotes", and !', "two\nlines !"]
    text = io.StringIO()
    csv.writer(text).writerows([("id", "tweet"), *enumerate(tweets)])
    body = ("\ufeff" + text.getvalue()).encode() + b"9\n"
    *rows, end = send(client, body, "text/csv", params={"column": "tweet"})
    assert [row.get("probs", [0, None])[1] for row in rows[:3]] == [0.0, 1 / 20, 1 / 11]
    assert rows[3]["error"]["code"] == "invalid_type"
    assert end["rows"] == 4


def test_csv_is_answered_to_who_asks_for_it(client: TestClient) -> None:
    response = client.post(
        PATH, content=b"a!\n\nb\n", headers={"Content-Type": "text/plain", "Accept": "text/csv"}
    )
    assert response.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(response.text))) == [
        ["row", "label", "probability", "truncated", "error"],
        ["0", "hate", "0.5", "False", ""],
        ["1", "", "", "", "empty_input"],
        ["2", "not-hate", "0.0", "False", ""],
    ]


def test_bad_rows_fail_alone(client: TestClient) -> None:
    lines = [b"good !", b"\xff\xfe", b"", b"   ", b"x" * 51, b"x" * 500, POISON.encode(), b"nul \0 !", b"end"]
    *rows, end = send(client, b"\n".join(lines), "text/plain")
    codes = [row.get("error", {}).get("code") for row in rows]
    empty, long, bad = "empty_input", "input_too_long", "invalid_type"
    assert codes == [None, bad, empty, empty, long, long, "internal", None, None]
    assert end["failed"] == 6
    assert POISON not in json.dumps(rows)


def test_a_quote_that_nothing_closes_spoils_what_it_swallows_and_no_more_than_memory_allows() -> None:
    body = b'text\nfirst\n"open\n' + b"swallowed\n" * 20_000 + b"last\n"
    with TestClient(create_api(two_models())) as client:
        *rows, _ = send(client, body, "text/csv")
    assert rows[0]["label"] == "not-hate"
    assert rows[1]["error"]["code"] == "invalid_type"


def test_many_rows_keep_their_order_and_go_in_batches(client: TestClient, engine: Engine) -> None:
    counts = [random.Random(0).randrange(8) for _ in range(300)]
    *rows, _ = send(client, b"\n".join(b"a" + b"!" * n for n in counts), "text/plain")
    assert [row["probs"][1] for row in rows] == [n / (n + 1) for n in counts]
    fake: Any = engine.models["hate"]
    assert fake.batches == [64, 64, 64, 64, 44]


@pytest.mark.parametrize(
    ("headers", "params", "code"),
    [
        ({"Content-Type": "application/json"}, {}, "invalid_type"),
        ({}, {}, "invalid_type"),
        ({"Content-Type": "text/csv"}, {"column": "tweet"}, "invalid_type"),
        ({"Content-Type": "text/plain"}, {"model": "spam"}, "model_not_found"),
    ],
)
def test_what_cannot_be_begun_is_an_ordinary_error(
    client: TestClient, headers: dict[str, str], params: dict[str, str], code: str
) -> None:
    response = client.post(PATH, content=b"text\na\n", headers=headers, params=params)
    assert response.json()["error"]["code"] == code
    assert "tweet" not in response.text


@pytest.mark.parametrize("head", [b"", b"te\rxt\na\n", b'"text\na\n', b'"text" \r"\na\n'])
def test_a_csv_whose_first_line_is_none_is_an_ordinary_error(client: TestClient, head: bytes) -> None:
    response = client.post(PATH, content=head, headers={"Content-Type": "text/csv"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "column")


def test_a_file_may_be_larger_than_other_bodies_but_not_without_end(client: TestClient) -> None:
    *_, end = send(client, b"a\n" * 20_000, "text/plain")
    assert end["rows"] == 20_000
    refused = client.post(PATH, content=b"a\n" * 25_001, headers={"Content-Type": "text/plain"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "body_too_large")


def test_only_so_many_files_are_read_at_a_time_and_a_refused_one_takes_no_place(client: TestClient) -> None:
    app: Any = client.app
    app.state.files["another"] = 1
    refused = client.post(PATH, content=b"a", headers={"Content-Type": "text/plain"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    app.state.files.clear()
    for kind in ("nonsense", "text/plain", "text/plain"):
        client.post(PATH, content=b"a", headers={"Content-Type": kind})
    assert not app.state.files


@pytest.mark.parametrize("kind", ["text/plain", "text/csv", "application/jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_row(client: TestClient, kind: str) -> None:
    body = {"text/plain": "a!\n", "text/csv": "text\na!\n", "application/jsonl": '"a!"\n'}[kind].encode()
    plain, marked = send(client, body, kind), send(client, b"\xef\xbb\xbf" + body, kind)
    assert plain == marked
    assert plain[0]["probs"] == [0.5, 0.5]


def test_another_encoding_is_refused_with_what_to_do(client: TestClient) -> None:
    for body, kind in (("a".encode("utf-16"), "text/plain"), (b"a", "text/plain; charset=latin-1")):
        refused = client.post(PATH, content=body, headers={"Content-Type": kind})
        assert refused.status_code == 400
        assert "UTF-8" in refused.json()["error"]["message"]


@pytest.mark.parametrize("accept", ["*/*", "text/csv"])
def test_a_file_of_bad_rows_ends_early_and_says_so(accept: str) -> None:
    with TestClient(create_api(two_models(), policy=Policy(limits=Limits(file_errors=100)))) as client:
        headers = {"Content-Type": "text/plain", "Accept": accept}
        lines = client.post(PATH, content=b"\n" * 3_000_000, headers=headers).text.splitlines()
        assert len(lines) < 200
        assert "too_many_errors" in lines[-1]
        good = b"a\n" * 200 + b"\n" * 150  # fewer than half of its rows: some files are so
        assert "too_many_errors" not in client.post(PATH, content=good, headers=headers).text


def test_bad_rows_count_against_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_api(two_models(), policy=Policy(limits=Limits(texts_per_minute=64)))
    waits: list[int] = []
    counted = app.state.rates.wait_s
    monkeypatch.setattr(app.state.rates, "wait_s", lambda key, n: waits.append(n) or counted(key, n) * 0)
    with TestClient(app) as client:
        send(client, b"\n" * 100, "text/plain")
    assert waits == [64, 36]
