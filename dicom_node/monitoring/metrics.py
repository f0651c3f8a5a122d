"""The figures, in a registry of their own.

Labels hold names of the configuration and words of this code, never anything that a peer sent, so
there are only so many of them and none is about a patient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from dicom_node import __version__
from dicom_node.ports import DecidedAs

if TYPE_CHECKING:
    from dicom_node.ports import DecisionRow

__all__ = ["NAMESPACE", "Metrics", "reason_class"]

NAMESPACE: Final = "dicom_node"

_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0, 1800.0)

_REASONS: Final = (
    ("guard: ", "guard"),
    ("no route", "no_route"),
    ("rule failed", "rule"),
    ("cannot be read", "unreadable"),
)
"""Beginning of a decision's reason -> its class."""


def reason_class(decision: DecisionRow) -> str:
    """Why an image was decided as it was, in one of a few words."""
    if decision.decided_as is DecidedAs.ACCEPT:
        return "route"
    for beginning, word in _REASONS:
        if decision.reason.startswith(beginning):
            return word
    return "image"


class Metrics:
    """What happens in this process is counted here as it happens. Safe to use from many threads.

    Attributes:
        registry: All of it.
        received: Images by what became of them.
        web_requests: Of peers that store by HTTP, by status of the answer.
        decided: Images by route, decision and class of reason.
        synthesis_seconds: Wall time of a synthesis, by model.
        syntheses: By model and outcome.
        views: Made, by model.
        evaluations: Of the network, by model.
        instances_sent: Instances answered by a destination, by outcome.
        sends: Attempts to deliver, by destination and outcome.
        destination_up: 1 when the last attempt reached a destination, else 0.
        commitments: Requests for storage commitment, by destination and outcome.
        reports: Reports on it that came, by what they changed.
        fetches: Studies fetched from an archive, by outcome.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        build = self._gauge("build_info", "Version of the node; always 1.", "version")
        build.labels(__version__).set(1)
        self.received = self._counter(
            "images_received", "Images offered by peers, by what became of them.", "outcome"
        )
        self.web_requests = self._counter(
            "dicomweb_requests", "Requests to store by HTTP, by status of the answer.", "status"
        )
        self.decided = self._counter(
            "images_decided",
            "Images decided about, by route and class of reason.",
            "route",
            "decision",
            "reason",
        )
        self.synthesis_seconds = Histogram(
            "synthesis_seconds",
            "Wall time of a synthesis that gave views.",
            ("model",),
            namespace=NAMESPACE,
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.syntheses = self._counter(
            "syntheses", "Syntheses that ended, by outcome.", "model", "outcome"
        )
        self.views = self._counter("views", "Views made.", "model")
        self.evaluations = self._counter(
            "network_evaluations", "Evaluations of a view by the network.", "model"
        )
        self.instances_sent = self._counter(
            "instances_sent", "Instances answered by a destination.", "destination", "outcome"
        )
        self.sends = self._counter(
            "sends", "Attempts to deliver, by how they ended.", "destination", "outcome"
        )
        self.destination_up = self._gauge(
            "destination_up", "Whether the last attempt reached the destination.", "destination"
        )
        self.commitments = self._counter(
            "commitments", "Requests for storage commitment.", "destination", "outcome"
        )
        self.reports = self._counter(
            "commitment_reports", "Reports on storage commitment, by what they changed.", "outcome"
        )
        self.fetches = self._counter("fetches", "Studies fetched from an archive.", "outcome")
        ProcessCollector(namespace=NAMESPACE, registry=self.registry)

    def decision(self, decision: DecisionRow) -> None:
        """Count a decision."""
        self.decided.labels(
            decision.route or "none", decision.decided_as.value, reason_class(decision)
        ).inc()

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, namespace=NAMESPACE, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(name, help_text, labels, namespace=NAMESPACE, registry=self.registry)
