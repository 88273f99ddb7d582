# SPDX-License-Identifier: MIT
"""What each subscription to an exchange must have had, from when it was up until it ended.

Its queue is its own and goes with it. Of each publisher it gets what is published with a key that
it is bound to, each message once, in order and without a gap: up to what it had last if it was
killed, and all of it if it lives.
"""
import bisect

from ledger import number_of


class Life:
    """One life of a consumer of an exchange. Make it when the consumer is up, and the ledger is
    read. `start` is how much of the consumer's journal is of lives before it."""

    def __init__(self, client, ledger, start, keys=None):
        self.client = client
        self._ledger = ledger
        self._keys = None if keys is None else set(keys)
        self._consumed = ledger.consumed[client.name]
        self._start = start
        self._end = None
        # One more than is written down may have been published before it was up.
        self._since = {name: one.next + 1 for name, one in ledger.published.items()}

    @property
    def has_ended(self):
        """Whether it was killed."""
        return self._end is not None

    def end(self):
        """It was killed, and the ledger is read."""
        self._end = len(self._consumed.handled)

    def error(self):
        """What is wrong, or None. Of one that lives: so far, so what it misses may still come."""
        had = {name: [] for name in self._ledger.published}
        for it in self._consumed.handled[self._start:self._end]:
            publisher, number = number_of(it.key)
            had[publisher].append(number)
        for name, numbers in had.items():
            error = self._error_of(name, numbers)
            if error:
                return f"{self.client.name} (from its {self._start}th on): {error}"
        return None

    def _error_of(self, name, numbers):
        for before, after in zip(numbers, numbers[1:]):
            if after <= before:
                return f"{name}-{after} came after {name}-{before}"
        if not numbers and self.has_ended:
            return None
        published = self._ledger.published[name]
        accepted = published.numbers(self._keys)
        first = min([self._since.get(name, 1), *numbers[:1]])
        last = numbers[-1] if self.has_ended else published.last
        must = accepted[bisect.bisect_left(accepted, first):bisect.bisect_right(accepted, last)]
        missing = set(must) - set(numbers)
        if missing:
            return f"{len(missing)} are missing, {name}-{min(missing)} the first of them"
        extra = {number for number in set(numbers) - set(must)
                 if f"{name}-{number}" in published.accepted}
        if extra:
            return f"{name}-{min(extra)} is not for it"
        return None
