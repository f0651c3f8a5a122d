"""When to try again: a value, computed by a pure function."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RetryPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with a ceiling and an end.

    Attributes:
        first_s: Wait after the first failure.
        factor: Growth from one wait to the next.
        max_s: Longest wait.
        attempts: Failures after which nothing is tried any more.
    """

    first_s: float = 5.0
    factor: float = 2.0
    max_s: float = 900.0
    attempts: int = 50

    def delay_s(self, failures: int, *, jitter: float = 0.0, patience: float = 1.0) -> float | None:
        """Seconds to wait after this many failures (1 or more); None when attempts are spent.

        Args:
            failures: Failures so far, this one included.
            jitter: In [0, 1): the wait is shortened by up to this share, as given by the caller,
                so that many waiting sends do not wake at one instant.
            patience: How many times longer than `first_s` the first wait is, for failures that
                take longer to pass.
        """
        if failures >= self.attempts:
            return None
        # Work in exponents only as far as max_s needs, so that 1e300 never overflows.
        wait = self.first_s * patience
        for _ in range(failures - 1):
            wait *= self.factor
            if wait >= self.max_s:
                break
        return min(wait, self.max_s) * (1.0 - jitter)
