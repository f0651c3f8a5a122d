"""The notifications of one node, put together."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from dicom_node.domain.alarms import Cause
from dicom_node.monitoring.health import Beating, engine_answers, enough_room
from dicom_node.network.tls import Credentials, own_credentials
from dicom_node.notifying.channels import Channel, Email, Webhook
from dicom_node.notifying.observing import Certificate, Echoes, Observer
from dicom_node.notifying.outbox import Outbox
from dicom_node.notifying.service import Notifying
from dicom_node.notifying.wording import SUBJECT, TEXT, Wording
from dicom_node.settings.secrets import read_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dicom_node.ports import Engine, NodeLedger, Spool, StoreClient
    from dicom_node.settings import Settings

__all__ = ["OUTBOX_FILE", "channels_of", "notifying_of"]

OUTBOX_FILE: Final = "notifications.json"
"""Where it is remembered in data_dir what was told and is to be told."""


def channels_of(settings: Settings) -> dict[str, Channel]:
    """Every channel by name."""
    section = settings.notifications
    found: dict[str, Channel] = {}
    for hook in section.webhooks:
        where = f"notifications.webhooks {hook.name}: secret"
        found[hook.name] = Webhook(
            name=hook.name,
            url=hook.url,
            secret=partial(read_secret, where, hook.secret_file, hook.secret_env),
            trusted=hook.trusted,
        )
    for mail in section.emails:
        where = f"notifications.emails {mail.name}: password"
        found[mail.name] = Email(
            name=mail.name,
            host=mail.host,
            port=mail.port,
            security=mail.security,
            sender=mail.sender,
            to=mail.to,
            username=mail.username,
            password=partial(read_secret, where, mail.password_file, mail.password_env)
            if mail.username
            else None,
            trusted=mail.trusted,
        )
    return found


def notifying_of(
    settings: Settings,
    *,
    ledger: NodeLedger,
    spool: Spool,
    client: StoreClient,
    engines: Sequence[Engine],
    jitter: Callable[[], float],
    stopping: Callable[[], bool],
) -> Notifying | None:
    """The service; None when there is no rule."""
    section = settings.notifications
    if not section.rules:
        return None
    rules = [each.to_domain() for each in section.rules]
    causes = frozenset[Cause]().union(*(rule.causes for rule in rules))
    files, destinations = settings.to_tls(), settings.to_destinations()
    ours = own_credentials(destinations, settings.syslog_tls())
    if files is not None:
        ours.append(Credentials(files, server_side=True))
    return Notifying(
        rules=[
            (rule, Wording(subject=each.subject or SUBJECT, text=each.text or TEXT))
            for rule, each in zip(rules, section.rules, strict=True)
        ],
        channels=channels_of(settings),
        observer=Observer(
            ledger=ledger,
            room=enough_room(spool.free_bytes, settings.retention.min_free_bytes),
            engines={
                f"engine-{number}": engine_answers(engine)
                for number, engine in enumerate(engines)
                if isinstance(engine, Beating) and Cause.ENGINE in causes
            },
            certificates=[
                Certificate(
                    where=each.files.where,
                    expires_at=each.expires_at,
                    warn_days=each.files.warn_days,
                )
                for each in ours
            ],
            echoes=Echoes(destinations, client.echo) if Cause.DESTINATION in causes else None,
        ),
        outbox=Outbox(settings.node.data_dir / OUTBOX_FILE),
        node=settings.node.ae_title,
        look_every_s=section.look_every_s,
        jitter=jitter,
        stopping=stopping,
    )
