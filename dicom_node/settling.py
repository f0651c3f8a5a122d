"""Releasing and cancelling from the command line, beside the running node."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dicom_node.domain.errors import ConfigurationError
from dicom_node.ports import Deed, Kind
from dicom_node.store.ledger import open_ledger, read_ledger

if TYPE_CHECKING:
    from dicom_node.ports import Chosen

__all__ = ["settle"]

_DONE: Final = {Deed.RELEASE: "released", Deed.CANCEL: "cancelled"}


def settle(url: str, kind: Kind, deed: Deed, chosen: Chosen, now: float) -> str:
    """Release or cancel work in the ledger at a URL; what was done, in words.

    Of a job that is done, its quarantined deliveries are meant.

    Raises:
        ConfigurationError: There is no ledger, or nothing in it that is meant.
        IntegrityError: The one named is in no state for it.
    """
    with closing(
        read_ledger(url)
    ) as looker:  # first, so that no ledger is made where there is none
        parts = [(kind, chosen)]
        if kind is Kind.DELIVERIES and chosen.name and not chosen.name.isdecimal():
            raise ConfigurationError(f"a delivery has a number, not {chosen.name!r}")
        if kind is Kind.JOBS and chosen.name:
            row = looker.job(chosen.name)
            if row is None:
                raise ConfigurationError(
                    f"no job, or more than one, has a key that begins with {chosen.name!r}"
                )
            stuck = [
                each.delivery for each in row.deliveries if each.delivery.state == "quarantined"
            ]
            parts = [(Kind.DELIVERIES, replace(chosen, name=str(each.id))) for each in stuck]
            if not stuck:
                parts = [(kind, replace(chosen, name=row.job.key))]
    with closing(open_ledger(url)) as ledger:
        count = sum(ledger.settle(kind, deed, each, now) for kind, each in parts)
    if not count:
        what = f"{kind.value} {chosen.name!r}" if chosen.name else f"{kind.value}"
        raise ConfigurationError(f"there are no {what} in quarantine that this describes")
    kind = parts[0][0]
    noun = kind.value if count > 1 else {"deliveries": "delivery"}.get(kind, kind.value[:-1])
    return f"{count} {noun} {_DONE[deed]}."
