import csv
import io
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serve.api import create_api
from serve.inference.engine import Engine
from serve.limits import Limits
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


def test_text_file_is_classified_line_by_line(client: TestClient) -> None:
    *rows, end = send(client, "abc!\né🙂!!\r\nlast".encode(), "text/plain; charset=utf-8")
    assert [(row["row"], row["label"], row["probs"][1]) for row in rows] == [
        (0, "hate", 0.25),
        (1, "hate", 0.5),
        (2, "not-hate", 0.0),
    ]
    assert end == {"done": True, "rows": 3, "failed": 0, "model": "hate", "version": "v1"}


def test_json_lines_are_strings_or_objects(client: TestClient) -> None:
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


def test_csv_fields_may_have_quotes_and_newlines(client: TestClient) -> None:
    tweets = ["plain", 'with "quotes", and !', "two\nlines !"]
    text = io.StringIO()
    csv.writer(text).writerows([("id", "tweet"), *enumerate(tweets)])
    body = ("\ufeff" + text.getvalue()).encode() + b"9\n"
    *rows, end = send(client, body, "text/csv", params={"column": "tweet"})
    assert [row.get("probs", [0, None])[1] for row in rows[:3]] == [0.0, 1 / 20, 1 / 11]
    assert rows[3]["error"]["code"] == "invalid_type"
    assert end["rows"] == 4


def test_accept_csv_returns_csv(client: TestClient) -> None:
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


def test_unclosed_quote_uses_bounded_memory() -> None:
    body = b'text\nfirst\n"open\n' + b"swallowed\n" * 20_000 + b"last\n"
    with TestClient(create_api(two_models())) as client:
        *rows, _ = send(client, body, "text/csv")
    assert rows[0]["label"] == "not-hate"
    assert rows[1]["error"]["code"] == "invalid_type"


def test_rows_keep_order_in_batches(client: TestClient, engine: Engine) -> None:
    engine.answers.capacity = 0  # equal texts are read again
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
def test_invalid_file_request_is_a_normal_error(
    client: TestClient, headers: dict[str, str], params: dict[str, str], code: str
) -> None:
    response = client.post(PATH, content=b"text\na\n", headers=headers, params=params)
    assert response.json()["error"]["code"] == code
    assert "tweet" not in response.text


@pytest.mark.parametrize("head", [b"", b"te\rxt\na\n", b'"text\na\n', b'"text" \r"\na\n'])
def test_csv_without_header_is_a_normal_error(client: TestClient, head: bytes) -> None:
    response = client.post(PATH, content=head, headers={"Content-Type": "text/csv"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "column")


def test_file_size_has_its_own_limit(client: TestClient) -> None:
    *_, end = send(client, b"a\n" * 20_000, "text/plain")
    assert end["rows"] == 20_000
    refused = client.post(PATH, content=b"a\n" * 25_001, headers={"Content-Type": "text/plain"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "body_too_large")


def test_concurrent_files_are_limited(client: TestClient) -> None:
    app: Any = client.app
    app.state.files["another"] = 1
    refused = client.post(PATH, content=b"a", headers={"Content-Type": "text/plain"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    app.state.files.clear()
    for kind in ("nonsense", "text/plain", "text/plain"):
        client.post(PATH, content=b"a", headers={"Content-Type": kind})
    assert not app.state.files


@pytest.mark.parametrize("kind", ["text/plain", "text/csv", "application/jsonl"])
def test_byte_order_mark_is_skipped(client: TestClient, kind: str) -> None:
    body = {"text/plain": "a!\n", "text/csv": "text\na!\n", "application/jsonl": '"a!"\n'}[kind].encode()
    plain, marked = send(client, body, kind), send(client, b"\xef\xbb\xbf" + body, kind)
    assert plain == marked
    assert plain[0]["probs"] == [0.5, 0.5]


def test_other_encoding_error_says_what_to_do(client: TestClient) -> None:
    for body, kind in (("a".encode("utf-16"), "text/plain"), (b"a", "text/plain; charset=latin-1")):
        refused = client.post(PATH, content=body, headers={"Content-Type": kind})
        assert refused.status_code == 400
        assert "UTF-8" in refused.json()["error"]["message"]


@pytest.mark.parametrize("accept", ["*/*", "text/csv"])
def test_file_of_bad_rows_stops_early(accept: str) -> None:
    with TestClient(create_api(two_models(), policy=Policy(limits=Limits(file_errors=100)))) as client:
        headers = {"Content-Type": "text/plain", "Accept": accept}
        lines = client.post(PATH, content=b"\n" * 3_000_000, headers=headers).text.splitlines()
        assert len(lines) < 200
        assert "too_many_errors" in lines[-1]
        good = b"a\n" * 200 + b"\n" * 150  # fewer than half of its rows fail: such files are valid
        assert "too_many_errors" not in client.post(PATH, content=good, headers=headers).text


def test_bad_rows_count_against_the_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_api(two_models(), policy=Policy(limits=Limits(texts_per_minute=64)))
    waits: list[int] = []
    counted = app.state.rates.wait_s
    monkeypatch.setattr(app.state.rates, "wait_s", lambda key, n: waits.append(n) or counted(key, n) * 0)
    with TestClient(app) as client:
        send(client, b"\n" * 100, "text/plain")
    assert waits == [64, 36]
