"""`/openapi.json` and `/docs`: what the interface is, complete without the net."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from orchestrator.api.problems import ApiProblem, Problem
from orchestrator.api.static_files import static_answer
from orchestrator.jobs.messages import PaletteMessage, RuleMessage
from orchestrator.photos.types import PreviewQuery, SegmentsQuery

OPEN_PATHS = frozenset({"/ping"})
MODELS = (Problem, PaletteMessage, RuleMessage, SegmentsQuery, PreviewQuery)
# The key says who the user is, and an id follows from the content.
MAY_BE_LEFT_OUT = {"PaletteMessage": ("job_id", "user_id"), "RuleMessage": ("jobId", "userId")}
# Swagger UI's own files (Apache-2.0), as the package fastapi-standalone-docs carries them.
ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Respray</title><meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="docs/swagger-ui.css"><link rel="icon" href="data:,"></head>
<body><div id="ui"></div><script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body></html>
"""
START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#ui", deepLinking: true});\n'
HEADERS = {
    # Swagger UI sets styles and shows its own pictures as data.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def add_docs(app: FastAPI) -> None:
    """Serve the description and the page that shows it."""
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(PAGE, media_type="text/html; charset=utf-8", headers=HEADERS)

    @app.get("/docs/{name}", include_in_schema=False)
    async def asset(request: Request, name: str) -> Response:
        if name == "start.js":
            return Response(START, media_type="text/javascript", headers=HEADERS)
        if name not in ASSETS:
            raise ApiProblem(404, f"there is no {request.url.path}", "not_found")
        return static_answer(request, _asset(name), ASSETS[name], {**HEADERS, "Cache-Control": "max-age=3600"})


@cache
def _asset(name: str) -> bytes:
    return (resources.files("fastapi_standalone_docs") / "static" / "swagger" / name).read_bytes()


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: what FastAPI finds, the messages that the parser checks, and who may call."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        kinds: list[tuple[type[BaseModel], Literal["serialization", "validation"]]] = [
            (model, "serialization" if model is Problem else "validation") for model in MODELS
        ]
        _, definitions = models_json_schema(kinds, ref_template="#/components/schemas/{model}")
        components = document.setdefault("components", {})
        components["schemas"] = {**components.get("schemas", {}), **definitions["$defs"]}
        for name, ids in MAY_BE_LEFT_OUT.items():
            schema = components["schemas"][name]
            schema["required"] = [field for field in schema["required"] if field not in ids]
        components["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "A key of `respray api key`. A server without keys asks for none."}
        }
        for path, methods in document["paths"].items():
            for method in methods.values():
                method["security"] = [] if path in OPEN_PATHS else [{"key": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema
