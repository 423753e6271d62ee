"""Serves the studio's files at `/studio`. They are open to everybody: whatever they show comes from `/v1/`, which asks for a key."""

from __future__ import annotations

from functools import cache
from importlib import resources

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from orchestrator.api.problems import ApiProblem
from orchestrator.api.static_files import static_answer

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
PAGE = "index.html"
HEADERS = {
    # No inline code and no inline style; pictures are made in the page (blob:) or come inside answers (data:).
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=()",
    # Small files, and a page whose parts must be of one version: asked for anew every time.
    "Cache-Control": "no-cache",
}


def add_studio(app: FastAPI) -> None:
    """Serve the page and its files."""

    @app.get("/studio", include_in_schema=False)
    async def studio(request: Request) -> Response:
        return _file(request, PAGE)

    # Browsers ask for it by themselves, for what has no page around it.
    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon(request: Request) -> Response:
        return _file(request, "icon.svg")

    # As people type addresses; relative, for what a proxy may have put in front.
    @app.get("/", include_in_schema=False)
    async def start() -> Response:
        return RedirectResponse("studio")

    @app.get("/studio/", include_in_schema=False)
    async def below() -> Response:
        return RedirectResponse("../studio")

    @app.get("/studio/{path:path}", include_in_schema=False)
    async def asset(request: Request, path: str) -> Response:
        if path not in _files():
            raise ApiProblem(404, f"there is no {request.url.path[:200]!r}", "not_found")
        return _file(request, path)


def _file(request: Request, path: str) -> Response:
    return static_answer(request, _files()[path], MEDIA_TYPES[path.rsplit(".", 1)[-1]], HEADERS)


@cache
def _files() -> dict[str, bytes]:
    """All files by their path: under half a megabyte. What is not among them cannot be asked for."""
    found: dict[str, bytes] = {}
    folders = [("", resources.files(__package__) / "static")]
    while folders:
        prefix, folder = folders.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                folders.append((f"{prefix}{entry.name}/", entry))
            elif entry.name.rsplit(".", 1)[-1] in MEDIA_TYPES:
                found[prefix + entry.name] = entry.read_bytes()
    # All modules at once, and not each when another that came has asked for it: on a slow line those are five journeys.
    modules = "".join(f'<link rel="modulepreload" href="/studio/{path}">\n' for path in sorted(found) if path.endswith(".js"))
    found[PAGE] = found[PAGE].replace(b"</head>", modules.encode() + b"</head>")
    return found
