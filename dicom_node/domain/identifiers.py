"""Identifiers that follow from content, so that doing a thing twice makes one thing."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable
from typing import Final, NewType

__all__ = [
    "NAMESPACE",
    "JobKey",
    "canonical_json",
    "derived_uid",
    "digest_of",
    "is_uid",
    "job_key",
    "resembles_uid",
]

JobKey = NewType("JobKey", str)
"""64 hexadecimal digits."""

NAMESPACE: Final = uuid.UUID("6d0f6d8e-2f5c-5f0e-9b57-0d3a2a1f7c11")
"""Root of every UUIDv5 of this product; changing it would give old work new UIDs."""


_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")


def is_uid(text: str) -> bool:
    """Whether a text is a UID (PS3.5 9.1)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


_LIKE_UID: Final = re.compile(r"[0-9.]{1,64}")


def resembles_uid(text: str) -> bool:
    """Whether a text has at least the characters and the length of a UID.

    Components that begin with zero are against PS3.5 9.1 and occur in the field.
    """
    return _LIKE_UID.fullmatch(text) is not None


def canonical_json(value: object) -> str:
    """One text per value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: object) -> str:
    """SHA-256 (hexadecimal) of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def job_key(
    *,
    route_digest: str,
    source_digests: Iterable[str],
    views_digest: str,
    weights_digest: str,
    seed_policy: str,
) -> JobKey:
    """The key that makes the same work one job, however often its images arrive."""
    return JobKey(
        digest_of(
            {
                "route": route_digest,
                "sources": sorted(source_digests),
                "views": views_digest,
                "weights": weights_digest,
                "seed": seed_policy,
            }
        )
    )


def derived_uid(key: str, form: str, what: str) -> str:
    """A UID below 2.25 (PS3.5 B.2) that follows from the job, the form and what it names.

    Args:
        key: Of the job; for a device, the digest of the model's weights.
        form: How it is written, as ``routes.variant`` names it (``dx``, ``sc``, ``dx-plain``);
            ``model`` for a device.
        what: ``series``, ``device``, or ``instance <index>``.
    """
    return f"2.25.{uuid.uuid5(NAMESPACE, f'{key}/{form}/{what}').int}"
