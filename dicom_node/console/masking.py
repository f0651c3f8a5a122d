"""Identifiers of patients: who sees them as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.console.filters import mask
from dicom_node.domain.accounts import Role

if TYPE_CHECKING:
    from dicom_node.domain.accounts import Identity
    from dicom_node.domain.console import Access

__all__ = ["may_see_patients", "shown"]


def may_see_patients(identity: Identity, access: Access) -> bool:
    """Operators and admins may; viewers where it is configured."""
    return access.viewers_see_patients or identity.role.allows(Role.OPERATOR)


def shown(text: str, identity: Identity, access: Access) -> str:
    """An identifier of a patient as somebody may see it."""
    return text if may_see_patients(identity, access) else mask(text)
