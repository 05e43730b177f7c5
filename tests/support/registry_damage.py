"""Direct changes to the files of a registry, in a folder or in object storage."""

from pathlib import Path

import obstore

from tweetelm.registry.store.object_storage import ObjectStore


def overwrite(registry: str, name: str, data: bytes) -> None:
    """Replace or add a file."""
    if "://" in registry:
        obstore.put(ObjectStore(registry).objects, name, data)
    else:
        (Path(registry) / name).write_bytes(data)


def remove(registry: str, name: str) -> None:
    """Delete a file."""
    if "://" in registry:
        obstore.delete(ObjectStore(registry).objects, name)
    else:
        (Path(registry) / name).unlink()
