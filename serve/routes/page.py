"""The page at `/`: three files, from this server alone."""

from pathlib import Path

from fastapi import APIRouter, Response

FOLDER = Path(__file__).parent.parent / "page"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


def _file(name: str, media_type: str) -> Response:
    return Response((FOLDER / name).read_bytes(), media_type=media_type, headers=HEADERS)


@router.get("/")
async def index() -> Response:
    return _file("index.html", "text/html")


@router.get("/page.css")
async def style() -> Response:
    return _file("page.css", "text/css")


@router.get("/page.js")
async def script() -> Response:
    return _file("page.js", "text/javascript")
