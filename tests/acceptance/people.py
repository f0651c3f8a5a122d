"""Those who use the console of a real node."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from dicom_node.console.security.credentials import digest_of_token, new_token
from dicom_node.settings import load
from dicom_node.store.ledger import open_ledger
from tests.console.conftest import HASH

if TYPE_CHECKING:
    from dicom_node.domain.accounts import Role
    from tests.acceptance.harness import Node


def account(node: Node, name: str, role: Role) -> str:
    """Somebody who logs in with the password of the tests; a token for programs of theirs."""
    with closing(open_ledger(load(node.config).database_url())) as ledger:
        accounts, text = ledger.accounts(), new_token()
        made = accounts.add_account(name, role, password_hash=HASH, now=0.0)
        accounts.add_token(
            made.id,
            name="script",
            role=role,
            token_digest=digest_of_token(text),
            now=0.0,
            expires_at=None,
        )
    return text
