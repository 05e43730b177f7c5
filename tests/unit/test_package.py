"""`import tweetelm`: public names, imported on first use."""

import subprocess
import sys

import pytest

import tweetelm


def test_importing_tweetelm_imports_no_torch() -> None:
    code = "import sys, tweetelm; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


@pytest.mark.parametrize("name", [name for name in tweetelm.__all__ if name[0] != "_"])
def test_public_names_are_imported_on_first_use(name: str) -> None:
    assert getattr(tweetelm, name).__name__ == name
    assert name in dir(tweetelm)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Predicter'; it has Predictor, Task"):
        _ = tweetelm.Predicter
    with pytest.raises(ImportError):
        from tweetelm import Predicter  # noqa: F401
