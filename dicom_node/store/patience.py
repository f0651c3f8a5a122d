"""Connections to PostgreSQL whose answers are waited for with an end.

A server that ends is noticed at once, and one whose packets are lost by the system's timers. One
that holds the connection and says nothing, stopped or hung on its own disk, would be waited for as
long as that lasts, and whoever waits for the ledger gives its own caller no answer.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.waiting import Ready

if TYPE_CHECKING:
    from collections.abc import Generator

    from psycopg.waiting import Wait

__all__ = ["PatientConnection"]

_Result = TypeVar("_Result")


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is given up when one of its statements is not answered in time.

    Attributes:
        patience_s: How long an answer may take.
    """

    patience_s: float = math.inf

    def wait(
        self, gen: Generator[Wait, Ready | int, _Result], *args: Any, **kwargs: Any
    ) -> _Result:
        """As of `psycopg.Connection`.

        Raises:
            psycopg.OperationalError: No answer came in time; the connection is closed.
        """
        return super().wait(self._with_an_end(gen), *args, **kwargs)

    def _with_an_end(
        self, exchange: Generator[Wait, Ready | int, _Result]
    ) -> Generator[Wait, Ready | int, _Result]:
        until = time.monotonic() + self.patience_s
        try:
            wanted = next(exchange)
            while True:
                ready = yield wanted
                if ready == Ready.NONE and time.monotonic() >= until:
                    self.close()
                    raise psycopg.OperationalError(f"no answer within {self.patience_s:g} s")
                wanted = exchange.send(ready)
        except StopIteration as end:
            result: _Result = end.value
            return result
