"""Where the trackers of a run write: its folder, or a local one whose files follow it to object storage."""

import logging
import shutil
import tempfile
from pathlib import Path

from tweetelm.files import atomic, object_storage
from tweetelm.files.paths import is_url
from tweetelm.tracking.trackers import HISTORY

log = logging.getLogger(__name__)


class RunStorage:
    """`path` is a local folder. For a run behind a URL it is this process's own: a run that goes on elsewhere
    finds the history that was kept.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.elsewhere = is_url(folder)
        self.path = Path(tempfile.mkdtemp(prefix="tweetelm-run-") if self.elsewhere else folder)

    def restore(self, step: int) -> None:
        """Fetch the history of a run that goes on from `step`."""
        if not (self.elsewhere and step):
            return
        found = object_storage.read(self._history)
        if found is None:
            log.warning("%s is not there: the history begins after step %d", self._history, step)
            return
        atomic.write(self.path / HISTORY, found)

    def sync(self) -> None:
        """Send the history, before a checkpoint: whoever goes on from that finds every line up to it.

        A failure is told and no more: the next time sends everything again, and `close` does not let it pass.
        """
        if not self.elsewhere:
            return
        try:
            self._send_history()
        except OSError as error:
            log.warning("the history of this run was not sent, the next checkpoint tries again: %s", error)

    def close(self) -> None:
        """Send all there is, at the end.

        Raises:
            OSError: the history could not be sent. (What Weights & Biases left is worth a warning only.)
        """
        if not self.elsewhere:
            return
        if (self.path / HISTORY).exists():
            self._send_history()
        try:
            object_storage.send(self.path, self.folder)
        except OSError as error:
            log.warning("files of Weights & Biases stay in %s: %s", self.path, error)
            return
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def _history(self) -> str:
        return f"{self.folder}/{HISTORY}"

    def _send_history(self) -> None:
        object_storage.write(self._history, (self.path / HISTORY).read_bytes())
