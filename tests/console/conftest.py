"""A console over a real ledger and spool, asked without a network, its clock moved by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from dicom_node.console.app import create_app
from dicom_node.console.parts import Parts
from dicom_node.console.security.credentials import hash_password
from dicom_node.domain.accounts import Role
from dicom_node.domain.console import Access, NodeFacts
from dicom_node.domain.routes import Destination, Sweep, ViewPlan
from dicom_node.services.fetching import Fetching
from dicom_node.services.ordering import Ordering
from dicom_node.services.queueing import FetchQueue
from dicom_node.store.spool import FileSpool
from tests.fakes.clock import ManualClock
from tests.fakes.database import fresh_ledger
from tests.fakes.radiographs import received
from tests.services.node import PACS, Node, route

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from httpx import Response

    from dicom_node.audit.messages import AuditMessage
    from dicom_node.ports import Archive
    from dicom_node.store.ledger import SqlLedger

PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD)
FACTS = NodeFacts(
    ae_title="SYNTH",
    version="1",
    destinations=(
        PACS,
        Destination(name="mirror", ae_title="MIRROR", host="127.0.0.1", port=4243),
    ),
    routes=(route(),),
    view_sets=(ViewPlan(name="wide", sweep=Sweep(from_deg=-90, to_deg=90, step_deg=90)),),
)


class Browser(TestClient):
    """A browser that keeps cookies and sends forms as the console's pages do."""

    def csrf(self) -> str:
        text = self.get("/").text
        return text.partition('name="csrf" value="')[2].partition('"')[0]

    def log_in(self, name: str, password: str = PASSWORD, next_path: str = "/") -> Response:
        form = self.get("/login").text
        before = form.partition('name="before" value="')[2].partition('"')[0]
        data = {"name": name, "password": password, "before": before, "next": next_path}
        return self.post("/login", data=data)

    def submit(self, path: str, **fields: Any) -> Response:
        return self.post(path, data={"csrf": self.csrf(), **fields})


@dataclass(kw_only=True)
class Bench:
    """A console and all it was given."""

    ledger: SqlLedger
    spool: FileSpool
    clock: ManualClock
    access: Access = field(default_factory=Access)
    facts: NodeFacts = FACTS
    audited: list[AuditMessage] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    _app: Any = None
    _node: Node | None = None

    @property
    def orders(self) -> Ordering:
        return Ordering(
            ledger=self.ledger.console(),
            spool=self.spool,
            clock=self.clock,
            view_sets=lambda: {each.name: each for each in self.facts.view_sets},
            destinations=lambda: {each.name: each for each in self.facts.destinations},
            wake=lambda: None,
        )

    @property
    def node(self) -> Node:
        """The services that fill the ledger."""
        if self._node is None:
            self._node = Node(ledger=self.ledger, spool=self.spool, clock=self.clock)
        return self._node

    def fetches(self, archive: Archive) -> FetchQueue:
        """A queue that asks an archive, in whatever name."""
        return FetchQueue(
            fetching=Fetching(archive=archive, receiver=self.node.receiving),
            ledger=self.ledger,
            archives=lambda: {each.name: each for each in self.facts.destinations},
            clock=self.clock,
        )

    def receive(self, number: int = 1, **changes: Any) -> None:
        self.node.receiving.receive(received(number, **changes))

    def done(self, number: int = 1, **changes: Any) -> str:
        """Key of a job that was made of a radiograph and sent."""
        self.receive(number, **changes)
        self.node.run_to_rest()
        return self.ledger.jobs()[0].job.key

    @property
    def parts(self) -> Parts:
        return Parts(
            read_facts=lambda: self.facts,
            access=self.access,
            ledger=self.ledger,
            found=self.ledger.console(),
            orders=self.orders,
            accounts=self.ledger.accounts(),
            spool=self.spool,
            clock=self.clock,
            record=self.audited.append,
            **self.more,
        )

    @property
    def app(self) -> Any:
        if self._app is None:
            self._app = create_app(self.parts)
        return self._app

    def browser(self, name: str = "", role: Role = Role.VIEWER) -> Browser:
        """A browser; with a name, somebody of that role is logged in in it."""
        base = f"http://console.test{self.access.root_path}"
        made = Browser(self.app, base_url=base, follow_redirects=False)
        made.raise_server_exceptions = False
        if name:
            if self.ledger.accounts().account(name) is None:
                self.ledger.accounts().add_account(name, role, password_hash=HASH, now=self.clock())
            assert made.log_in(name).status_code == 303
        return made


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = ManualClock()
    ledger = fresh_ledger(tmp_path)
    yield Bench(ledger=ledger, spool=FileSpool(tmp_path / "spool", clock=clock), clock=clock)
    ledger.close()


@pytest.fixture
def viewer(bench: Bench) -> Browser:
    return bench.browser("vera", Role.VIEWER)


@pytest.fixture
def operator(bench: Bench) -> Browser:
    return bench.browser("otto", Role.OPERATOR)


@pytest.fixture
def admin(bench: Bench) -> Browser:
    return bench.browser("ada", Role.ADMIN)
