"""Pages out of templates. Everything in a template is escaped, and nothing marks text as safe."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from dicom_node.console import filters, notices
from dicom_node.console.registry import entries_for
from dicom_node.console.security import cookies
from dicom_node.domain.accounts import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request

    from dicom_node.console.parts import Parts

__all__ = ["STATIC", "confirmation", "page"]

STATIC: Final = Path(__file__).parent / "static"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("dicom_node.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(filters.FILTERS)
    made.globals["Role"] = Role
    return made


@cache
def _fingerprint(name: str) -> str:
    """Of a file's content, so that browsers may keep it for ever."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def page(
    request: Request,
    template: str,
    *,
    title: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """A page, or a part of one where the template is a part.

    Templates see, besides what is given: ``url(path)`` (with the root path), ``asset(name)``,
    ``identity`` (None: nobody is logged in), ``csrf``, ``entries`` of the navigation, ``facts`` of
    the node, ``here`` (path without the root path), ``now``, ``notice`` and ``may(role)``.

    Args:
        request: To answer.
        template: Name of the file.
        title: Of the page.
        status: Of HTTP.
        headers: Further ones.
        **context: What the template shows.
    """
    parts: Parts = request.app.state.parts
    identity = getattr(request.state, "identity", None)
    # Not that of the scope: where files are served, that one has their folder in it.
    root = parts.access.root_path
    here = request.scope["path"].removeprefix(root) or "/"
    partial = template.startswith("_")
    notice = None if partial else notices.take(request)
    text = (
        _environment()
        .get_template(template)
        .render(
            {
                "title": title,
                "url": lambda path: f"{root}{path}",
                "asset": lambda name: f"{root}/static/{name}?v={_fingerprint(name)}",
                "identity": identity,
                "csrf": identity.csrf if identity is not None else "",
                "entries": entries_for(request.app.state.sections, identity),
                "facts": parts.facts,
                "here": here,
                "now": parts.clock(),
                "notice": notice,
                "may": lambda role: identity is not None and identity.role.allows(Role(role)),
                **context,
            }
        )
    )
    response = HTMLResponse(text, status_code=status, headers=dict(headers or {}))
    if notice is not None:
        cookies.drop(request, response, notices.COOKIE)
    return response


def confirmation(
    request: Request,
    *,
    title: str,
    words: str,
    action: str,
    verb: str,
    back: str,
    fields: Mapping[str, str] | None = None,
    danger: bool = False,
    details: tuple[str, ...] = (),
) -> HTMLResponse:
    """Ask before something is done: a dialog where the page asked for one, a page of its own else.

    A link ``<a href=… data-dialog>`` opens it as a dialog where scripts run.

    Args:
        request: To answer.
        title: The question.
        words: What will happen.
        action: Path the form goes to, without the root path.
        verb: On the button.
        back: Path of "Keep as it is".
        fields: Hidden ones that go along.
        danger: It cannot be undone.
        details: Further lines.
    """
    template = "_confirm.html" if "hx-request" in request.headers else "confirm.html"
    return page(
        request,
        template,
        title=title,
        words=words,
        action=action,
        verb=verb,
        back=back,
        fields=dict(fields or {}),
        danger=danger,
        details=details,
    )
