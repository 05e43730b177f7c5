"""Executes the notebook of the docs: `python -m tools.notebook` writes its outputs into the file.

It runs in an empty folder, with its own home and Ray, in a fresh kernel.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
TOUR = ROOT / "docs" / "notebook" / "tour.ipynb"
CELL_S = 600


def executed(notebook: Path) -> Any:
    """The notebook with the outputs of a run; raises nbclient's CellExecutionError if a cell fails."""
    document = nbformat.read(notebook, as_version=4)
    with tempfile.TemporaryDirectory(prefix="tw") as folder:  # short, because of Ray's sockets
        own = {
            "HOME": folder,
            "RAY_TMPDIR": folder,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": os.urandom(32).hex(),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONWARNINGS": "ignore:IProgress not found",  # of tqdm, without ipywidgets
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        work = Path(folder) / "work"
        work.mkdir()
        client = NotebookClient(document, timeout=CELL_S, resources={"metadata": {"path": str(work)}})
        return client.execute(env=kept | own)


def results(document: Any) -> list[str]:
    """The text of the result of each code cell; "" if it has none."""
    return [
        "".join(o["data"]["text/plain"] for o in cell["outputs"] if o["output_type"] == "execute_result")
        for cell in document["cells"]
        if cell["cell_type"] == "code"
    ]


def tidied(document: Any) -> Any:
    """The notebook without times of execution, which differ between runs."""
    for cell in document["cells"]:
        cell["metadata"].pop("execution", None)
    return document


if __name__ == "__main__":
    nbformat.write(tidied(executed(TOUR)), TOUR)
