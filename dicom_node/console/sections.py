"""All parts of the console, in the order their routes are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dicom_node.console.access import api as access_api
from dicom_node.console.access import login, oidc, people, tokens
from dicom_node.console.api import routes as api
from dicom_node.console.jobs import actions, bulk, details, fetches, lists, pictures, quarantine
from dicom_node.console.partners import SECTIONS as PARTNERS
from dicom_node.console.routing import SECTIONS as ROUTING
from dicom_node.console.today import pages as today

if TYPE_CHECKING:
    from dicom_node.console.registry import Section

__all__ = ["SECTIONS"]

SECTIONS: Final[tuple[Section, ...]] = (
    login.SECTION,
    oidc.SECTION,
    today.SECTION,
    lists.SECTION,
    pictures.SECTION,
    quarantine.SECTION,
    bulk.SECTION,
    actions.SECTION,
    details.SECTION,
    fetches.SECTION,
    people.SECTION,
    tokens.SECTION,
    access_api.SECTION,
    api.SECTION,
    fetches.API_SECTION,
    api.DESCRIPTION,
    *ROUTING,
    *PARTNERS,
)
