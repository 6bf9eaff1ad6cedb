"""The operator page: static files, served with a strict policy and validated by hash."""

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

from hub.api.problems import Problem
from hub.api.routes import Route
from hub.errors import ConfigError

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
VIEWS: Final = (
    "/", "/lockers", "/lockers/{locker}", "/lockers/{locker}/label", "/alarms", "/alarms/health", "/alarms/rules",
    "/alarms/{alarm}", "/maintenance", "/commands", "/commands/{command}", "/jobs", "/jobs/new", "/jobs/{job}",
    "/events", "/audit", "/statistics", "/health", "/wall",
)  # fmt: skip
"""Every address of the page. What an address is about need not exist: the page itself says so."""

_SHEETS: Final = "css/all.css"
_IMPORT: Final = re.compile(rb'^@import "([^"]+)";$', re.MULTILINE)
_PACKED_BYTES_MIN: Final = 500
"""Smaller files fit into one packet as they are."""


@dataclass(frozen=True)
class _File:
    body: bytes
    content_type: str
    etag: str

    @cached_property
    def packed(self) -> bytes:
        """The body in gzip: made once, at the first request, as a page is some seventy files."""
        return gzip.compress(self.body, mtime=0)


class PageRoutes:
    """All files of the page, read once at the start."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "index.html").is_file():
            raise ConfigError(f"the operator page is missing: {folder} has no index.html")
        self._files = {
            path.relative_to(folder).as_posix(): _read(path) for path in folder.rglob("*") if path.is_file()
        }
        self._files[_SHEETS] = _file(folder / _SHEETS, joined(folder / _SHEETS))

    def routes(self) -> list[Route]:
        """Return the routes: one page for every view, and its files."""
        views = [
            Route("GET", view, "The operator page", self._index, public=True, documented=False) for view in VIEWS
        ]
        files = Route("GET", "/static/{path:.+}", "The page's files", self._file, public=True, documented=False)
        icon = Route("GET", "/favicon.ico", "The page's icon", self._icon, public=True, documented=False)
        return [*views, files, icon]

    def lost(self) -> Route:
        """Return the route for every other address: the page, which says in words that nothing is there."""
        return Route("GET", "/{path:.*}", "The operator page", self._nothing, public=True, documented=False)

    async def _nothing(self, request: web.Request) -> web.Response:
        return _serve(request, self._files["index.html"], HTTPStatus.NOT_FOUND)

    async def _index(self, request: web.Request) -> web.Response:
        return _serve(request, self._files["index.html"])

    async def _icon(self, request: web.Request) -> web.Response:
        return _serve(request, self._find("icon.svg"))

    async def _file(self, request: web.Request) -> web.Response:
        return _serve(request, self._find(request.match_info["path"]))

    def _find(self, path: str) -> _File:
        file = self._files.get(path)
        if file is None:
            raise Problem("not_found", "The page has no such file.")
        return file


def folder() -> Path:
    """Return where the page is: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "operator"
    return installed if installed.is_dir() else package.parent / "dashboards" / "operator"


def joined(path: Path) -> bytes:
    """Return a style sheet with what it imports in the places of the imports: one request instead of twenty."""
    return _IMPORT.sub(lambda found: (path.parent / found[1].decode()).read_bytes(), path.read_bytes())


def _read(path: Path) -> _File:
    return _file(path, path.read_bytes())


def _file(path: Path, body: bytes) -> _File:
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if content_type == "text/javascript" or path.suffix in {".js", ".mjs"}:
        content_type = "text/javascript"
    return _File(body, content_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _serve(request: web.Request, file: _File, status: int = HTTPStatus.OK) -> web.Response:
    headers = {**HEADERS, "ETag": file.etag}
    if status == HTTPStatus.OK and request.headers.get("If-None-Match") == file.etag:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    charset = "utf-8" if file.content_type.startswith("text/") else None
    headers["Vary"] = "Accept-Encoding"
    packed = "gzip" in request.headers.get("Accept-Encoding", "") and len(file.body) > _PACKED_BYTES_MIN
    if packed:
        headers["Content-Encoding"] = "gzip"
    body = file.packed if packed else file.body
    return web.Response(status=status, body=body, headers=headers, content_type=file.content_type, charset=charset)
