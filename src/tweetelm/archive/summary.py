"""The summary of a classified archive: as data for summary.json, and as lines for a terminal."""

from typing import Any

from tweetelm.archive.result_set import Settings
from tweetelm.archive.tally import Tally
from tweetelm.files.names import printable

_REASONS = 5  # shown of refused rows


def summary_data(
    tally: Tally, settings: Settings, files: list[dict[str, Any]], speed: float
) -> dict[str, Any]:
    """The content of summary.json.

    Args:
        tally: the counts of all fragments, of this and earlier commands.
        settings: model and settings.
        files: the input files, each with its place, rows and result files in the order of its rows.
        speed: rows per second of this command; 0 if it had nothing to do.
    """
    return {
        "task": settings.task,
        "version": settings.version,
        "settings": settings.to_json(),
        "precisions": dict(tally.precisions),
        "rows": tally.rows,
        "refused": dict(tally.refused),
        "labels": {label: tally.labels[label] for label in settings.labels},
        "tokens": {
            "mean": round(_mean_tokens(tally), 2),
            "median": tally.quantile(0.5),
            "p99": tally.quantile(0.99),
            "max": tally.quantile(1.0),
        },
        "truncated": tally.truncated,
        "duplicates": tally.duplicates,
        "hit_rate": round(tally.duplicates / max(tally.rows, 1), 4),
        "rows_per_second": round(speed, 1),
        "cpu_seconds": round(tally.cpu_s, 1),
        "gpu_seconds": round(tally.gpu_s, 1),
        "files": files,
    }


def summary_lines(tally: Tally, settings: Settings, speed: float) -> list[str]:
    """The summary for a terminal."""
    total = max(tally.rows, 1)
    labels = ", ".join(f"{label} {_part(tally.labels[label], total)}" for label in settings.labels)
    cost = f"{tally.cpu_s:,.0f} CPU seconds" + (f", {tally.gpu_s:,.0f} GPU seconds" if tally.gpu_s else "")
    lines = [
        f"rows       {tally.rows:,} classified, {tally.refused_rows:,} refused",
        f"labels     {labels}",
        f"tokens     mean {_mean_tokens(tally):.1f}, median {tally.quantile(0.5)}, "
        f"99 % at most {tally.quantile(0.99)}, longest {tally.quantile(1.0)}",
        f"truncated  {_part(tally.truncated, total)}",
        f"duplicates {_part(tally.duplicates, total)} not classified again",
        f"cost       {cost}" + (f", {speed:,.0f} rows/s in this run" if speed else ""),
    ]
    reasons = tally.refused.most_common(_REASONS)
    return lines + [f"refused    {rows:,}: {printable(reason)}" for reason, rows in reasons]


def _part(rows: int, total: int) -> str:
    return f"{rows:,} ({rows / total:.1%})"


def _mean_tokens(tally: Tally) -> float:
    return sum(length * rows for length, rows in tally.lengths.items()) / max(tally.rows, 1)
