# SPDX-License-Identifier: MIT
"""What must hold after a run, whatever was broken during it, from what the clients wrote down.

- Nothing is lost: what gw_publish accepted was handled, is a dead letter or was reported as failed.
- Nothing is made up: what was handled had been given to gw_publish. A publisher that was killed may
  have had one more accepted than it wrote down, in each of its lives.
- A message that comes twice has the same message id, and a body as it was published.
- Order, where one consumer with one worker reads a queue and nothing was refused, returned, retried
  or rejected: of each publisher and queue, the first occurrences that are not marked as redelivered
  come with increasing numbers. Other occurrences may go back: after a lost connection the publisher
  repeats a suffix of what it sent, as the broker does with what it delivered. What the broker had
  delivered to a connection of which only the client knows that it is dead comes late, and marked.
  If both happen at once, the publisher's repetition may overtake it, and no order can be told.
"""
import collections
import os
import re


class LedgerError(AssertionError):
    """A promise was broken; the text says which and by which messages."""


Handled = collections.namedtuple(
    "Handled", "key id redelivered attempt forwarded verdict thread queue")


def number_of(key):
    """(publisher, number) of "<publisher>-<number>"."""
    publisher, _, number = key.rpartition("-")
    return publisher, int(number)


def some(keys):
    """A few of many, for an error message."""
    keys = sorted(keys, key=lambda key: (len(key), key))
    return f"{len(keys)}: {', '.join(keys[:8])}{' ...' if len(keys) > 8 else ''}"


class Journal:
    """A client's file, read as it grows. A line is taken when it is complete; one that its writer
    was killed at is left out."""

    def __init__(self, path):
        self.path = str(path)
        self._offset = 0
        self._rest = b""

    def new_lines(self):
        """The lines since the last call, each as its fields."""
        if not os.path.exists(self.path):
            return []
        with open(self.path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", errors="replace").split(" ") for line in lines
                if not line.endswith(b" torn")]


class Published:
    """What one publisher did, over all its lives: it has one journal."""

    def __init__(self, path):
        self._journal = Journal(path)
        self.accepted = {}  # key: message id
        self._numbers = {}  # queue or routing key: the numbers accepted for it, rising
        self._sorted = {}   # as numbers() has told: queues: (number of all accepted, numbers)
        self.refused = {}   # key: status
        self.failed = {}    # key: status
        self.unwritten = set()  # keys that a killed life may have had accepted
        self.last = 0       # number of the last one accepted
        self.next = 1       # number of the one that may just be being published

    def read(self):
        """Take in what is new."""
        for kind, key, *rest in self._journal.new_lines():
            if kind == "A":
                self.accepted[key] = rest[0]
                number = number_of(key)[1]
                self._numbers.setdefault(rest[1], []).append(number)
                self.last = max(self.last, number)
                self.next = max(self.next, number + 1)
            elif kind == "R":
                self.refused[key] = rest[0]
            elif kind == "F":
                self.failed[key] = rest[1]
        return self

    def numbers(self, queues=None):
        """Of what was accepted for these queues or routing keys, None: for all; rising."""
        which = None if queues is None else frozenset(queues)
        count, found = self._sorted.get(which, (-1, []))
        if count != len(self.accepted):
            found = sorted(number for queue, numbers in self._numbers.items()
                           if which is None or queue in which for number in numbers)
            self._sorted[which] = (len(self.accepted), found)
        return found

    def killed(self, name):
        """Its process was killed: one more may have been accepted. Returns the number with which
        the next life has to begin."""
        self.read()
        self.unwritten.add(f"{name}-{self.next}")
        self.next += 1
        return self.next


class Consumed:
    """What one consumer handled, over all its lives."""

    def __init__(self, path):
        self._journal = Journal(path)
        self.handled = []
        self.damaged = []

    def read(self):
        """Take in what is new."""
        for kind, key, *rest in self._journal.new_lines():
            if kind == "B":
                self.damaged.append(key)
            elif kind == "H":
                self.handled.append(Handled(key, rest[0], rest[1] == "1", int(rest[2]),
                                            int(rest[3]), rest[4], int(rest[5]), rest[6]))
        return self


