"""A destination that keeps what it is sent, and misbehaves on demand."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from dicom_node.domain.deliveries import Outcome
from dicom_node.domain.errors import PeerError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dicom_node.domain.deliveries import DerivedInstance
    from dicom_node.domain.routes import Destination


class FakeArchive:
    """A `ports.StoreClient` and the archive behind it.

    Attributes:
        stored: SOP Instance UID -> digests it was sent with, in order.
        down: No association is accepted.
        answers: Index of an instance -> (outcome, status) to give instead of success, once each.
        breaks_after: The association breaks after that many instances, once.
        silent: Indexes of instances that are passed over without an answer, once each.
        refuses: Raised by the next send.
        attempts: Indexes of the instances of each send.
        releases: How often an association was let go.
    """

    def __init__(self) -> None:
        self.stored: dict[str, list[str]] = defaultdict(list)
        self.down = False
        self.answers: dict[int, tuple[Outcome, int]] = {}
        self.breaks_after: int | None = None
        self.silent: set[int] = set()
        self.refuses: Exception | None = None
        self.attempts: list[list[int]] = []
        self.releases = 0
        self.before_answer: Callable[[DerivedInstance], None] = lambda instance: None

    def send(
        self,
        destination: Destination,
        instances: Sequence[tuple[DerivedInstance, Path]],
        on_outcome: Callable[[DerivedInstance, Outcome, int], None],
    ) -> None:
        self.attempts.append([instance.index for instance, _ in instances])
        if self.down:
            raise UnreachableError(f"{destination.name} does not answer")
        if self.refuses is not None:
            error, self.refuses = self.refuses, None
            raise error
        for count, (instance, path) in enumerate(instances):
            if count == self.breaks_after:
                self.breaks_after = None
                raise PeerError("the association broke")
            if instance.index in self.silent:
                self.silent.remove(instance.index)
                continue
            outcome, status = self.answers.pop(instance.index, (Outcome.STORED, 0x0000))
            if outcome is Outcome.STORED:
                self.stored[instance.sop_instance_uid].append(path.stem)
            self.before_answer(instance)
            on_outcome(instance, outcome, status)

    def release(self, destination: Destination) -> None:
        self.releases += 1

    def echo(self, destination: Destination) -> float:
        if self.down:
            raise PeerError(f"{destination.name} does not answer")
        return 0.001
