"""Ports that count: each hands everything on to another one of its kind."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.domain.errors import (
    EngineDownError,
    NodeError,
    PeerError,
    RefusedError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dicom_node.domain.commitments import Commitment, Heard, Report
    from dicom_node.domain.deliveries import DerivedInstance, Outcome
    from dicom_node.domain.routes import Destination
    from dicom_node.monitoring.metrics import Metrics
    from dicom_node.ports import (
        CommitmentClient,
        Engine,
        Receipt,
        ReceivedObject,
        Receiver,
        StoreClient,
    )
    from synthesis.types import SynthesisRequest, SynthesisResult

__all__ = ["MeteredCommitment", "MeteredEngine", "MeteredReceiver", "MeteredStoreClient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredReceiver:
    """A `ports.Receiver`."""

    receiver: Receiver
    metrics: Metrics

    def receive(self, received: ReceivedObject) -> Receipt:
        """See `ports.Receiver.receive`."""
        outcome = "failed"
        try:
            receipt = self.receiver.receive(received)
            outcome = receipt.value
        except NodeError:
            outcome = "refused"
            raise
        finally:
            self.metrics.received.labels(outcome).inc()
        return receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredEngine:
    """A `ports.Engine`."""

    engine: Engine
    metrics: Metrics

    def synthesize(
        self, model: str, request: SynthesisRequest, *, deadline_s: float
    ) -> SynthesisResult:
        """See `ports.Engine.synthesize`."""
        began, outcome = time.monotonic(), "failed"
        try:
            result = self.engine.synthesize(model, request, deadline_s=deadline_s)
            outcome = "done"
        except EngineDownError:
            outcome = "down"
            raise
        except NodeError as error:
            outcome = error.disposition.value
            raise
        finally:
            self.metrics.syntheses.labels(model, outcome).inc()
        self.metrics.synthesis_seconds.labels(model).observe(time.monotonic() - began)
        self.metrics.views.labels(model).inc(len(result.images))
        self.metrics.evaluations.labels(model).inc(
            len(result.images) * request.samples * result.steps
        )
        return result

    def close(self) -> None:
        """See `ports.Engine.close`."""
        self.engine.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredStoreClient:
    """A `ports.StoreClient`."""

    client: StoreClient
    metrics: Metrics

    def send(
        self,
        destination: Destination,
        instances: Sequence[tuple[DerivedInstance, Path]],
        on_outcome: Callable[[DerivedInstance, Outcome, int], None],
    ) -> None:
        """See `ports.StoreClient.send`."""

        def heard(instance: DerivedInstance, outcome: Outcome, status: int) -> None:
            self.metrics.instances_sent.labels(destination.name, outcome.value).inc()
            on_outcome(instance, outcome, status)

        ended = "failed"
        try:
            self.client.send(destination, instances, heard)
            ended = "answered"
        except UnreachableError:
            ended = "unreachable"
            raise
        except RefusedError:
            ended = "refused"
            raise
        finally:
            self.metrics.sends.labels(destination.name, ended).inc()
            self._reached(destination, ended != "unreachable")

    def release(self, destination: Destination) -> None:
        """See `ports.StoreClient.release`."""
        self.client.release(destination)

    def echo(self, destination: Destination) -> float:
        """See `ports.StoreClient.echo`."""
        try:
            seconds = self.client.echo(destination)
        except PeerError:
            self._reached(destination, False)
            raise
        self._reached(destination, True)
        return seconds

    def _reached(self, destination: Destination, up: bool) -> None:
        self.metrics.destination_up.labels(destination.name).set(up)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredCommitment:
    """A `ports.CommitmentClient`."""

    client: CommitmentClient
    metrics: Metrics

    def ask(
        self,
        destination: Destination,
        commitment: Commitment,
        on_report: Callable[[Report], Heard],
    ) -> None:
        """See `ports.CommitmentClient.ask`."""
        outcome = "failed"
        try:
            self.client.ask(destination, commitment, on_report)
            outcome = "asked"
        except RefusedError:
            outcome = "unsupported"
            raise
        finally:
            self.metrics.commitments.labels(destination.name, outcome).inc()
