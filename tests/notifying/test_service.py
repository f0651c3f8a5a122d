"""From a look at the node to a message that was taken, over failures and restarts."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.domain.alarms import AlarmRule, Cause
from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.errors import CapacityError, ConfigurationError, EngineDownError, PeerError
from dicom_node.domain.jobs import JobState
from dicom_node.domain.retry import RetryPolicy
from dicom_node.domain.routes import Destination
from dicom_node.notifying.observing import Certificate, Echoes, Observer
from dicom_node.notifying.outbox import Outbox
from dicom_node.notifying.service import LETTERS_AT_MOST, Notifying, try_channels
from dicom_node.notifying.wording import Message, Wording
from dicom_node.ports import Queues

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86400.0


class FakeLedger:
    """Rows that a test counts itself."""

    def __init__(self) -> None:
        self.images = 0
        self.jobs = 0
        self.deliveries: dict[str, int] = {}
        self.away = False

    def queues(self) -> Queues:
        if self.away:
            raise CapacityError("the database does not answer")
        return Queues(
            images_waiting=7,
            oldest_image_at=None,
            images_quarantined=self.images,
            jobs={JobState.QUARANTINED: self.jobs, JobState.QUEUED: 9},
            oldest_job_at=None,
            deliveries={
                (name, DeliveryState.QUARANTINED): n for name, n in self.deliveries.items()
            },
            oldest_delivery_at={},
        )

    def try_write(self) -> None:
        """Nothing."""


class FakeChannel:
    """Takes messages, or does not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.taken: list[Message] = []
        self.error: Exception | None = None

    def send(self, message: Message, now: float) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(message)


class Site:
    """A node whose troubles a test makes."""

    def __init__(self, folder: Path) -> None:
        self.ledger = FakeLedger()
        self.mail, self.hook = FakeChannel("mail"), FakeChannel("hook")
        self.full = False
        self.broken = False
        self.ends_at = 400 * DAY_S
        self.outbox = Outbox(folder / "notifications.json")
        self.rules = [
            (
                AlarmRule(name="duty", causes=frozenset(Cause), after_s=60, to=("mail", "hook")),
                Wording(),
            )
        ]

    def room(self) -> None:
        if self.full:
            raise CapacityError("1 byte is free")

    def engine(self) -> None:
        if self.broken:
            raise EngineDownError("the engine process did not run")

    def started(self, **changes: Any) -> Notifying:
        values: dict[str, Any] = {
            "rules": self.rules,
            "channels": {"mail": self.mail, "hook": self.hook},
            "observer": Observer(
                ledger=self.ledger,
                room=self.room,
                engines={"engine-0": self.engine},
                certificates=[
                    Certificate(where="tls", expires_at=lambda: self.ends_at, warn_days=30)
                ],
                echoes=None,
            ),
            "outbox": self.outbox,
            "node": "SYNTH",
            "look_every_s": 10.0,
            "retry": RetryPolicy(first_s=10.0, factor=2.0, max_s=100.0, attempts=3),
        }
        return Notifying(**(values | changes))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def rest(service: Notifying, now: float) -> None:
    """Run it until it finds nothing to do."""
    for _ in range(100):
        if not service.run_once(now):
            return
    raise AssertionError("it never rests")


def titles(channel: FakeChannel) -> list[str]:
    return [each.subject.removeprefix("[dicom-node SYNTH] ") for each in channel.taken]


def test_every_cause_is_told_to_every_channel_in_words(site: Site) -> None:
    service = site.started()
    site.ledger.images, site.ledger.deliveries = 2, {"pacs": 1}
    site.ends_at = 12.5 * DAY_S
    site.full = site.broken = True
    rest(service, 0)
    rest(service, 60)
    assert titles(site.mail) == [
        "2 images in quarantine",
        "1 deliveries to pacs in quarantine",
        "the certificate of tls is about to end",
        "the disk is too full",
        "engine-0 does not run",
    ]
    assert titles(site.hook) == titles(site.mail)
    text = site.mail.taken[2].text
    assert "it ends in 12 days." in text
    assert "Since 1970-01-01T00:00:00Z" in text
    assert "Rule duty of node SYNTH" in text
    site.full = False
    rest(service, 80)
    assert titles(site.mail)[-1] == "over: the disk has room again"


def test_a_ledger_that_is_away_is_told_and_ends_no_quarantine(site: Site) -> None:
    service = site.started()
    site.ledger.jobs = 1
    rest(service, 0)
    site.ledger.away = True
    rest(service, 10)
    rest(service, 70)
    assert titles(site.mail) == ["1 jobs in quarantine", "the ledger does not answer"]


def test_what_was_not_taken_is_sent_again_to_that_channel_alone_also_after_a_restart(
    site: Site,
) -> None:
    site.ledger.images = 1
    site.hook.error = PeerError("hook answered with status 500")
    rest(site.started(), 0)
    assert (len(site.mail.taken), len(site.hook.taken)) == (1, 0)
    site.hook.error = None
    again = site.started()
    rest(again, 9)
    assert len(site.hook.taken) == 0  # not before its time
    rest(again, 10)
    assert (len(site.mail.taken), len(site.hook.taken)) == (1, 1)
    assert site.hook.taken[0] == site.mail.taken[0]
    rest(site.started(), 20)
    assert (len(site.mail.taken), len(site.hook.taken)) == (1, 1)


