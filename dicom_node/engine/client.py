"""The engine port over a process of its own, so that a crash of it costs one attempt of one job."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from dicom_node.domain.errors import (
    EngineDownError,
    EngineError,
    EngineInputError,
    NodeError,
)
from dicom_node.domain.retry import RetryPolicy
from dicom_node.engine import messages
from dicom_node.engine.child import Child, ChildLostError
from dicom_node.engine.relay import SECRET_VARIABLE
from synthesis.errors import SynthesisError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from synthesis.types import ModelIdentity, SynthesisRequest, SynthesisResult

__all__ = ["RESPAWN", "ChildEngine", "remote_engine"]

RESPAWN: Final = RetryPolicy(first_s=1.0, factor=2.0, max_s=30.0, attempts=sys.maxsize)
"""Wait before the process is started again after it broke down so often in a row: a broken
installation must not use up the attempts of every job in a moment."""

Reply = TypeVar("Reply", messages.Loaded, messages.Done, messages.Pong)

_BEAT_S: Final = 10.0
"""Within which a process that has nothing to do must answer."""

_STOPPED: Final = "the engine was stopped with the node"

_log = structlog.get_logger(__name__)


class ChildEngine:
    """An `Engine` in a child process, started when first needed, or before by `warm_up`.

    Safe to call from several threads; they wait for each other. `close` may be called at any time.
    """

    def __init__(
        self,
        models: Mapping[str, str],
        device: str,
        *,
        threads: int | None = None,
        load_deadline_s: float = 300.0,
        respawn: RetryPolicy = RESPAWN,
        module: str = "dicom_node.engine.worker",
        arguments: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the configuration; nothing starts here.

        Args:
            models: Checkpoint file by name of model.
            device: Of torch, or ``auto``.
            threads: Of the CPU that it may use; None leaves that to the environment.
            load_deadline_s: For a model to be ready when warming up.
            respawn: Wait after so many breakdowns in a row.
            module: What the process runs.
            arguments: Of the process; None for the models and the device.
            environment: Variables it gets besides those of this process.
            clock: Monotonic seconds.
        """
        self._models = dict(models)
        # -P keeps the current folder out of the module path: a stray file there must not be run.
        self._command = [sys.executable, "-P", "-m", module]
        self._device = device
        self._arguments = arguments
        self._environment = {**os.environ, **(environment or {})}
        if threads is not None:
            self._environment["OMP_NUM_THREADS"] = str(threads)
        self._load_deadline_s = load_deadline_s
        self._respawn = respawn
        self._clock = clock
        self._turn = threading.Lock()  # one exchange at a time
        self._closing = threading.Event()
        self._child: Child | None = None
        self._child_models: dict[str, str] = {}
        self._breakdowns = 0
        self._start_at = 0.0
        self._starts = 0

    @property
    def starts(self) -> int:
        """How often the process was started."""
        return self._starts

    @property
    def alive(self) -> bool:
        """Whether the process runs now."""
        child = self._child
        return child is not None and child.alive

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        child = self._child
        return child.pid if child is not None and child.alive else None

    def warm_up(self) -> threading.Thread:
        """Start the process and load every model in the background; failures are only logged."""
        thread = threading.Thread(target=self._load_all, name="engine-warm-up", daemon=True)
        thread.start()
        return thread

    def use(self, models: Mapping[str, str]) -> None:
        """Have other models from the next exchange on. What runs is finished with those it has.

        Args:
            models: Checkpoint file by name of model.
        """
        self._models = dict(models)

    def load(self, model: str, *, deadline_s: float) -> ModelIdentity:
        """Have a model ready.

        Raises:
            EngineDownError: It crashed, ran out of memory or missed the deadline.
            EngineInputError: The model cannot be loaded.
        """
        with self._my_turn(deadline_s) as until:
            message = messages.Load(model=model)
            return self._ask(message, messages.Loaded, until, blame=EngineDownError).identity

    def synthesize(
        self, model: str, request: SynthesisRequest, *, deadline_s: float
    ) -> SynthesisResult:
        """Run one request on a configured model; the deadline includes starting and loading.

        Raises:
            EngineDownError: It did so before it had the request.
            EngineError: It crashed, ran out of memory or missed the deadline.
            EngineInputError: It answered that this request cannot be done.
        """
        message = messages.Synthesize(model=model, request=request)
        with self._my_turn(deadline_s) as until:
            # What breaks it before it has the request is not the request's fault. A model that is
            # ready answers at once.
            ready = messages.Load(model=model)
            self._ask(ready, messages.Loaded, until, blame=EngineDownError)
            result = self._ask(message, messages.Done, until, blame=EngineError).result
            self._breakdowns = 0
            return result

    def heartbeat(self) -> bool:
        """Whether the process answers, or works on what has a deadline of its own. Never starts it.

        One that runs, has nothing to do and does not answer is ended.
        """
        if not self._turn.acquire(blocking=False):
            return self.alive or self._breakdowns == 0
        try:
            if not self.alive:
                return False
            until = self._clock() + _BEAT_S
            self._ask(messages.Ping(), messages.Pong, until, blame=EngineDownError)
        except EngineError:
            return False
        finally:
            self._turn.release()
        return True

    def close(self) -> None:
        """Stop the process, also in the middle of a request, which then fails. Idempotent."""
        self._closing.set()
        child = self._child
        if child is not None:
            child.kill()

    def _load_all(self) -> None:
        for model in dict(self._models):
            try:
                identity = self.load(model, deadline_s=self._load_deadline_s)
            except NodeError as error:
                if not self._closing.is_set():
                    _log.error("a model could not be loaded", model=model, reason=str(error))
            else:
                _log.info(
                    "a model is loaded", model=model, name=identity.name, version=identity.version
                )

    @contextlib.contextmanager
    def _my_turn(self, deadline_s: float) -> Iterator[float]:
        """Have the process to oneself; until when."""
        until = self._clock() + deadline_s
        if not self._turn.acquire(timeout=deadline_s):
            raise EngineDownError(f"the engine was busy with another request for {deadline_s:g} s")
        try:
            yield until
        finally:
            self._turn.release()

    def _ask(
        self,
        message: messages.Message,
        wanted: type[Reply],
        until: float,
        *,
        blame: type[EngineError],
    ) -> Reply:
        child = self._running(until)
        try:
            reply = child.exchange(message, deadline_s=max(0.0, until - self._clock()))
        except ChildLostError as error:
            if self._closing.is_set():
                raise EngineError(_STOPPED) from None
            raise self._broken(str(error), blame, counts=not error.overdue) from None
        except SynthesisError as error:
            raise EngineInputError(f"the engine answered with no image: {error}") from error
        if isinstance(reply, messages.Failed):
            if reply.for_good:
                self._breakdowns = 0
                raise EngineInputError(reply.reason)
            raise self._broken(reply.reason, blame)
        if not isinstance(reply, wanted):
            raise self._broken("it answered another question", blame)
        return reply

    def _running(self, until: float) -> Child:
        """The process, started if need be, after the wait that its last breakdowns call for."""
        models = self._models
        if self._child is not None and self._child.alive:
            if models == self._child_models:
                return self._child
            self._child.kill()
            _log.info("the engine process makes room for one with other models")
        wait_s = self._start_at - self._clock()
        if wait_s > 0:
            if wait_s > until - self._clock():
                raise EngineDownError(
                    f"the engine broke down {self._breakdowns} times in a row and rests"
                )
            self._closing.wait(wait_s)
        if not self._closing.is_set():
            try:
                given = self._arguments
                if given is None:
                    given = [json.dumps(models), self._device]
                child = Child([*self._command, *given], self._environment)
                self._child, self._child_models = child, models
            except OSError as error:
                reason = f"it cannot be started: {error.strerror}"
                raise self._broken(reason, EngineDownError) from error
            self._starts += 1
            _log.info("the engine process has started", pid=self._child.pid)
        if self._closing.is_set():  # also when `close` came while it was being started
            self.close()
            raise EngineError(_STOPPED)
        assert self._child is not None
        return self._child

    def _broken(self, reason: str, blame: type[EngineError], *, counts: bool = True) -> EngineError:
        """Take leave of the process; when it is to blame, its next start waits."""
        if self._child is not None:
            self._child.kill()
        if counts:
            self._breakdowns += 1
            wait_s = self._respawn.delay_s(self._breakdowns) or 0.0
            self._start_at = self._clock() + wait_s
        _log.warning("the engine process is gone", reason=reason, in_a_row=self._breakdowns)
        return blame(f"the engine broke down: {reason}")


def remote_engine(models: Mapping[str, str], address: str, secret: str) -> ChildEngine:
    """One on another machine: the process here only passes on what is said.

    Args:
        models: By name; their files are those of the other machine.
        address: Its host and port, with a colon between.
        secret: That it must know too.
    """
    host, _, port = address.rpartition(":")
    return ChildEngine(
        models,
        "",
        module="dicom_node.engine.relay",
        arguments=[host, port],
        environment={SECRET_VARIABLE: secret},
    )
