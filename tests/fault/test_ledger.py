# SPDX-License-Identifier: MIT
"""The ledger finds what is wrong, in runs that are made up here."""
import types

import pytest

from ledger import Consumed, Ledger, LedgerError, Published
from lives import Life


def handled(key, id=None, redelivered=0, verdict="D", attempt=1):
    """A line of a consumer's journal."""
    return f"H {key} {id or 'id-' + key} {redelivered} {attempt} 0 {verdict} 7 q"


def accepted(*numbers):
    """Lines of a publisher's journal."""
    return [f"A p-{n} id-p-{n} q" for n in numbers]


@pytest.fixture
def run(tmp_path):
    """Makes a ledger of a publisher's and a consumer's lines."""
    def make(published, consumed):
        ledger = Ledger()
        for name, lines, kind, where in (("p", published, Published, ledger.published),
                                         ("c", consumed, Consumed, ledger.consumed)):
            path = tmp_path / f"{name}.journal"
            path.write_text("".join(f"{line}\n" for line in lines))
            where[name] = kind(path)
        return ledger
    return make


GOOD = [
    ("all of it", accepted(1, 2), [handled("p-1"), handled("p-2")]),
    ("reported", [*accepted(1, 2), "F p-2 id-p-2 GW_E_UNROUTABLE"], [handled("p-1")]),
    ("refused, then accepted", ["R p-1 GW_E_FULL full", *accepted(1)], [handled("p-1")]),
    ("a suffix that the publisher repeats", accepted(1, 2, 3, 4),
     [handled(f"p-{n}") for n in (1, 2, 3, 2, 3, 4)]),
    ("a suffix that the broker repeats", accepted(1, 2, 3),
     [handled("p-1"), handled("p-2"), handled("p-2", redelivered=1), handled("p-3")]),
    ("what a dead connection had", accepted(1, 2, 3),
     [handled("p-1"), handled("p-3"), handled("p-2", redelivered=1)]),
    ("tried again", accepted(1), [handled("p-1", verdict="T"), handled("p-1", attempt=2)]),
]
BAD = [
    ("nor reported: 1: p-2", accepted(1, 2), [handled("p-1")]),
    ("nor reported: 1: p-1", accepted(1), [handled("p-1", verdict="T")]),
    ("never published: 1: p-9", accepted(1), [handled("p-1"), handled("p-9")]),
    ("several message ids: 1: p-1", accepted(1), [handled("p-1"), handled("p-1", "another")]),
    ("several message ids: 1: p-1", accepted(1), [handled("p-1", "another")]),
    ("p-2 for the first time after number 3", accepted(1, 2, 3),
     [handled("p-1"), handled("p-3"), handled("p-2")]),
    ("not as it was published: 1: p-1", accepted(1), ["B p-1 17", handled("p-1")]),
]


@pytest.mark.parametrize("published, consumed", [case[1:] for case in GOOD],
                         ids=[case[0] for case in GOOD])
def test_what_is_right(run, published, consumed):
    run(published, consumed).check()


@pytest.mark.parametrize("says, published, consumed", BAD)
def test_what_is_wrong(run, says, published, consumed):
    with pytest.raises(LedgerError, match=says):
        run(published, consumed).check()


def test_a_killed_publisher_may_have_had_one_more_accepted(run):
    ledger = run(accepted(1), [handled("p-1"), handled("p-2")])
    assert ledger.published["p"].killed("p") == 3
    ledger.check()
    ledger = run(accepted(1), [handled("p-1"), handled("p-3")])
    ledger.published["p"].killed("p")
    with pytest.raises(LedgerError, match="never published: 1: p-3"):
        ledger.check()


def test_a_line_is_taken_when_it_is_complete(run, tmp_path):
    ledger = run(accepted(1), [])
    with open(tmp_path / "c.journal", "a", encoding="ascii") as journal:
        journal.write(handled("p-1"))
        journal.flush()
        assert ledger.missing() == {"p-1"}
        journal.write("\n")
    assert not ledger.missing()


def test_a_line_that_its_writer_was_killed_at(run):
    ledger = run(accepted(1) + ["A p torn"] + accepted(3), [handled("p-1"), handled("p-3")])
    ledger.check()
    assert ledger.published["p"].last == 3


def test_duplicates_are_counted(run):
    ledger = run(accepted(1, 2), [handled("p-1"), handled("p-1"), handled("p-2"), handled("p-1")])
    ledger.read()
    assert ledger.duplicates() == 2


def test_what_comes_twice_without_a_mark(run):
    ledger = run(accepted(1), [handled("p-1"), handled("p-1", redelivered=1),
                               handled("p-1", attempt=2)])
    ledger.read().check_marked()
    with pytest.raises(LedgerError, match="not marked: 1: p-1"):
        run(accepted(1), [handled("p-1"), handled("p-1")]).read().check_marked()


LIVES = [
    (None, [1, 2, 3, 4], False, None),
    (None, [3, 4], False, "2 are missing, p-1 the first"),
    (None, [1, 2], False, "2 are missing, p-3 the first"),
    (None, [1, 2], True, None),
    (None, [], True, None),
    (None, [1, 3], True, "1 are missing, p-2 the first"),
    (None, [1, 3, 2, 4], False, "p-2 came after p-3"),
    (None, [1, 2, 2, 3, 4], False, "p-2 came after p-2"),
    (["odd"], [1, 3], False, None),
    (["odd"], [1, 2, 3], False, "p-2 is not for it"),
]


@pytest.mark.parametrize("keys, numbers, killed, says", LIVES)
def test_lives_of_subscriptions(run, keys, numbers, killed, says):
    """It was up before anything was published; the life before it had two."""
    lines = [f"A p-{n} id-p-{n} {'odd' if n % 2 else 'even'}" for n in (1, 2, 3, 4)]
    ledger = run(lines, [handled("p-9"), handled("p-8")] + [handled(f"p-{n}") for n in numbers])
    ledger.published["p"].next = 0
    life = Life(types.SimpleNamespace(name="c"), ledger, 2, keys)
    ledger.read()
    if killed:
        life.end()
    assert (life.error() or "") == "" if says is None else says in life.error()


def test_a_subscription_that_joins(run):
    """What was published before it was up it may have had, and what may have been."""
    ledger = run(accepted(1, 2, 3, 4, 5), []).read()
    ledger.published["p"].next = 3
    life = Life(types.SimpleNamespace(name="c"), ledger, 0)
    for numbers, says in (([4, 5], None), ([3, 4, 5], None), ([2, 4, 5], "p-3"), ([5], "p-4")):
        ledger.consumed["c"].handled = [types.SimpleNamespace(key=f"p-{n}") for n in numbers]
        assert (life.error() is None) if says is None else (says in life.error())


def test_a_publisher_killed_before_it_wrote_anything(run):
    ledger = run(accepted(1), [handled("p-1"), handled("p-3")])
    assert [ledger.published["p"].killed("p") for _ in range(2)] == [3, 4]
    ledger.check()