def test_a_message_does_not_wait_for_a_clock_that_was_set_back(site: Site) -> None:
    site.ledger.images = 1
    site.mail.error = PeerError("away")
    node = site.started()
    while node.run_once(300 * DAY_S):
        pass
    assert not site.mail.taken
    site.mail.error = None
    assert not node.run_once(300 * DAY_S + 5)
    while node.run_once(0.0):
        pass
    assert len(site.mail.taken) == 1


def test_a_channel_that_never_takes_it_is_given_up_and_does_not_hold_up_the_other(
    site: Site,
) -> None:
    service = site.started()
    site.mail.error = ConfigurationError("the password cannot be read")
    site.ledger.images = 1
    for now in range(0, 100, 5):
        rest(service, now)
    assert len(site.hook.taken) == 1
    site.mail.error = None
    rest(service, 1000)
    assert site.mail.taken == []


def test_a_file_that_cannot_be_read_is_no_reason_to_be_silent(site: Site, tmp_path: Path) -> None:
    (tmp_path / "notifications.json").write_text('{"alarms": [1')
    site.ledger.images = 1
    rest(site.started(), 0)
    assert len(site.mail.taken) == 1


def test_no_more_wait_than_may(site: Site) -> None:
    site.ledger.images = 1
    site.mail.error = site.hook.error = PeerError("away")
    service = site.started(retry=RetryPolicy(first_s=1e9, max_s=1e9, attempts=9))
    service.run_once(0)
    saved = site.outbox.read()
    (first, *_) = saved.letters
    waiting = [replace(first, due_at=1e8 + number) for number in range(LETTERS_AT_MOST - 1)]
    site.outbox.write(replace(saved, letters=tuple(waiting)))
    service = site.started(retry=RetryPolicy(first_s=1e9, max_s=1e9, attempts=9))
    for turn in range(1, 4):  # two letters each time: it is over, it is back, it is over
        site.ledger.images = (turn + 1) % 2
        service.run_once(turn * 10.0)
        assert len(site.outbox.read().letters) == LETTERS_AT_MOST
    kept = site.outbox.read().letters
    assert list(kept[:-6]) == waiting[5:]  # the oldest are given up
    assert [each.channel for each in kept[-6:]] == ["mail", "hook"] * 3


def test_a_template_of_a_site_is_used_and_what_is_told_is_on_the_list(site: Site) -> None:
    rule, _ = site.rules[0]
    site.rules = [(rule, Wording(subject="$node: $count", text="$cause/$subject/$turn\n$advice"))]
    site.ledger.jobs = 3
    rest(site.started(), 0)
    (told,) = site.mail.taken
    assert told.subject == "SYNTH: 3"
    assert told.text.splitlines()[0] == "quarantine/jobs/began"
    assert set(json.loads(told.body())) == {
        "cause",
        "count",
        "id",
        "node",
        "occurred_at",
        "problem",
        "rule",
        "since",
        "subject",
        "text",
        "title",
        "turn",
    }


def test_a_node_that_stops_sends_nothing_more_and_forgets_nothing(site: Site) -> None:
    site.ledger.images = 1
    assert not site.started(stopping=lambda: True).run_once(0)
    assert site.mail.taken == []
    rest(site.started(), 1)
    assert len(site.mail.taken) == 1


def test_destinations_are_asked_side_by_side_and_not_more_often_than_they_answer() -> None:
    slow, go_on = threading.Event(), threading.Event()
    asked: list[str] = []

    def echo(destination: Destination) -> None:
        asked.append(destination.name)
        if destination.name == "slow":
            slow.set()
            assert go_on.wait(60)
            raise PeerError("slow gave no answer")

    def one(name: str) -> Destination:
        return Destination(name=name, ae_title="A", host="127.0.0.1", port=1)

    echoes = Echoes([one("slow"), one("well")], echo)
    echoes.ask(0)
    assert slow.wait(60)
    echoes.ask(100)
    assert asked.count("slow") == 1
    assert echoes.troubles() == []
    go_on.set()
    for _ in range(6000):
        if echoes.troubles():
            break
        threading.Event().wait(0.01)
    (found,) = echoes.troubles()
    assert (found.cause, found.subject) == (Cause.DESTINATION, "slow")
    assert "no answer" in found.problem


def test_a_trial_says_what_came_of_it(site: Site) -> None:
    site.mail.error = PeerError("mail was not reached: no answer in time")
    channels = {"mail": site.mail, "hook": site.hook}
    problems = try_channels(channels, ["hook", "mail"], node="SYNTH", now=0)
    assert problems == {"hook": "", "mail": "mail was not reached: no answer in time"}
    assert titles(site.hook) == ["a trial"]
