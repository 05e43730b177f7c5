"""The two datasets: download, reading, hashes, and the selection of training rows."""

from tweetelm.data.dedup import training_rows
from tweetelm.data.holdout import hold_out
from tweetelm.data.load import SAMPLE, load, missing_data
from tweetelm.data.provenance import Provenance, provenance

__all__ = ["SAMPLE", "Provenance", "hold_out", "load", "missing_data", "provenance", "training_rows"]
