import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.observability.request_log import EVERY_S, BufferedFile, JsonLines


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[logging.Logger, BufferedFile, Path]]:
    """Return a new logger, its handler, and its file of at most 1,000 bytes."""
    path = tmp_path / "requests.log"
    handler = BufferedFile(path, maxBytes=1000, backupCount=2, encoding="utf-8")
    handler.setFormatter(JsonLines({"replica": "r1"}))
    logger = logging.Logger("requests")
    logger.addHandler(handler)
    yield logger, handler, path
    handler.close()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_log_line_has_record_and_constant_fields(
    log: tuple[logging.Logger, BufferedFile, Path],
) -> None:
    logger, _, path = log

    def as_ray_does(record: logging.LogRecord) -> bool:
        record._ray_timestamp_ns = 1
        return True

    logger.addFilter(as_ray_does)
    logger.info("%s went\nwell", "it", extra={"status": 200, "labels": {"hate": 1}, "input": ["“é”"]})
    (line,) = lines(path)
    assert line.pop("asctime")
    assert line == {
        "levelname": "INFO",
        "message": "it went\nwell",
        "replica": "r1",
        "status": 200,
        "labels": {"hate": 1},
        "input": ["“é”"],
    }


def test_log_lines_are_buffered_on_an_event_loop(
    log: tuple[logging.Logger, BufferedFile, Path],
) -> None:
    logger, _, path = log

    async def write_lines() -> list[int]:
        logger.info("one")
        logger.info("two")
        before = len(lines(path))
        await asyncio.sleep(2 * EVERY_S)
        between = len(lines(path))
        logger.info("three")
        await asyncio.sleep(2 * EVERY_S)
        return [before, between, len(lines(path))]

    assert asyncio.run(write_lines()) == [0, 2, 3]


def test_buffered_lines_are_flushed_at_exit(
    log: tuple[logging.Logger, BufferedFile, Path],
) -> None:
    logger, handler, path = log

    async def write_lines() -> None:
        logger.info("one")

    asyncio.run(write_lines())
    handler.close()
    assert len(lines(path)) == 1


def test_log_rotation_loses_no_line(
    log: tuple[logging.Logger, BufferedFile, Path],
) -> None:
    logger, _, path = log
    for number in range(20):
        logger.info("line %d of many", number)
    files = sorted(path.parent.glob("requests.log*"), reverse=True)
    assert len(files) == 3
    assert all(file.stat().st_size < 1200 for file in files)
    messages = [line["message"] for file in files for line in lines(file)]
    assert messages == [f"line {number} of many" for number in range(20)]
