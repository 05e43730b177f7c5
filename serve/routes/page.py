"""The page at `/` and Swagger UI at `/docs`; all files come from this server."""

import functools
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

_SWAGGER = Path(str(files("fastapi_swagger"))) / "resources"
FOLDER = Path(__file__).parent.parent / "ui"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@functools.cache
def _read(file: Path) -> bytes:
    """Read a file once; concurrent responses share its bytes."""
    return file.read_bytes()


def _file(name: str, media_type: str, folder: Path = FOLDER) -> Response:
    return Response(_read(folder / name), media_type=media_type, headers=HEADERS)


@router.get("/")
async def index() -> Response:
    return _file("index.html", "text/html")


@functools.cache
def _assets() -> frozenset[str]:
    """Return the names of the page's own styles and scripts."""
    return frozenset(file.name for file in FOLDER.iterdir() if file.suffix in _MEDIA_TYPES)


@router.get("/ui/{name}")
async def asset(name: str) -> Response:
    if name not in _assets():
        raise HTTPException(404)
    return _file(name, _MEDIA_TYPES[Path(name).suffix])


@router.get("/docs")
async def docs() -> Response:
    """Swagger UI from its package. It sets inline styles, so its CSP allows them."""
    response = _file("docs.html", "text/html")
    response.headers["Content-Security-Policy"] = HEADERS["Content-Security-Policy"].replace(
        "style-src 'self'", "style-src 'self' 'unsafe-inline'"
    )
    return response


@router.get("/docs/docs.js")
async def docs_start() -> Response:
    return _file("docs.js", "text/javascript")


@router.get("/docs/swagger-ui-bundle.js")
async def docs_script() -> Response:
    return _file("swagger-ui-bundle.js", "text/javascript", _SWAGGER)


@router.get("/docs/swagger-ui.css")
async def docs_style() -> Response:
    return _file("swagger-ui.css", "text/css", _SWAGGER)
