"""The folder of a collection: JSON files that are written atomically, on disk or in object storage."""

import json
from dataclasses import dataclass
from typing import Any

from tweetelm.files import object_storage
from tweetelm.files.json_file import parse_object

PAGES, USERS, REFRESH = "pages", "users", "refresh"
SETTINGS, LEDGER, REFRESHED = "settings.json", "ledger.json", "refreshed.json"


@dataclass(frozen=True)
class Folder:
    """A folder or URL."""

    place: str

    def path(self, name: str) -> str:
        """The path or URL of a file in the folder."""
        return f"{self.place}/{name}"

    def read(self, name: str) -> dict[str, Any] | None:
        """The JSON object in a file; None if the file does not exist.

        Raises:
            ValueError: the file is damaged.
        """
        found = object_storage.read(self.path(name))
        remedy = "restore it, or delete the folder and collect again"
        return None if found is None else parse_object(found, self.path(name), remedy)

    def write(self, name: str, document: dict[str, Any]) -> None:
        """Replace a file atomically with a JSON object."""
        data = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        object_storage.write(self.path(name), data.encode())

    def numbered(self, under: str) -> list[dict[str, Any]]:
        """The JSON objects in `under`/0.json, 1.json, …, in this order."""
        found: list[dict[str, Any]] = []
        while (document := self.read(f"{under}/{len(found)}.json")) is not None:
            found.append(document)
        return found

    def names(self, under: str) -> list[str]:
        """The files below a subfolder, by their path in the folder."""
        return [
            f"{under}/{name}" for name in object_storage.listed(self.path(under)) if "/." not in f"/{name}"
        ]
