"""The HTTP application: routes, description, health. `make_app` gives a FastAPI application that more can be mounted on."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from orchestrator.api import catalogs, demo_photos, edits, files, jobs, photos, sessions
from orchestrator.api.description import add_docs
from orchestrator.api.gate import Gate
from orchestrator.api.methods import add_heads
from orchestrator.api.problems import ApiProblem, answers, install_handlers
from orchestrator.api.service import ApiService, service_of
from orchestrator.api.studio.pages import add_studio
from respray.installation import installed_version

ROUTERS = (jobs.router, edits.router, photos.router, files.router, catalogs.router, demo_photos.router, sessions.router)
DESCRIPTION = "Edits photos by concept: jobs and single photos in, progress and results out."


def make_app(service: ApiService) -> FastAPI:
    """The application of a service. Further pages are mounted on it; what lies below `/v1/` needs a key."""
    app = FastAPI(
        title="Respray", description=DESCRIPTION, version=installed_version(), docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.service = service
    app.add_middleware(Gate, service=service)
    install_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    app.add_api_route(
        "/ping",
        ping,
        methods=["GET"],
        tags=["health"],
        summary="Whether it takes work",
        response_class=Response,
        responses={200: {"description": "Ready"}, 204: {"description": "Starting"}, **answers()},
    )
    add_docs(app)
    add_studio(app)
    add_heads(app, [route for router in (*ROUTERS, app.router) for route in router.routes if isinstance(route, Route)])
    return app


async def ping(request: Request) -> Response:
    """Health for load balancers: 204 while the worker starts, 200 when it is ready, 503 when it is not, or no more.

    As https://docs.runpod.io/serverless/load-balancing/overview asks for it.
    """
    service = service_of(request)
    if service.running is None and not service.stopping:
        return Response(status_code=204)
    running = service.ready
    if service.stopping:
        raise ApiProblem(503, "the worker is shutting down", "stopping")
    if not await running.worker.backend.ready():
        raise ApiProblem(503, "Triton does not answer, or photos do not get through it", "pipeline_unavailable")
    return Response(status_code=200)
