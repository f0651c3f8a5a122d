"""What all JSON of the API has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

__all__ = ["As", "Problem", "Shape"]


class Shape(BaseModel):
    """Base of all: what is not known is not taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(Shape):
    """An error (RFC 9457). Some say more beside, as ``problems`` of a configuration."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    title: str
    status: int
    detail: str


class As:
    """Describes keys of the configuration by the section they make, and leaves them as written.

    They are judged where all of the file is, which says everything that is wrong at once.

    Args:
        section: Of the settings.
    """

    def __init__(self, section: type[BaseModel]) -> None:
        self._section = section

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """For OpenAPI."""
        described: Any = self._section.__pydantic_core_schema__
        return handler(described)
