"""The power fails at a named point: what ran before it stays, nothing after it runs."""

from __future__ import annotations

from typing import Any


class PowerCut(BaseException):
    """Not an ``Exception``: no handler of the product may take it for an error it can treat."""


class CutAt:
    """A port whose ``method`` cuts the power before or after it did its work, at its nth call."""

    def __init__(self, target: Any, method: str, *, after: bool, nth: int = 1) -> None:
        self._target, self._method, self._after, self._left = target, method, after, nth

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._target, name)
        if name != self._method:
            return real

        def cut(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise PowerCut(name)
            result = real(*args, **kwargs)
            if self._left == 0:
                raise PowerCut(name)
            return result

        return cut
