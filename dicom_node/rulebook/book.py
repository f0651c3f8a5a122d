"""The rules of a running node and the file they come from, kept together."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from dicom_node.domain.errors import ConfigurationError
from dicom_node.rulebook import file
from dicom_node.rulebook.applying import FROM_FILE, waits_for_restart
from dicom_node.rulebook.merging import Merge, merge
from dicom_node.settings import load_text, problems_in, text_digest
from dicom_node.settings.document import read_text
from dicom_node.settings.problems import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.ports import Version
    from dicom_node.rulebook.applying import Applying
    from dicom_node.settings import Settings

__all__ = ["Conflict", "Invalid", "Opened", "Rulebook", "State", "Written"]

_QUIET_S: Final = 0.5
"""A file is read once it was left alone for so long: editors may write it in several pieces."""

_READ_ANYWAY_S: Final = 60.0
"""A file is read again after so long though its stamp is the same."""

_KNOWN_TEXTS: Final = 64

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How file and node stand to each other.

    Attributes:
        version: Number of the version in force; None when none was written down.
        digest: Of its text.
        since: Unix seconds from which it is in force.
        file_digest: Of the file's text when it was last read.
        problems: Why the file as it is now cannot be used; empty when it is in force.
        restart: Keys that the file changed and that wait for a restart.
    """

    version: int | None
    digest: str
    since: float
    file_digest: str
    problems: tuple[Problem, ...] = ()
    restart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The file's text as it is now, to be edited; its digest goes back into `Rulebook.write`."""

    text: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The file was written and is in force as this version."""

    version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """Nothing was written: the text is no configuration, or one that cannot be used here."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Nothing was written: somebody else changed the file meanwhile.

    Attributes:
        base: What was edited; empty when nobody remembers it.
        ours: What was to be written.
        theirs: What the file says now.
        digest: Of the file's text now.
        merged: Both changes put together; None without a base.
        problems: Of the merged text; it can be used when there are none, and no clashes.
    """

    base: str
    ours: str
    theirs: str
    digest: str
    merged: Merge | None
    problems: tuple[Problem, ...] = ()


class Rulebook:
    """Watches the file, writes it, and puts it in force. Safe to use from many threads.

    Args:
        settings: The node was started with, read from a file.
        applying: Changes the running node.
        version: Number of the version it was started with.
    """

    def __init__(self, settings: Settings, applying: Applying, *, version: int | None) -> None:
        origin = settings.origin
        assert origin is not None
        self._path = origin.path
        self._applying = applying
        self._settings = settings
        self._lock = threading.RLock()
        self._state = State(
            version=version,
            digest=origin.digest,
            since=applying.clock(),
            file_digest=origin.digest,
        )
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._remember(origin.text)
        self._judged: file.Stamp | None = None
        self._seen: tuple[file.Stamp | None, float] | None = None
        self._judged_at = 0.0

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._path

    @property
    def settings(self) -> Settings:
        """In force: what the node was started with, and the hot sections as they are now."""
        return self._settings

    @property
    def state(self) -> State:
        """How file and node stand to each other."""
        return self._state

    @property
    def wanted(self) -> Settings | None:
        """What the file says now; None when it cannot be used."""
        try:
            return load_text(self.open().text, self._path)
        except ConfigurationError:
            return None

    def run_once(self, now: float) -> bool:
        """Look at the file, and put it in force when it changed; whether anything was done.

        A file that cannot be used leaves the rules as they are, and is told of once.

        Raises:
            CapacityError: The ledger cannot be written; the next look tries again.
        """
        with self._lock:
            found = file.stamp(self._path)
            overdue = not 0.0 <= now - self._judged_at < _READ_ANYWAY_S
            if found == self._judged and found is not None and not overdue:
                return False
            if self._seen is None or self._seen[0] != found:
                self._seen = (found, now)
                return False
            if 0.0 <= now - self._seen[1] < _QUIET_S:
                return False
            changed = self._judge(FROM_FILE, "")
            self._judged, self._judged_at = found, now
            return changed

    def open(self) -> Opened:
        """The file's text, to be edited.

        Raises:
            ConfigurationError: It cannot be read.
        """
        text = read_text(self._path)
        with self._lock:
            self._remember(text)
        return Opened(text=text, digest=text_digest(text))

    def problems(self, text: str) -> tuple[Problem, ...]:
        """Why a text could not be put in force now; empty when it could."""
        found = problems_in(text, self._path)
        if found:
            return found
        try:
            self._applying.check(load_text(text, self._path))
        except ConfigurationError as error:
            return _as_problems(error)
        return ()

    def write(
        self, text: str, *, base: str, author: str, comment: str = ""
    ) -> Written | Invalid | Conflict:
        """Replace the file's text and put it in force; what came of it.

        Args:
            text: All of it.
            base: Digest of the text that was edited.
            author: Who edits.
            comment: What for.

        Raises:
            ConfigurationError: The file cannot be read or written.
            CapacityError: It was written, but the ledger does not answer: it comes into force as
                soon as that does.
        """
        with self._lock:
            now = self.open()
            if now.digest != base:
                return self._conflict(text, base, now)
            problems = self.problems(text)
            if problems:
                return Invalid(problems=problems)
            file.replace(self._path, text)
            self._remember(text)
            self._judge(author, comment)
            self._judged, self._judged_at = file.stamp(self._path), self._applying.clock()
            return Written(version=self._state.version)

    def roll_back(
        self, version: Version, *, base: str, author: str, comment: str = ""
    ) -> Written | Invalid | Conflict:
        """Write the text of an older version, as a new version; as `write`."""
        said = comment or f"back to version {version.number}"
        return self.write(version.version.text, base=base, author=author, comment=said)

    def text_of(self, digest: str) -> str | None:
        """A text that was in the file or in force; None when nobody remembers it."""
        with self._lock:
            known = self._texts.get(digest)
        if known is not None:
            return known
        for version in self._applying.ledger.versions(limit=200):
            if version.version.digest == digest:
                return version.version.text
        return None

    def _conflict(self, ours: str, base: str, now: Opened) -> Conflict:
        before = self.text_of(base)
        merged = None if before is None else merge(before, ours, now.text)
        problems: tuple[Problem, ...] = ()
        if merged is not None and not merged.clashes:
            problems = self.problems(merged.text)
        return Conflict(
            base=before or "",
            ours=ours,
            theirs=now.text,
            digest=now.digest,
            merged=merged,
            problems=problems,
        )

    def _judge(self, author: str, comment: str) -> bool:
        """Put the file in force if it differs from what is; whether anything changed."""
        try:
            text = read_text(self._path)
        except ConfigurationError as error:
            return self._cannot_be_used("", _as_problems(error))
        self._remember(text)
        digest = text_digest(text)
        if digest == self._state.digest:
            return self._as_it_was(digest)
        located = problems_in(text, self._path)
        if located:
            return self._cannot_be_used(digest, located)
        wanted = load_text(text, self._path)
        try:
            prepared = self._applying.check(wanted)
        except ConfigurationError as error:
            return self._cannot_be_used(digest, _as_problems(error))
        version = self._applying.apply(prepared, author=author, comment=comment)
        restart = waits_for_restart(self._applying.running, wanted)
        self._settings = prepared.settings
        self._state = State(
            version=version,
            digest=digest,
            since=self._applying.clock(),
            file_digest=digest,
            restart=restart,
        )
        if restart:
            _log.warning("changed keys of the configuration wait for a restart", keys=list(restart))
        return True

    def _as_it_was(self, digest: str) -> bool:
        if not self._state.problems:
            return False
        self._state = replace(self._state, file_digest=digest, problems=())
        _log.info("the configuration file is again the one in force")
        return True

    def _cannot_be_used(self, digest: str, problems: tuple[Problem, ...]) -> bool:
        if problems == self._state.problems:
            return False
        self._state = replace(self._state, file_digest=digest, problems=problems)
        _log.warning(
            "the configuration file cannot be used; the rules in force stay",
            problems=[str(each) for each in problems[:10]],
            count=len(problems),
        )
        return True

    def _remember(self, text: str) -> None:
        self._texts[text_digest(text)] = text
        while len(self._texts) > _KNOWN_TEXTS:
            self._texts.popitem(last=False)


def _as_problems(error: ConfigurationError) -> tuple[Problem, ...]:
    return tuple(Problem(location=(), message=each) for each in error.problems)
