"""The power fails at a named point: what ran before it stays, nothing after it runs."""

from __future__ import annotations

from typing import Any


class PowerCut(BaseException):
    """Not an ``Exception``: no handler of the product may take it for an error it can treat."""


class CutAt:
    """A port whose ``method`` cuts the power before or after it did its work, at its nth call.

    With an ``error``, that is raised instead.
    """

    def __init__(
        self,
        target: Any,
        method: str,
        *,
        after: bool = False,
        nth: int = 1,
        error: BaseException | None = None,
    ) -> None:
        self._error = error
        self._target, self._method, self._after, self._left = target, method, after, nth

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._target, name)
        if name != self._method:
            return real

        def cut(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise self._error or PowerCut(name)
            result = real(*args, **kwargs)
            if self._left == 0:
                raise self._error or PowerCut(name)
            return result

        return cut
