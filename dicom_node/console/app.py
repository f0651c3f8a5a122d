"""The console as one ASGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from dicom_node.console.access import oidc
from dicom_node.console.errors import add_handlers
from dicom_node.console.pages import STATIC
from dicom_node.console.sections import SECTIONS
from dicom_node.console.security.guard import guard
from dicom_node.console.security.headers import BodyLimit, Headers, RootPath
from dicom_node.console.security.throttle import Throttle

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Scope

    from dicom_node.console.parts import Parts
    from dicom_node.console.registry import Section
    from dicom_node.console.security.provider import Provider
    from dicom_node.domain.console import Access

__all__ = ["create_app"]


class _Files(StaticFiles):
    """Files whose address names their content, so browsers keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if b"v=" in scope.get("query_string", b""):
            response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response


def _provider(access: Access) -> Provider | None:
    if access.provider is None:
        return None
    from dicom_node.console.security.provider import Provider

    return Provider(access.provider, f"{access.public_url}{oidc.BACK}")


def create_app(parts: Parts, sections: tuple[Section, ...] = SECTIONS) -> FastAPI:
    """The console over what it is given.

    Args:
        parts: Ports and values.
        sections: Its pages.
    """
    access = parts.access
    app = FastAPI(
        title="dicom-node",
        version=parts.facts.version,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(guard)],
        redirect_slashes=False,
    )
    app.state.parts = parts
    app.state.sections = sections
    app.state.public = frozenset().union(*(section.public for section in sections))
    app.state.throttle = Throttle(access.logins_per_minute)
    app.state.provider = _provider(access)
    for section in sections:
        app.include_router(section.router)
    app.mount("/static", GZipMiddleware(_Files(directory=STATIC), minimum_size=500))
    add_handlers(app)
    uploads: dict[str, Any] = dict(limit for section in sections for limit in section.uploads)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, root_path=access.root_path, uploads=uploads)
    app.add_middleware(RootPath, root_path=access.root_path)
    app.add_middleware(Headers, https=access.is_https)
    return app
