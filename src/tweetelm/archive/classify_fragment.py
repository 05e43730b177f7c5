"""Classifies one fragment and writes its files. The last one, in done/, makes it complete."""

import json
import time
from collections.abc import Sequence

from tweetelm.archive.added_columns import added_table
from tweetelm.archive.byte_ranges import ByteRanges
from tweetelm.archive.dedup import Answer, DedupClassifier
from tweetelm.archive.result_set import DONE, REFUSED, NamedFragment, ResultSet
from tweetelm.archive.rows import RefusedRow, Rows, read_rows
from tweetelm.archive.table_files import table_bytes
from tweetelm.archive.tally import Tally


class FragmentClassifier:
    """Classifies fragments, one after another, with one model."""

    def __init__(
        self, classifier: DedupClassifier, results: ResultSet, *, precision: str = "", gpus: float = 0
    ) -> None:
        self.classifier, self.results, self.gpus = classifier, results, gpus
        self.precision = precision
        self._ranges = ByteRanges()

    def __call__(self, named: NamedFragment) -> Tally:
        """Classify a fragment and write its rows, its refused rows and its counts.

        Raises:
            ValueError: the file has changed since it was cut.
            OSError: a file cannot be read or written.
        """
        cpu, wall = time.process_time(), time.monotonic()
        rows = read_rows(named.fragment, self._ranges)
        answers, asked = self.classifier(rows.texts)
        self._write_rows(named, rows, answers)
        tally = Tally.of(answers, (each.reason for each in rows.refused), asked)
        if self.precision:
            tally.precisions[self.precision] = tally.rows
        tally.cpu_s = time.process_time() - cpu
        tally.wall_s = time.monotonic() - wall
        tally.gpu_s = self.gpus * tally.wall_s
        self.results.write(f"{DONE}/{named.done}", json.dumps(tally.to_json()).encode())
        return tally

    def _write_rows(self, named: NamedFragment, rows: Rows, answers: Sequence[Answer]) -> None:
        settings = self.results.settings
        added = added_table(answers, settings.labels, settings.version, settings.prefix)
        content = table_bytes(rows.table, added, rows.objects, settings.format)
        if rows.refused:
            self.results.write(f"{REFUSED}/{named.name}.jsonl", _refused(named, rows.refused))
        self.results.write(self.results.rows_file(named.name), content)


def _refused(named: NamedFragment, refused: Sequence[RefusedRow]) -> bytes:
    place = named.fragment.file.place
    lines = [
        {"file": place, "row": each.row, "line": each.line, "reason": each.reason, "raw": each.raw}
        for each in refused
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
