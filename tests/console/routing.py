"""A console before a node that has a configuration file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synthesis.digest import weights_digest
from tests.console.conftest import Bench
from tests.fakes.engine import FakeEngine
from tests.fakes.radiographs import received
from tests.rulebook.site import Site, a_site

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(kw_only=True)
class Desk:
    """A site with a console before it."""

    site: Site
    bench: Bench

    @property
    def base(self) -> str:
        """Digest of the file's text as it is now."""
        return self.site.book.open().digest

    def receive(self, number: int, **changes: object) -> None:
        self.site.node.scp.taking.receiver.receive(received(number, **changes))


@contextlib.contextmanager
def a_desk(folder: Path) -> Iterator[Desk]:
    (folder / "weights").write_bytes(b"abc")
    engine = FakeEngine(weights=weights_digest(folder / "weights"))
    with a_site(folder, engines=[engine]) as site:
        ledger: Any = site.node.ledger
        spool: Any = site.node.spool
        bench = Bench(ledger=ledger, spool=spool, clock=site.clock)
        bench.more["desk"] = site.node.desk
        yield Desk(site=site, bench=bench)
