"""Files in a folder, or in object storage at a URL.

URLs are accessed through pyarrow, as in Ray Train and Ray Tune, so that the same URLs and settings work.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tweetelm.files import atomic
from tweetelm.files.paths import expanded, is_url

ACCESS = (
    "check the address and the credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for "
    "S3 storage of other providers, AWS_ENDPOINT_URL (or GOOGLE_…, AZURE_…), or the machine's role"
)


def find(place: str) -> tuple[Any, str]:
    """pyarrow's filesystem for a folder or URL, and the path within it.

    Raises:
        ValueError: the URL is invalid, or pyarrow does not support its scheme.
    """
    from pyarrow import fs

    if not is_url(place):
        return fs.LocalFileSystem(), str(Path(expanded(place)).absolute())
    try:
        with explained(place):
            filesystem, path = fs.FileSystem.from_uri(place)
    except NotImplementedError as error:
        raise ValueError(f"{place} needs a pyarrow with support for it; run `pip install pyarrow`") from error
    except ValueError as error:
        raise ValueError(
            f"{place} cannot be used: {str(error).rstrip('.')}; expected a folder, s3://BUCKET/FOLDER or "
            "gs://BUCKET/FOLDER"
        ) from error
    return filesystem, path


def read(place: str, limit: int | None = None) -> bytes | None:
    """Read a small file, or its first `limit` bytes; None if it does not exist."""
    filesystem, path = find(place)
    with explained(place):
        try:
            with filesystem.open_input_file(path) as file:
                return bytes(file.readall() if limit is None else file.read(limit))
        except (FileNotFoundError, NotADirectoryError):
            return None


def write(place: str, data: bytes) -> None:
    """Replace a small file atomically: readers see the old or the new content."""
    filesystem, path = find(place)
    with explained(place):
        if filesystem.type_name == "local":
            atomic.write(Path(path), data)
            return
        with filesystem.open_output_stream(path) as file:  # an object becomes visible when it is complete
            file.write(data)


def listed(place: str) -> dict[str, Any]:
    """pyarrow's FileInfo (`size`, `mtime_ns`) of each file below a folder or URL, by sorted relative path."""
    from pyarrow import fs

    filesystem, path = find(place)
    with explained(place):
        found = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    files = {info.path.removeprefix(path).lstrip("/"): info for info in found if info.is_file}
    return dict(sorted(files.items()))


def fetch(place: str, target: Path, names: list[str] | None = None) -> None:
    """Copy the files below a folder or URL, or only the given `names`, to a local folder.

    Raises:
        FileNotFoundError: there are no files.
    """
    from pyarrow import fs

    wanted = list(listed(place)) if names is None else names
    if not wanted:
        raise FileNotFoundError(f"{place} does not exist or is empty")
    filesystem, path = find(place)
    with explained(place):
        for name in wanted:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            fs.copy_files(f"{path}/{name}", str((target / name).absolute()), filesystem, fs.LocalFileSystem())


def send(source: Path, place: str) -> None:
    """Copy the files below a local folder, without symbolic links, to a folder or URL."""
    from pyarrow import fs

    filesystem, path = find(place)
    with explained(place):
        for file in sorted(p for p in source.rglob("*") if p.is_file() and not p.is_symlink()):
            target = f"{path}/{file.relative_to(source).as_posix()}"
            if filesystem.type_name == "local":
                Path(target).parent.mkdir(parents=True, exist_ok=True)
            fs.copy_files(str(file.absolute()), target, fs.LocalFileSystem(), filesystem)


def remove(place: str) -> None:
    """Delete the content of a folder, if it exists."""
    filesystem, path = find(place)
    with explained(place):
        filesystem.delete_dir_contents(path, missing_dir_ok=True)


def delete(place: str) -> None:
    """Delete a file, if it exists."""
    filesystem, path = find(place)
    with explained(place):
        try:
            filesystem.delete_file(path)
        except FileNotFoundError:
            return


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Add the URL and what to check to errors of object storage; errors of local folders pass unchanged."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if not is_url(place):
            raise
        raise OSError(f"{place} cannot be reached: {str(error)[:400]}; {ACCESS}") from error
