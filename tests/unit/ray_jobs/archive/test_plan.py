from pathlib import Path
from typing import Any

import pytest

from ray_jobs.archive.plan import Plan, check_out, file_entries, make_plan
from tests.support.archive import classify, settings, write_rows
from tweetelm.archive.fragments import CutFile, cut
from tweetelm.archive.inputs import find_inputs
from tweetelm.archive.result_set import ResultSet

ROWS = [{"text": f"tweet {i}"} for i in range(25)]


def cut_files(*paths: Path) -> list[CutFile]:
    return [cut(file, text="text", rows=10) for file in find_inputs([str(path) for path in paths])]


def planned(out: Path, *paths: Path, replace: bool = False) -> Plan:
    return make_plan(ResultSet(str(out), settings()), cut_files(*paths), replace=replace)


def test_plan_continues_where_earlier_commands_ended(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.csv", ROWS)
    first = planned(tmp_path / "out", path)
    assert (len(first.remaining), first.done.rows, first.rows()) == (3, 0, 25)
    classify(tmp_path / "out", first.fragments[:2])
    second = planned(tmp_path / "out", path)
    assert (list(second.remaining), second.done.rows) == ([first.fragments[2]], 20)


def test_new_files_join_earlier_results(tmp_path: Path) -> None:
    old, new = write_rows(tmp_path / "a.csv", ROWS), write_rows(tmp_path / "b.csv", ROWS[:5])
    classify(tmp_path / "out", planned(tmp_path / "out", old).fragments)
    both = planned(tmp_path / "out", old, new)
    assert [named.fragment.file.name for named in both.remaining] == ["b.csv"]
    assert [(entry["rows"], len(entry["results"])) for entry in file_entries(both)] == [(25, 3), (5, 1)]


def test_changed_file_is_refused_unless_results_are_replaced(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.csv", ROWS)
    results = classify(tmp_path / "out", planned(tmp_path / "out", path).fragments)
    write_rows(path, [*ROWS, {"text": "appended"}])
    with pytest.raises(ValueError, match=r"results of an earlier content of the input.*--replace"):
        planned(tmp_path / "out", path)
    plan = planned(tmp_path / "out", path, replace=True)
    assert [named.fragment.index for named in plan.remaining] == [2]
    assert len(list(Path(results.folder, "rows").iterdir())) == 2
    assert len(list(Path(results.folder, "done").iterdir())) == 2


def test_damaged_counts_name_the_file_and_the_remedy(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.csv", ROWS)
    results = classify(tmp_path / "out", planned(tmp_path / "out", path).fragments)
    (Path(results.folder, "done") / planned(tmp_path / "out", path).fragments[0].done).write_text("{")
    with pytest.raises(ValueError, match=r"is damaged .*delete it and run the command again"):
        planned(tmp_path / "out", path)


@pytest.mark.parametrize("out", ["in", "in/out", "in/a/b"])
def test_results_inside_the_input_are_refused(tmp_path: Path, out: str) -> None:
    with pytest.raises(ValueError, match=r"inside the input .*/in; expected a folder outside"):
        check_out(f"{tmp_path}/{out}", [f"{tmp_path}/in"])
    check_out(f"{tmp_path}/inner", [f"{tmp_path}/in"])


def test_results_in_place_of_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="which is a file; expected a folder"):
        check_out(f"{tmp_path}/file", ["other.csv"])


def test_results_in_object_storage_continue(remote: str, tmp_path: Path) -> None:
    path, results = write_rows(tmp_path / "a.csv", ROWS), ResultSet(remote, settings())
    plan: Any = make_plan(results, cut_files(path), replace=False)
    classify(remote, plan.fragments[:1])
    again = make_plan(results, cut_files(path), replace=False)
    assert (len(again.remaining), again.done.rows) == (2, 10)
