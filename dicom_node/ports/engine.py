"""The engine: radiographs in, views out."""

from __future__ import annotations

from typing import Protocol

from synthesis.types import SynthesisRequest, SynthesisResult

__all__ = ["Engine"]


class Engine(Protocol):
    """Turns requests into views, somewhere else. Safe to call from one thread at a time."""

    def synthesize(
        self, model: str, request: SynthesisRequest, *, deadline_s: float
    ) -> SynthesisResult:
        """Run one request on a configured model.

        Raises:
            EngineDownError: It did so before it came to this request.
            EngineError: It crashed, ran out of memory or missed the deadline.
            EngineInputError: It answered that this request cannot be done.
        """
        ...

    def close(self) -> None:
        """Stop it."""
        ...