class Ledger:
    """All publishers and consumers of a run."""

    def __init__(self):
        self.published = {}  # name: Published
        self.consumed = {}   # name: Consumed
        self.elsewhere = set()  # keys that came to others: a dead letter queue, another's consumer
        self.lost_by_operator = set()  # keys that the test itself took away from the broker

    def read(self):
        """Take in what is new."""
        for journal in (*self.published.values(), *self.consumed.values()):
            journal.read()
        return self

    @property
    def accepted(self):
        """key: message id, of all publishers."""
        return {key: id for one in self.published.values() for key, id in one.accepted.items()}

    @property
    def done(self):
        """The keys that some consumer has handled for good."""
        return {it.key for one in self.consumed.values() for it in one.handled
                if it.verdict == "D"}

    @property
    def n_handled(self):
        """How many times a handler was called."""
        return sum(len(one.handled) for one in self.consumed.values())

    def missing(self):
        """What was accepted and is nowhere yet."""
        self.read()
        accounted = self.done | self.elsewhere | self.lost_by_operator
        for one in self.published.values():
            accounted |= one.failed.keys()
        return self.accepted.keys() - accounted

    def check(self, ordered=True):
        """All of the above; LedgerError when something does not hold."""
        missing = self.missing()
        if missing:
            raise LedgerError(f"accepted and neither handled nor reported: {some(missing)}")
        self._check_known()
        self._check_ids()
        if ordered:
            for name, one in self.consumed.items():
                self._check_order(name, one.handled)
        return self

    def check_marked(self):
        """Where no connection can be lost: what comes twice is marked as redelivered, or was
        forwarded to be tried again."""
        counts = collections.Counter((it.key, it.queue) for one in self.consumed.values()
                                     for it in one.handled
                                     if not (it.redelivered or it.attempt > 1 or it.forwarded))
        twice = {key for (key, _), count in counts.items() if count > 1}
        if twice:
            raise LedgerError(f"came twice and not marked: {some(twice)}")

    def _check_known(self):
        known = self.accepted.keys() | {key for one in self.published.values()
                                        for key in (*one.refused, *one.unwritten)}
        handled = {it.key for one in self.consumed.values() for it in one.handled}
        unknown = {key for key in handled - known if re.fullmatch(r".+-\d+", key)
                   and number_of(key)[0] in self.published}
        if unknown:
            raise LedgerError(f"handled but never published: {some(unknown)}")
        damaged = {key for one in self.consumed.values() for key in one.damaged}
        if damaged:
            raise LedgerError(f"the body is not as it was published: {some(damaged)}")

    def _check_ids(self):
        ids = collections.defaultdict(set)
        for one in self.consumed.values():
            for it in one.handled:
                ids[it.key].add(it.id)
        for key, id in self.accepted.items():
            if ids[key]:
                ids[key].add(id)
        wrong = {key for key, found in ids.items() if len(found) > 1}
        if wrong:
            key = min(wrong)
            raise LedgerError(f"came with several message ids: {some(wrong)} ({key}: {ids[key]})")

    @staticmethod
    def _check_order(name, handled):
        seen = set()
        last = {}  # (publisher, queue): the highest number of a first occurrence yet
        for it in handled:
            publisher, number = number_of(it.key)
            where = (publisher, it.queue)
            if it.key in seen:
                continue
            seen.add(it.key)
            if it.redelivered:
                continue
            if number < last.get(where, 0):
                raise LedgerError(f"{name} had {it.key} for the first time after number "
                                  f"{last[where]} of the same queue")
            last[where] = number

    def duplicates(self):
        """How many times a message was handled that had been before."""
        counts = collections.Counter(it.key for one in self.consumed.values()
                                     for it in one.handled if it.verdict == "D")
        return sum(count - 1 for count in counts.values())
