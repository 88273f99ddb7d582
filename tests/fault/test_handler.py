# SPDX-License-Identifier: MIT
"""Handlers that are slow, fail, reject, and bring the process down."""
import signal

import pytest

from ledger import number_of

EVERY = 10  # each so many-th message is one that the handler has trouble with
RETRY_MS = 200
MAX_ATTEMPTS = 3
MAX_CRASHES = 3


def troubled(handled):
    """The messages that the handler had trouble with: key: its verdicts, one after the other."""
    found = {}
    for it in handled:
        if number_of(it.key)[1] % EVERY == 0:
            found.setdefault(it.key, []).append(it)
    return found


def test_slow(scene):
    """A handler that takes longer than any heartbeat: nobody takes the connection for dead."""
    pub = scene.publisher(count=150, rate=0).start()
    con = scene.consumer(every=100, slow_ms=7000, heartbeat=1).start()
    mark = con.wait_up().mark()
    pub.wait("done")
    scene.wait_complete()
    assert not con.said("state", mark)
    scene.finish()
    assert scene.ledger.duplicates() == 0


def test_slow_workers_share(anywhere):
    """Four workers handle a slow message each at the same time."""
    pub = anywhere.publisher(count=400, rate=0).start()
    anywhere.consumer(slow_ms=5, workers=4).start()
    pub.wait("done")
    anywhere.finish(ordered=False)
    threads = {it.thread for it in anywhere.ledger.consumed["c"].handled}
    assert len(threads) == 4
    assert anywhere.ledger.duplicates() == 0


def test_failing_at_first(anywhere):
    """The first two attempts fail: the third comes, each is counted, neighbours do not wait."""
    pub = anywhere.publisher(count=500, rate=1000).start()
    anywhere.consumer(every=EVERY, fail_first=2, retry_delay_ms=RETRY_MS, max_attempts=5).start()
    pub.wait("done")
    anywhere.wait_complete()
    handled = anywhere.ledger.consumed["c"].handled
    attempts = troubled(handled)
    assert len(attempts) == 50
    for key, tries in attempts.items():
        assert [it.verdict for it in tries] == ["T", "T", "D"], key
        assert [it.attempt for it in tries] == [1, 2, 3], key
    first_retry = next(i for i, it in enumerate(handled) if it.attempt == 2)
    assert first_retry > EVERY + 1, "the neighbours were handled meanwhile"
    anywhere.finish(ordered=False)


def test_failing_while_the_connection_is_lost(scene):
    """Retries survive resets of both sides: handled in the end, and not tried for ever."""
    proxy = scene.proxy()
    scene.publisher(proxy=proxy).start()
    con = scene.consumer(proxy=proxy, every=EVERY, fail_first=1, retry_delay_ms=RETRY_MS).start()
    scene.wait_handled(200)
    for _ in range(4):
        proxy.reset()
        con.wait_up()
        scene.wait_handled(150)
    scene.finish(ordered=False)


@pytest.mark.parametrize("behaviour", ["fails", "rejects"])
def test_given_up(anywhere, behaviour):
    """Into the dead letter queue, with what is needed to find out why; the others are handled."""
    anywhere.publisher(count=200, rate=1000).start()
    flags = {"fail_first": 1000} if behaviour == "fails" else {"reject": 1}
    anywhere.consumer(every=EVERY, max_attempts=MAX_ATTEMPTS, retry_delay_ms=RETRY_MS,
                   **flags).start()
    letters = anywhere.dead_letters(20)
    n_attempts = MAX_ATTEMPTS if behaviour == "fails" else 1
    accepted = anywhere.ledger.read().accepted
    for properties, body in letters:
        key = body.split(" ")[0]
        assert number_of(key)[1] % EVERY == 0, key
        assert properties.message_id == accepted[key]
        headers = properties.headers
        assert behaviour in headers["x-godwit-reason"], headers
        assert headers["x-godwit-attempts"] == n_attempts, headers
        assert headers["x-godwit-queue"] == "q" and headers["x-godwit-service"] == "c", headers
        assert headers["x-godwit-time"].endswith("Z"), headers
    tried = troubled(anywhere.ledger.consumed["c"].handled)
    assert {len(tries) for tries in tried.values()} == {n_attempts}
    anywhere.finish(ordered=False)


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_poison(scene, queue_type):
    """A message that kills the process is parked after so many deaths; all others are handled."""
    with scene.channel() as channel:
        channel.queue_declare("q", durable=True, arguments={"x-queue-type": queue_type})
    scene.publisher(rate=200).start()
    con = scene.consumer(level="process", dir=scene.path("outbox-c"), slow_ms=1,
                         max_crashes=MAX_CRASHES).start()
    scene.wait_handled(100)
    with scene.channel() as channel:
        channel.basic_publish("", "q", b"poison-1 ", scene.properties("the-poison"))
    n_crashes = 0
    while not scene.queues().get("q.dead"):
        if con.exit_code is not None:
            assert con.wait_end() == -signal.SIGABRT, con.tail()
            n_crashes += 1
            assert n_crashes <= MAX_CRASHES, con.tail()
            con.start()
    assert n_crashes == MAX_CRASHES
    (properties, body), = scene.dead_letters(1)
    assert body == "poison-1 " and properties.message_id == "the-poison"
    assert properties.headers["x-godwit-queue"] == "q"
    con.wait_up()
    scene.wait_handled(100)
    scene.finish(ordered=False)
