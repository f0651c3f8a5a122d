"""Logging of the node's process: JSON lines on standard output, nothing about patients in them."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

import structlog
from pynetdicom.dul import DULServiceProvider

from dicom_node.domain.errors import describe

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from types import TracebackType
    from typing import Any, TextIO

    from structlog.typing import WrappedLogger

__all__ = ["LEVEL_VARIABLE", "LIBRARY_EVENT", "configure"]

LEVEL_VARIABLE: Final = "DICOM_NODE_LOG_LEVEL"
"""Environment variable with the level: debug (UIDs appear), info (default), warning, error."""

LIBRARY_EVENT: Final = "a library tells of trouble"
"""Event of every line that is not ours, always at WARNING: what it is to the node, the node says
itself. The library's words stand beside it."""

_OURS: Final = ("dicom_node", "synthesis")
"""Loggers that follow the level asked for."""

_SILENT: Final = "pydicom"
"""A library that quotes the values it complains about."""

_FRAMES: Final = 12


def configure(stream: TextIO | None = None, *, level: str | None = None) -> None:
    """Send everything that is logged in this process to one stream, a JSON object a line.

    Args:
        stream: Left out, standard output.
        level: Left out, that of the environment.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _libraries_under_one_event,
        _errors_without_text,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    wanted = (level or os.environ.get(LEVEL_VARIABLE) or "info").upper()
    for name in _OURS:
        logging.getLogger(name).setLevel(wanted)
    # What libraries tell of their work quotes what they work on: httpx the address it asks, where
    # a query names a patient. Only what troubles them is let through, whatever level is asked for.
    root.setLevel(max(logging.WARNING, logging.getLogger(_OURS[0]).level))
    logging.getLogger(_SILENT).setLevel(logging.CRITICAL)
    # Warnings of pydicom quote the value they are about, and they go to standard error.
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom|highdicom)(\.|$)")
    threading.excepthook = _log_dead_thread
    sys.excepthook = _log_crash


def _libraries_under_one_event(
    logger: WrappedLogger, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A caller that hangs up is an error to pynetdicom and everyday life to a node; and whoever
    reads the log finds every event in the runbook.
    """
    if event.get("_from_structlog") is False:
        # With an exception, the sentence may be the exception's text, which may quote a data set.
        if not event.get("exc_info"):
            event["told"] = event["event"]
        event["event"], event["level"] = LIBRARY_EVENT, "warning"
    return event


def _errors_without_text(
    logger: WrappedLogger, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """An exception becomes what it is and where it came from: its text may quote a data set."""
    error = _exception(event.pop("exc_info", None))
    if error is not None:
        event["error"] = describe(error)
        event["trace"] = _places(error)
    return event


def _exception(info: object) -> BaseException | None:
    if isinstance(info, BaseException):
        return info
    if isinstance(info, tuple):
        return info[1] if isinstance(info[1], BaseException) else None
    return sys.exc_info()[1] if info else None


def _places(error: BaseException) -> list[str]:
    places, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{PurePath(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places[-_FRAMES:]


def _log_dead_thread(arguments: threading.ExceptHookArgs) -> None:
    if isinstance(arguments.thread, DULServiceProvider) and arguments.exc_value is not None:
        # How pynetdicom's upper layer ends when a caller says what PS3.8 has no place for; its
        # association ends with it.
        structlog.get_logger(__name__).warning(
            "a caller broke the protocol, and its association is ended",
            reason=describe(arguments.exc_value),
        )
        return
    structlog.get_logger(__name__).error(
        "a thread died",
        thread=arguments.thread.name if arguments.thread is not None else "",
        exc_info=arguments.exc_value,
    )


def _log_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger(__name__).error("the process crashed", exc_info=error)
