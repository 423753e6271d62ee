"""Which methods an address takes: HEAD wherever there is GET, and all of them for whoever used another one."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.routing import Match, Route


def add_heads(app: FastAPI, routes: Sequence[Route]) -> None:
    """Answer HEAD for whatever has GET (RFC 9110, 9.1): load balancers and link checkers ask so. uvicorn leaves the content out.

    Args:
        app: The application.
        routes: All its routes; those that have HEAD already keep their own.
    """
    app.state.routes = list(routes)
    own = {route.path for route in routes if "HEAD" in (route.methods or ())}
    for route in routes:
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and route.path not in own:
            app.add_api_route(
                route.path,
                route.endpoint,
                methods=["HEAD"],
                response_model=route.response_model,
                response_class=route.response_class,
                include_in_schema=False,
            )


def methods_of(request: Request) -> list[str]:
    """The methods that a request's address takes: of all routes that have it, where the one that was found first knows its own."""
    found = {method for route in request.app.state.routes if route.matches(request.scope)[0] is not Match.NONE for method in route.methods}
    return sorted(found | {"HEAD"} if "GET" in found else found)
