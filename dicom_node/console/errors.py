"""Errors as pages for people and as problems (RFC 9457) for programs."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from dicom_node.console.failures import ConsoleError, LoginNeededError
from dicom_node.console.pages import page
from dicom_node.console.security import sessions
from dicom_node.console.security.guard import API
from dicom_node.domain.errors import CapacityError, IntegrityError, NodeError, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

__all__ = ["PROBLEM", "add_handlers", "answers"]

PROBLEM: Final = "application/problem+json"

_WORDS: Final = {
    401: "No token, or one that does not hold.",
    403: "The token's role does not allow it.",
    404: "There is no such thing.",
    409: "It cannot be done now.",
    422: "Not understood.",
    503: "The ledger does not answer.",
}

_log = structlog.get_logger(__name__)


def answers(words: Mapping[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """What a program may be told instead of an answer, for OpenAPI.

    Args:
        words: Status -> what it means there, where that is more or another than everywhere.
    """
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": told, "content": {PROBLEM: {"schema": schema}}}
        for status, told in sorted((_WORDS | dict(words or {})).items())
    }


def add_handlers(app: FastAPI) -> None:
    """Have all errors of an application shown."""
    app.add_exception_handler(ConsoleError, _console_error)
    app.add_exception_handler(NodeError, _node_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


def _console_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ConsoleError)
    if isinstance(error, LoginNeededError) and not _is_program(request):
        return _to_login(request)
    return _answer(request, error.status, error.title, error.words, more=error.more)


def _to_login(request: Request) -> Response:
    root = request.scope.get("root_path", "")
    where = request.scope["path"].removeprefix(root) or "/"
    login = f"{root}/login"
    if request.method == "GET" and where != "/" and "hx-request" not in request.headers:
        query = f"?{request.url.query}" if request.url.query else ""
        login += f"?next={quote(where + query, safe='')}"
    if "hx-request" in request.headers:  # a part of a page cannot be sent elsewhere, the page can
        return Response(status_code=204, headers={"HX-Redirect": login})
    return RedirectResponse(login, status_code=303)


def _node_error(request: Request, error: Exception) -> Response:
    match error:
        case CapacityError():
            return _answer(request, 503, "The node has no room or no ledger now", str(error))
        case IntegrityError():
            return _answer(request, 409, "Cannot be done now", str(error))
    return _answer(request, 422, "Not understood", str(error))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = HTTPStatus(error.status_code).phrase
    if not _is_program(request) and not hasattr(request.state, "identity"):
        # No page was found, so no guard stood before it. Who is lost needs the way to the others.
        with contextlib.suppress(NodeError):
            request.state.identity = sessions.from_cookie(request)
    words = {
        404: "There is no such page. It may have been removed, or the address is mistyped.",
        405: "This address cannot be used in this way.",
    }.get(error.status_code, "")
    return _answer(request, error.status_code, title, words, headers=error.headers)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was given is not repeated: it may be about a patient.
    problems = [
        f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()
    ]
    return _answer(request, 422, "Not understood", "; ".join(problems)[:2000])


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("a page of the console failed", path=_pattern(request), reason=describe(error))
    words = "The node's log says more. It goes on receiving and sending all the same."
    return _answer(request, 500, "The console failed", words)


def _pattern(request: Request) -> str:
    """The path without what stands in it, which may be an identifier."""
    return getattr(request.scope.get("route"), "path", "")


def _is_program(request: Request) -> bool:
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return bool(path == API or path.startswith(f"{API}/"))


def _answer(
    request: Request,
    status: int,
    title: str,
    words: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    told = dict(headers or {})
    if _is_program(request):
        if status == 401:
            told["WWW-Authenticate"] = 'Bearer realm="dicom-node"'
        body = {"type": "about:blank", "title": title, "status": status, "detail": words}
        body |= more or {}
        return JSONResponse(body, status_code=status, headers=told, media_type=PROBLEM)
    return page(
        request, "error.html", title=title, status=status, words=words, headers=told, code=status
    )
