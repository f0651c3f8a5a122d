"""When to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.domain.retry import RetryPolicy

policies = st.builds(
    RetryPolicy,
    first_s=st.floats(0.1, 100),
    factor=st.floats(1, 10),
    max_s=st.floats(100, 10_000),
    attempts=st.integers(1, 2000),
)


def test_waits_double_up_to_the_ceiling_and_then_end() -> None:
    policy = RetryPolicy(first_s=5, factor=2, max_s=60, attempts=7)
    waits = [policy.delay_s(failures) for failures in range(1, 9)]
    assert waits == [5, 10, 20, 40, 60, 60, None, None]


def test_one_attempt_means_no_second_try() -> None:
    assert RetryPolicy(attempts=1).delay_s(1) is None


@given(policy=policies, failures=st.integers(1, 3000))
def test_a_wait_is_there_exactly_while_attempts_are_left(
    policy: RetryPolicy, failures: int
) -> None:
    assert (policy.delay_s(failures) is None) == (failures >= policy.attempts)


@given(policy=policies, failures=st.integers(1, 1998))
def test_a_wait_never_shrinks_and_never_passes_its_bounds(
    policy: RetryPolicy, failures: int
) -> None:
    now, later = policy.delay_s(failures), policy.delay_s(failures + 1)
    if now is not None:
        assert policy.first_s <= now <= policy.max_s
        assert later is None or later >= now


@given(policy=policies, failures=st.integers(1, 100), jitter=st.floats(0, 1, exclude_max=True))
def test_the_draw_only_shortens_a_wait(policy: RetryPolicy, failures: int, jitter: float) -> None:
    full, drawn = policy.delay_s(failures), policy.delay_s(failures, jitter=jitter)
    if full is not None:
        assert drawn == pytest.approx(full * (1 - jitter))
        assert 0 <= drawn <= full


def test_very_many_failures_overflow_nothing() -> None:
    policy = RetryPolicy(first_s=1, factor=10, max_s=900, attempts=10**6)
    assert policy.delay_s(999_999) == 900


def test_a_factor_of_one_stays_where_it_begins() -> None:
    policy = RetryPolicy(first_s=3, factor=1, max_s=900, attempts=100)
    assert {policy.delay_s(n) for n in range(1, 100)} == {3}
