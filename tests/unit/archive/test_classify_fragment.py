import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.archive import LengthClassifier, classify, json_rows, plan, settings, write_rows
from tweetelm.archive.added_columns import added_names, check_collisions
from tweetelm.archive.dedup import DedupClassifier
from tweetelm.archive.result_set import ResultSet
from tweetelm.archive.tally import Tally
from tweetelm.files import object_storage
from tweetelm.prediction.result_cache import ResultCache

ROWS: list[dict[str, Any]] = [
    {"id": 10**17 + i, "text": "x" * (i % 7 + 1), "made": None if i % 2 else "a,b"} for i in range(25)
]
ADDED = ("label", "prob_short", "prob_long", "prob_longer", "version", "truncated")


def expected(text: str) -> dict[str, Any]:
    labels = ("short", "long", "longer")
    chosen = labels[min(len(text), 20) % 3]
    probabilities = {f"prob_{label}": float(label == chosen) for label in labels}
    return {"label": chosen, **probabilities, "version": "v1", "truncated": len(text) > 20}


def test_parquet_keeps_columns_types_and_order(tmp_path: Path) -> None:
    results = classify(tmp_path, plan(write_rows(tmp_path / "a.jsonl", ROWS)), format="parquet")
    table = pq.read_table(f"{results.folder}/rows")
    assert table.column_names == ["id", "text", "made", *ADDED]
    assert str(table.schema.field("id").type) == "int64"
    assert table.to_pylist() == [{**row, **expected(row["text"])} for row in ROWS]


def test_csv_keeps_cells_as_they_came(tmp_path: Path) -> None:
    rows = [{"id": "007", "text": 'a "b",\nc', "n": "1.50"}, {"id": "", "text": "d" * 30, "n": "x"}]
    results = classify(tmp_path, plan(write_rows(tmp_path / "a.csv", rows)), format="csv")
    (file,) = Path(results.folder, "rows").iterdir()
    with file.open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [{name: row[name] for name in ("id", "text", "n")} for row in found] == rows
    assert [row["truncated"] for row in found] == ["false", "true"]
    assert [row["prob_longer"] for row in found] == ["1.0", "1.0"]


