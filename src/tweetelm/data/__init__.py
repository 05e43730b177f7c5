"""The two datasets: reading their files, saying which files they were, choosing the rows to learn from."""

from tweetelm.data.holdout import hold_out
from tweetelm.data.provenance import Provenance, provenance
from tweetelm.data.selection import training_rows
from tweetelm.data.splits import SAMPLE, load

__all__ = ["SAMPLE", "Provenance", "hold_out", "load", "provenance", "training_rows"]
