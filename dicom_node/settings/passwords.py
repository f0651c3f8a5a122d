"""The password of the database: read when it is needed, from outside the configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from dicom_node.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from dicom_node.settings.sections import NodeSettings

__all__ = ["with_password"]


def with_password(node: NodeSettings) -> str:
    """The database URL as the driver takes it.

    Raises:
        ConfigurationError: The password's file or variable is not there, or empty.
    """
    url = node.database_url or ""
    password = _password(node)
    if password is None:
        return url
    scheme, _, rest = url.partition("://")
    user, at, place = rest.partition("@")
    if not at:
        raise ConfigurationError(
            "node.database_url: a password needs a user: give postgresql://USER@HOST/DATABASE"
        )
    return f"{scheme}://{user}:{quote(password, safe='')}@{place}"


def _password(node: NodeSettings) -> str | None:
    if node.database_password_env is not None:
        found = os.environ.get(node.database_password_env)
        if not found:
            raise ConfigurationError(
                f"node.database_password_env: {node.database_password_env} is not set"
            )
        return found
    path = node.database_password_file
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(
            f"node.database_password_file: {path} cannot be read: {reason}"
        ) from None
    if not lines or not lines[0]:
        raise ConfigurationError(f"node.database_password_file: {path} is empty")
    return lines[0]
