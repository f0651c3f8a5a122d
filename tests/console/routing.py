"""A console before a node that has a configuration file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dicom_node.console.security.credentials import digest_of_token, new_token
from dicom_node.console.security.guard import API as PREFIX
from dicom_node.domain.accounts import Role
from synthesis.digest import weights_digest
from tests.console.conftest import HASH, Bench
from tests.fakes.engine import FakeEngine
from tests.fakes.radiographs import received
from tests.rulebook.site import Site, a_site

if TYPE_CHECKING:
    from pathlib import Path

    from httpx import Response


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


class Program:
    """Asks with a token of a role."""

    def __init__(self, desk: Desk, role: Role) -> None:
        accounts, now = desk.bench.ledger.accounts(), desk.bench.clock()
        owner = accounts.account("owner") or accounts.add_account(
            "owner", Role.ADMIN, password_hash=HASH, now=now
        )
        text = new_token()
        accounts.add_token(
            owner.id,
            name="script",
            role=role,
            token_digest=digest_of_token(text),
            now=now,
            expires_at=now + 3600,
        )
        self._browser = desk.bench.browser()
        self._headers = {"Authorization": f"Bearer {text}"}

    def __call__(self, method: str, path: str, **more: Any) -> Response:
        return self._browser.request(method, PREFIX + path, headers=self._headers, **more)


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
