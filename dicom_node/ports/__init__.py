"""What the services need from the outside world: files, rows, the engine, peers, time.

Each port has a real implementation in ``store``, ``network`` or ``engine``, a fake in
``tests/fakes``, and one contract suite that both must pass.
"""

from __future__ import annotations

from collections.abc import Callable

from dicom_node.ports.accounts import AccountStore
from dicom_node.ports.archives import Archive, FoundSeries, FoundStudy, Retrieved, StudyQuery
from dicom_node.ports.console import ConsoleLedger
from dicom_node.ports.engine import Engine
from dicom_node.ports.fetches import FetchLedger
from dicom_node.ports.figures import FigureLedger, Queues
from dicom_node.ports.files import Spool, SpooledFile
from dicom_node.ports.ledger import CommitmentLedger, Ledger, NodeLedger, VersionLedger
from dicom_node.ports.peers import CommitmentClient, ReportClient, StoreClient
from dicom_node.ports.receiving import DemandReceiver, Receipt, ReceivedObject, Receiver
from dicom_node.ports.rows import (
    Chosen,
    DecidedAs,
    DecisionRow,
    Deed,
    DeliveryRow,
    ImageRow,
    JobRow,
    Kind,
    NewImage,
    NewJob,
    NewVersion,
    Product,
    Version,
)

__all__ = [
    "AccountStore",
    "Archive",
    "Chosen",
    "Clock",
    "CommitmentClient",
    "CommitmentLedger",
    "ConsoleLedger",
    "DecidedAs",
    "DecisionRow",
    "Deed",
    "DeliveryRow",
    "DemandReceiver",
    "Engine",
    "FetchLedger",
    "FigureLedger",
    "FoundSeries",
    "FoundStudy",
    "ImageRow",
    "JobRow",
    "Kind",
    "Ledger",
    "NewImage",
    "NewJob",
    "NewVersion",
    "NodeLedger",
    "Product",
    "Queues",
    "Receipt",
    "ReceivedObject",
    "Receiver",
    "ReportClient",
    "Retrieved",
    "Spool",
    "SpooledFile",
    "StoreClient",
    "StudyQuery",
    "Version",
    "VersionLedger",
]

Clock = Callable[[], float]
"""Unix seconds now."""
