"""Files whose answers keep all columns: `keep=columns`."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serve.api import create_api
from serve.inference.engine import Engine
from serve.limits import Limits
from serve.middleware.gateway import Policy
from tests.support.fake_predictor import POISON, STANCE, FakePredictor, classify

PATH = "/v1/classify/file"
CSV_TYPE, TSV_TYPE, JSON_TYPE = "text/csv", "text/tab-separated-values", "application/jsonl"
TWEETS = ['with "quotes", and !', "two\nlines 1", "é🙂 2 2", "plain"]


@pytest.fixture
def client() -> Iterator[TestClient]:
    models: Any = {"stance": FakePredictor(STANCE, version="s2"), "hate": FakePredictor("hate")}
    policy = Policy(limits=Limits(file_errors=100))
    with TestClient(create_api(Engine(models), policy=policy)) as client:
        yield client


def send(client: TestClient, body: bytes, kind: str, *, accept: str = "*/*", **params: str) -> Any:
    headers = {"Content-Type": kind, "Accept": accept}
    return client.post(PATH, content=body, headers=headers, params={"keep": "columns"} | params)


def written(rows: list[tuple[Any, ...]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode()


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(("kind", "delimiter"), [(CSV_TYPE, ","), (TSV_TYPE, "\t")])
@pytest.mark.parametrize("model", ["stance", "hate"])
def test_csv_keeps_all_columns_and_adds_the_answer(
    client: TestClient, kind: str, delimiter: str, model: str
) -> None:
    rows = [("id", " tweet", "side"), *((str(n), one, "x, y") for n, one in enumerate(TWEETS))]
    body = written(rows, delimiter)
    found = table(send(client, body, kind, accept=CSV_TYPE, model=model, column="tweet").text)
    data = classify(client, model=model, input=TWEETS)["data"]
    labels = client.get("/info").json()["models"][model]["labels"]
    assert list(found[0]) == [
        *rows[0],
        "label",
        *(f"prob_{label}" for label in labels),
        *("version", "truncated", "error"),
    ]
    for row, came, answer in zip(found, rows[1:], data, strict=True):
        assert tuple(row.values())[:3] == came
        assert [float(row[f"prob_{label}"]) for label in labels] == answer["probs"]
        assert (row["label"], row["version"]) == (answer["label"], answer["version"])
        assert (row["truncated"], row["error"]) == (str(answer["truncated"]).lower(), "")


def test_json_lines_keep_the_fields_of_each_row(client: TestClient) -> None:
    rows = [{"text": one, "id": 2**63 + n, "user": {"tags": [n]}} for n, one in enumerate(TWEETS)]
    body = "".join(json.dumps(row) + "\n" for row in rows) + '{"id": 7}\n"!"\n[1]\n'
    *answers, end = map(json.loads, send(client, body.encode(), JSON_TYPE).text.splitlines())
    assert [answer.get("columns") for answer in answers] == [*rows, {"id": 7}, {"text": "!"}, None]
    assert [answer["error"]["code"] for answer in answers if "error" in answer] == ["invalid_json"] * 2
    assert end["done"]


def test_csv_columns_are_kept_in_json_lines(client: TestClient) -> None:
    answers = send(client, b"id,text\n1,2 2\n", CSV_TYPE).text.splitlines()
    assert json.loads(answers[0])["columns"] == {"id": "1", "text": "2 2"}
    answers = send(client, b"2 2\n", "text/plain").text.splitlines()
    assert json.loads(answers[0])["columns"] == {"text": "2 2"}


def test_bad_rows_keep_their_columns(client: TestClient) -> None:
    body = b"id,text,n\n1,\xff,a\n2\n3,a,b,c\n4,,d\n5,%s,e\n6,2,f\n" % POISON.encode()
    found = table(send(client, body, CSV_TYPE, accept=CSV_TYPE).text)
    assert [row["id"] for row in found] == list("123456")
    assert [row["n"] for row in found] == ["a", "", "b", "d", "e", "f"]
    assert found[0]["text"] == "\ufffd"
    assert [row["error"] for row in found] == [
        "the row has half of a surrogate pair; send valid Unicode",
        "the row has 1 field; the header has 3",
        "the row has 4 fields; the header has 3; the rest is left out",
        "the row is empty; send a text",
        "the model failed on this row",
        "",
    ]
    lines = send(client, body, CSV_TYPE).text.splitlines()
    assert json.loads(lines[0])["columns"] == {"id": "1", "text": "\ufffd", "n": "a"}


def test_taken_names_need_a_prefix(client: TestClient) -> None:
    body = b"text,label\n2 2,x\n"
    refused = send(client, body, CSV_TYPE, accept=CSV_TYPE)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prefix")
    assert "tweetelm_" in refused.json()["error"]["message"]
    (row,) = table(send(client, body, CSV_TYPE, accept=CSV_TYPE, prefix="tweetelm_").text)
    assert (row["label"], row["tweetelm_label"], row["tweetelm_error"]) == ("x", "favor", "")


@pytest.mark.parametrize(
    ("body", "kind", "accept", "param"),
    [
        (b"text,a,a\n", CSV_TYPE, "*/*", "column"),
        (b'{"text": "a"}\n', JSON_TYPE, CSV_TYPE, "keep"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    client: TestClient, body: bytes, kind: str, accept: str, param: str
) -> None:
    refused = send(client, body, kind, accept=accept)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    refused = send(client, body, kind, keep="all")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "keep")


def test_file_of_bad_rows_says_why_it_stopped(client: TestClient) -> None:
    answer = send(client, b"text,n\n" + b",1\n" * 3_000, CSV_TYPE, accept=CSV_TYPE)
    rows = table(answer.text)
    assert len(rows) < 200
    assert rows[-1]["error"].startswith("too_many_errors: ")
