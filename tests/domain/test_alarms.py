"""Who is told of a trouble, when, and how often."""

from __future__ import annotations

from dataclasses import replace

from dicom_node.domain.alarms import Alarm, AlarmKey, AlarmRule, Cause, Trouble, Turn, advance

RULE = AlarmRule(
    name="duty", causes=frozenset(Cause), after_s=60.0, gather_s=30.0, repeat_s=None, to=("mail",)
)
AWAY = Trouble(cause=Cause.DESTINATION, subject="pacs", problem="no connection")
THREE = Trouble(cause=Cause.QUARANTINE, subject="jobs", problem="3 wait", count=3)


class Watch:
    """Looks, one after the other, and what was told at each."""

    def __init__(self, rule: AlarmRule = RULE) -> None:
        self.rule = rule
        self.alarms: dict[AlarmKey, Alarm] = {}

    def look(
        self, now: float, *troubles: Trouble, looked_at: frozenset[Cause] = frozenset(Cause)
    ) -> list[Turn]:
        self.alarms, notices = advance(
            [self.rule], self.alarms, troubles, looked_at=looked_at, now=now
        )
        return [each.turn for each in notices]


def test_a_destination_is_told_once_it_is_away_for_long_enough_and_when_it_is_back() -> None:
    watch = Watch()
    assert watch.look(0, AWAY) == []
    assert watch.look(59, AWAY) == []
    assert watch.look(60, AWAY) == [Turn.BEGAN]
    assert watch.look(1000, AWAY) == []
    assert watch.look(1001) == [Turn.ENDED]
    assert watch.alarms == {}


def test_a_clock_that_is_set_back_keeps_nobody_from_being_told() -> None:
    watch = Watch(replace(RULE, repeat_s=100))
    assert watch.look(1e9, AWAY) == []
    assert watch.look(0, AWAY) == []
    assert watch.look(60, AWAY) == [Turn.BEGAN]
    watch = Watch(replace(RULE, after_s=0, repeat_s=100))
    assert watch.look(1e9, AWAY) == [Turn.BEGAN]
    assert watch.look(0, AWAY) == []
    assert watch.look(100, AWAY) == [Turn.GOES_ON]


def test_one_that_comes_and_goes_begins_anew_and_nobody_is_told() -> None:
    watch = Watch()
    for now in range(0, 600, 50):
        assert watch.look(now, *([AWAY] if now % 100 else [])) == []


def test_quarantine_is_told_at_once_and_again_when_it_grows_but_not_for_each() -> None:
    watch = Watch()
    assert watch.look(0, THREE) == [Turn.BEGAN]
    assert watch.look(10, replace(THREE, count=4)) == []
    assert watch.look(30, replace(THREE, count=500)) == [Turn.GREW]
    assert watch.look(90, replace(THREE, count=2)) == []
    assert watch.look(91, replace(THREE, count=3)) == [Turn.GREW]


def test_a_trouble_that_goes_on_is_told_again_where_that_is_asked_for() -> None:
    watch = Watch(replace(RULE, after_s=0, repeat_s=100))
    told = [turn for now in range(0, 250, 10) for turn in watch.look(now, AWAY)]
    assert told == [Turn.BEGAN, Turn.GOES_ON, Turn.GOES_ON]


def test_what_could_not_be_looked_at_has_not_ended() -> None:
    watch = Watch()
    watch.look(0, THREE)
    blind = frozenset(Cause) - {Cause.QUARANTINE}
    assert watch.look(10, looked_at=blind) == []
    assert watch.look(20) == [Turn.ENDED]


def test_a_rule_is_about_its_causes_and_its_destinations_alone() -> None:
    rule = replace(RULE, causes=frozenset({Cause.DESTINATION}), subjects=frozenset({"b"}))
    watch = Watch(replace(rule, after_s=0))
    assert watch.look(0, THREE, AWAY) == []
    assert watch.look(1, replace(AWAY, subject="b")) == [Turn.BEGAN]


def test_what_a_changed_rule_is_not_about_any_more_is_forgotten() -> None:
    watch = Watch()
    watch.look(0, THREE)
    watch.rule = replace(RULE, causes=frozenset({Cause.DISK}))
    assert watch.look(10) == []
    assert watch.alarms == {}


def test_an_end_is_not_told_where_nobody_asks_for_it() -> None:
    watch = Watch(replace(RULE, tell_end=False))
    assert watch.look(0, THREE) == [Turn.BEGAN]
    assert watch.look(1) == []
