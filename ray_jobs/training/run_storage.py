"""Local storage for a run's trackers, synchronized to object storage if the run folder is a URL."""

import logging
import shutil
import tempfile
from pathlib import Path

from tweetelm.files import atomic, object_storage
from tweetelm.files.paths import is_url
from tweetelm.tracking.trackers import HISTORY

log = logging.getLogger(__name__)


class RunStorage:
    """A local folder for tracker files.

    Attributes:
        folder: Folder or URL of the run.
        elsewhere: Whether the run folder is a URL.
        path: The run folder itself, or a temporary folder whose files are uploaded.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.elsewhere = is_url(folder)
        self.path = Path(tempfile.mkdtemp(prefix="tweetelm-run-") if self.elsewhere else folder)

    def restore(self, step: int) -> None:
        """Download the history of a run that resumes from `step`."""
        if not (self.elsewhere and step):
            return
        found = object_storage.read(self._history)
        if found is None:
            log.warning("%s does not exist: the history starts after step %d", self._history, step)
            return
        atomic.write(self.path / HISTORY, found)

    def sync(self) -> None:
        """Upload the history, before a checkpoint, so that a resumed run has every line up to it.

        A failure is only logged: the next call uploads everything again, and `close` raises.
        """
        if not self.elsewhere:
            return
        try:
            self._send_history()
        except OSError as error:
            log.warning(
                "uploading the history of this run failed; retrying at the next checkpoint: %s", error
            )

    def close(self) -> None:
        """Upload all files at the end of the run.

        Raises:
            OSError: uploading the history failed. Failures for files of Weights & Biases are only logged.
        """
        if not self.elsewhere:
            return
        if (self.path / HISTORY).exists():
            self._send_history()
        try:
            object_storage.send(self.path, self.folder)
        except OSError as error:
            log.warning("uploading files of Weights & Biases failed; they stay in %s: %s", self.path, error)
            return
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def _history(self) -> str:
        return f"{self.folder}/{HISTORY}"

    def _send_history(self) -> None:
        object_storage.write(self._history, (self.path / HISTORY).read_bytes())