def test_json_objects_keep_every_character(tmp_path: Path) -> None:
    lines = ['{"text": "é", "n": 1.10, "o": { "k":[1e400, 12345678901234567890.0] } }', '{"text":"b"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    results = classify(tmp_path, plan(tmp_path / "a.jsonl"))
    (file,) = Path(results.folder, "rows").iterdir()
    written = file.read_text().splitlines()
    assert written[0].startswith(lines[0][:-2] + ', "label": "long", ')
    assert json.loads(written[1]) == {"text": "b", **expected("b")}


def test_refused_rows_go_to_a_side_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\na,1\nb\n,3\n")
    results = classify(tmp_path, plan(tmp_path / "a.csv"))
    assert [row["text"] for row in json_rows(results)] == ["a"]
    assert json_rows(results, "refused") == [
        {
            "file": str(tmp_path / "a.csv"),
            "row": 2,
            "line": 3,
            "reason": "the row has 1 fields; expected 2",
            "raw": "b\n",
        },
        {
            "file": str(tmp_path / "a.csv"),
            "row": 3,
            "line": 4,
            "reason": "the text is missing",
            "raw": ",3\n",
        },
    ]


def test_a_fragment_without_readable_rows_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\n,1\n")
    results = classify(tmp_path, plan(tmp_path / "a.csv"), format="parquet")
    table = pq.read_table(f"{results.folder}/rows")
    assert table.column_names == ["text", "n", *ADDED]
    assert len(table) == 0


def test_counts_are_read_back(tmp_path: Path) -> None:
    results = classify(tmp_path, plan(write_rows(tmp_path / "a.jsonl", ROWS)))
    total = Tally()
    for file in results.finished(object_storage.listed(results.folder)).values():
        total.add(Tally.from_json(json.loads(Path(results.folder, file).read_text())))
    assert (total.rows, total.asked, total.duplicates, total.refused_rows) == (25, 7, 18, 0)
    assert total.labels == {"long": 11, "longer": 7, "short": 7}
    assert (total.quantile(0.5), total.quantile(1.0)) == (4, 7)


def test_only_unfinished_fragments_remain(tmp_path: Path) -> None:
    fragments = plan(write_rows(tmp_path / "a.jsonl", ROWS))
    results = classify(tmp_path / "out", fragments)
    (rows,) = Path(results.folder, "rows").glob("a.jsonl-000001-*")
    (done,) = Path(results.folder, "done").glob("a.jsonl-000002-*")
    rows.unlink()
    done.unlink()
    finished = results.finished(object_storage.listed(results.folder))
    assert [named.name in finished for named in fragments] == [True, False, False]


@pytest.mark.parametrize(
    "change", [{"version": "v2"}, {"model": "1" * 64}, {"prefix": "x_"}, {"precision": "bf16"}, {"text": "t"}]
)
def test_other_model_or_settings_are_another_set(tmp_path: Path, change: dict[str, Any]) -> None:
    assert ResultSet(str(tmp_path), settings()).folder != ResultSet(str(tmp_path), settings(**change)).folder


def test_results_of_earlier_content_are_found(tmp_path: Path) -> None:
    old = plan(write_rows(tmp_path / "a.jsonl", ROWS), write_rows(tmp_path / "b.jsonl", ROWS))
    results = classify(tmp_path / "out", old)
    assert results.outdated(object_storage.listed(results.folder), old) == []
    new = plan(write_rows(tmp_path / "a.jsonl", [*ROWS, {"text": "another"}]))
    assert results.outdated(object_storage.listed(results.folder), new) == [
        f"done/{old[2].done}",
        f"rows/{old[2].name}.jsonl",
    ]


def test_each_text_is_read_once() -> None:
    model = LengthClassifier()
    classifier = DedupClassifier(model, ResultCache(9))
    answers, asked = classifier(["a", "bb", "a", "x" * 20, "x" * 21])
    assert ([answer.tokens for answer in answers], asked) == ([1, 2, 1, 20, 20], 3)
    assert [answer.truncated for answer in answers] == [False, False, False, False, True]
    assert classifier(["bb", "ccc"])[1] == 1
    assert model.asked == ["a", "bb", "x" * 20, "ccc"]


def test_cache_drops_what_was_used_longest_ago() -> None:
    model = LengthClassifier()
    classifier = DedupClassifier(model, ResultCache(2))
    for texts in (["a"], ["b"], ["a"], ["c"], ["a"], ["b"]):
        classifier(texts)
    assert model.asked == ["a", "b", "c", "b"]


def test_without_a_cache_every_row_is_read() -> None:
    model = LengthClassifier()
    classifier = DedupClassifier(model, None)
    answers, asked = classifier(["a", "bb", "a"])
    assert (answers, asked) == (DedupClassifier(model, ResultCache(9))(["a", "bb", "a"])[0], 3)
    assert classifier(["a"])[1] == 1


def test_precisions_do_not_share_results() -> None:
    cache, exact, rounded = ResultCache(9), LengthClassifier(), LengthClassifier()
    rounded.precision = "bf16"
    assert [DedupClassifier(model, cache)(["a"])[1] for model in (exact, rounded, exact)] == [1, 1, 0]


def test_collisions_name_the_columns_and_the_flag() -> None:
    added = added_names(("no", "yes"))
    with pytest.raises(ValueError, match=r"already has the columns 'label', 'prob_yes'.*--prefix"):
        check_collisions("a.csv", ["text", "prob_yes", "label"], added)
    check_collisions("a.csv", ["text", "label"], added_names(("no", "yes"), "x_"))


def test_probabilities_are_those_of_the_model() -> None:
    (answer,), _ = DedupClassifier(LengthClassifier(), ResultCache(9))(["four"])
    assert list(answer.probabilities) == [0.0, 1.0, 0.0]


def test_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    results = classify(tmp_path, plan(write_rows(tmp_path / "a.csv", [{"text": "a"}])))
    before = object_storage.listed(results.folder).keys()
    Path(results.folder, "rows", ".a.csv-000000-0a.parquet.0a1b2c3d").touch()
    results.remove_temporaries()
    assert object_storage.listed(results.folder).keys() == before
