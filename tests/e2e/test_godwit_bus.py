# SPDX-License-Identifier: MIT
"""godwit bus: what an operator does with an embedded bus, used by others or not; pika reads what it moves."""
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import threading

import pytest

from world import eventually

QUEUE = "vip_queue"


class Bus:
    """A bus in a directory, and the program."""

    def __init__(self, directory, programs):
        self.directory = pathlib.Path(directory)
        self.program = os.path.join(programs, "godwit")
        self.programs = programs

    def environment(self, **more):
        env = {name: value for name, value in os.environ.items() if not name.startswith("GODWIT_")}
        return {**env, **more}

    def command(self, command, *arguments):
        return [self.program, "bus", command, str(self.directory), *arguments]

    def run(self, command, *arguments, env=None, stdin=subprocess.DEVNULL, **options):
        """(status, standard output, standard error)"""
        done = subprocess.run(self.command(command, *arguments), env=self.environment(**(env or {})),
                              capture_output=True, text=True, timeout=60, check=False,
                              **({"stdin": stdin} if "input" not in options else {}), **options)
        return done.returncode, done.stdout, done.stderr

    def good(self, command, *arguments, **options):
        """The standard output of a run that must succeed and complain of nothing."""
        code, out, err = self.run(command, *arguments, **options)
        assert code == 0 and not err, (code, out, err)
        return out

    def start(self, command, *arguments, **options):
        return subprocess.Popen(self.command(command, *arguments), env=self.environment(), text=True,
                                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                                   "stderr": subprocess.PIPE, **options})

    def queues(self):
        """{name: what list --json says}"""
        code, out, _ = self.run("list", "--json")
        assert code == 0
        return {entry["queue"]: entry for entry in map(json.loads, out.splitlines())}

    def ids(self, queue=QUEUE):
        """Message ids, in the order in which they would be taken."""
        code, out, _ = self.run("peek", queue, "-n", "100000", "--json")
        assert code == 0
        return [json.loads(line)["properties"]["message_id"] for line in out.splitlines()]

    def fill(self, count, queue=QUEUE, size=0, start=0):
        for number in range(start, start + count):
            self.good("publish", queue, f"{number}:" + "x" * size, "--message-id", str(number))

    def segments(self):
        return sorted((self.directory / "logs").glob("*/*.seg"))


@pytest.fixture
def bus(tmp_path, programs):
    """A bus with an empty queue."""
    made = Bus(tmp_path / "bus", programs)
    made.good("publish", QUEUE, "x")
    made.good("consume", QUEUE)
    return made


def taken(world, queue):
    """All messages of a queue of the broker: [(properties, body)]."""
    with world.channel() as channel:
        return [(properties, body) for _, properties, body in
                iter(lambda: channel.basic_get(queue, auto_ack=True), (None, None, None))]


def test_live_numbers_of_a_process_that_runs(bus):
    follower = bus.start("consume", QUEUE, "--follow", "--body")
    eventually(lambda: bus.queues()[QUEUE]["consumers"] == 1, what="the consumer")
    page = bus.good("status")
    assert f"{follower.pid}  " in page and page.rstrip().endswith("godwit")
    status = json.loads(bus.good("status", "--json"))
    assert [process["pid"] for process in status["processes"]] == [follower.pid]
    assert status["healthy"] and status["version"] == 1 and status["disk_bytes"] > 0
    for number in range(3):
        bus.good("publish", QUEUE, f"line {number}")
        assert follower.stdout.readline() == f"line {number}\n"
    eventually(lambda: bus.queues()[QUEUE]["out"] == 4, what="the acknowledgements")
    follower.send_signal(signal.SIGINT)
    out, err = follower.communicate(timeout=30)
    assert follower.returncode == 0 and not out and not err
    assert bus.queues()[QUEUE]["consumers"] == 0


def test_what_was_not_acknowledged_comes_again(bus):
    """Killed while it cannot write: the message goes back."""
    bus.fill(2, size=100000)
    consumer = bus.start("consume", QUEUE, "--follow", "--body")
    eventually(lambda: bus.queues()[QUEUE]["leased"] == 1, what="a message at the consumer")
    consumer.kill()
    consumer.communicate(timeout=30)
    eventually(lambda: bus.queues()[QUEUE]["ready"] == 2, what="the message back")
    assert bus.ids() == ["0", "1"]
    first = json.loads(bus.good("consume", QUEUE, "-n", "1", "--json"))
    assert first["properties"]["message_id"] == "0"


def test_watch_in_a_pipe(bus):
    """Tables one after the other, without a code for terminals; ended by Ctrl-C with 0."""
    watch = bus.start("list", "--watch=100ms")
    lines = [watch.stdout.readline() for _ in range(8)]
    assert lines[0].startswith("QUEUE ") and lines[1].startswith(QUEUE)
    assert lines[2] == "\n" and lines[3] == lines[0] and "\x1b" not in "".join(lines)
    watch.send_signal(signal.SIGINT)
    _, err = watch.communicate(timeout=30)
    assert watch.returncode == 0 and not err


def test_watch_on_a_terminal(bus):
    """One table that changes in its place, on a screen of its own that is left at the end."""
    leader, follower = pty.openpty()
    watch = bus.start("list", "--watch=100ms", stdin=follower, stdout=follower)
    os.close(follower)
    seen = b""

    def read_more():
        nonlocal seen
        if select.select([leader], [], [], 0.1)[0]:
            try:
                seen += os.read(leader, 65536)
            except OSError:
                pass
        return seen

    eventually(lambda: read_more().count(b"\x1b[H") >= 2, what="the second drawing")
    assert seen.startswith(b"\x1b[?1049h") and QUEUE.encode() in seen
    watch.send_signal(signal.SIGINT)
    eventually(lambda: read_more().endswith(b"\x1b[?1049l"), what="the screen from before")
    assert watch.wait(30) == 0
    watch.communicate()
    os.close(leader)


def test_a_body_from_standard_input(bus):
    bus.good("publish", QUEUE, "--content-type", "text/plain", input="of a pipe\n")
    code, out, _ = bus.run("peek", QUEUE, "--full")
    assert code == 0 and "of a pipe\n" in out and "text/plain" in out


# ---- backup ----

def test_backup_while_others_publish(bus, tmp_path):
    """Each backup has all messages up to some moment and none after it."""
    stop = threading.Event()
    published = []

    def publish():
        while not stop.is_set():
            bus.fill(1, start=len(published))
            published.append(len(published))

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        for number in range(4):
            eventually(lambda: len(published) >= 5 * (number + 1), what="some messages")
            before = len(published)
            bus.good("backup", str(tmp_path / f"copy-{number}"))
            after = len(published) + 1
            copy = Bus(tmp_path / f"copy-{number}", bus.programs)
            ids = copy.ids()
            assert ids == [str(i) for i in range(len(ids))] and before <= len(ids) <= after
    finally:
        stop.set()
        publisher.join()
    assert not list(tmp_path.glob("*.partial-*"))
    copy.good("publish", QUEUE, "more")  # it is a bus like others
    assert len(copy.ids()) == len(ids) + 1


def test_a_backup_that_fails_leaves_nothing(bus, tmp_path):
    bus.fill(3)
    (tmp_path / "there").mkdir()
    code, out, err = bus.run("backup", str(tmp_path / "there"))
    assert code == 1 and not out and "is there already" in err
    assert not list((tmp_path / "there").iterdir())
    code, _, err = bus.run("backup", str(tmp_path / "none" / "copy"))
    assert code == 1 and "none/copy" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bus", "there"]


# ---- recover ----

def overwrite(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def test_recover_a_damaged_segment(bus, tmp_path):
    bus.fill(20, size=200)
    segment = next(path for path in bus.segments() if b"7:xxx" in path.read_bytes())
    overwrite(segment, segment.read_bytes().index(b"7:xxx") + 50, b"\xff" * 20)
    out = bus.good("recover")
    assert f"{QUEUE}: recovered 19 messages, lost what was in 1 damaged place (" in out
    assert bus.ids() == [str(i) for i in range(20) if i != 7]
    aside, = tmp_path.glob("bus.damaged-*")
    assert str(aside) in out and (aside / "logs").is_dir()
    bus.good("publish", QUEUE, "more")


def test_recover_a_damaged_control_file(bus):
    bus.fill(3)
    bus.good("limit", QUEUE, "--max-messages", "100")
    bus.good("publish", QUEUE, "first", "--message-id", "first", "--priority", "3")
    overwrite(bus.directory / "control", 0, b"\0" * 64)
    code, _, err = bus.run("list")
    assert code == 1 and str(bus.directory) in err and "godwit bus recover" in err
    out = bus.good("recover")
    assert f"{QUEUE}: recovered 4 messages\n" in out and "could not be read" not in out
    assert bus.ids() == ["first", "0", "1", "2"]
    assert bus.queues()[QUEUE]["max_messages"] == 100


@pytest.mark.parametrize("how", ["overwritten", "cut", "gone"])
def test_recover_without_definitions(bus, how):
    bus.fill(3)
    bus.fill(2, queue="other")
    bus.good("publish", QUEUE, "first", "--message-id", "first", "--priority", "3")
    data = bus.directory / "definitions" / "data.mdb"
    if how == "overwritten":
        overwrite(data, 0, b"\xa5" * data.stat().st_size)
    elif how == "cut":
        os.truncate(data, 100)
    else:
        shutil.rmtree(data.parent)
    code, _, err = bus.run("status")
    assert code == 1 and "definitions" in err and "godwit bus recover" in err
    out = bus.good("recover")
    assert f"{QUEUE}: recovered 4 messages\n" in out and "other: recovered 2 messages\n" in out
    assert "exchanges, bindings and limits could not be read" in out
    assert bus.ids() == ["first", "0", "1", "2"] and bus.ids("other") == ["0", "1"]


def test_recover_refuses_while_it_is_used(bus):
    bus.fill(1)
    follower = bus.start("list", "--watch")
    follower.stdout.readline()
    code, out, err = bus.run("recover")
    assert code == 1 and not out and "processes use the bus" in err
    follower.send_signal(signal.SIGINT)
    follower.communicate(timeout=30)
    bus.good("recover")
    assert bus.ids() == ["0"]


def test_a_newer_version(bus):
    overwrite(bus.directory / "control", 8, (2).to_bytes(4, "little"))
    for command, arguments in (("status", ()), ("consume", (QUEUE,)), ("recover", ())):
        code, out, err = bus.run(command, *arguments)
        assert code == 1 and not out and "version 2" in err and str(bus.directory) in err
    assert not list(bus.directory.parent.glob("bus.damaged-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be refused as")
def test_a_directory_of_another_user(bus):
    """Refused with its name, whatever is to be done; root looks without leaving a trace."""
    bus.fill(2)

    def as_nobody(command, *arguments):
        done = subprocess.run(bus.command(command, *arguments), env=bus.environment(), user=65534,
                              group=65534, extra_groups=[], capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    for parent in list(bus.directory.parents)[:3]:
        parent.chmod(0o755)
    for command, arguments in (("list", ()), ("peek", (QUEUE,)), ("purge", (QUEUE, "--yes")),
                               ("backup", ("/tmp/godwit-never",)), ("recover", ())):
        code, out, err = as_nobody(command, *arguments)
        assert code == 1 and not out and str(bus.directory) in err and err.count("\n") == 1, err
        assert "denied" in err.lower() or "belongs to another user" in err
    for path in [bus.directory, *bus.directory.rglob("*")]:
        os.chown(path, 65534, 65534)
    assert bus.ids() == ["0", "1"]
    assert bus.queues()[QUEUE]["ready"] == 2
    assert {path.stat().st_uid for path in bus.directory.rglob("*")} == {65534}
    code, out, err = as_nobody("consume", QUEUE, "--body")
    assert code == 0 and out == "0:\n1:\n", err


# ---- move ----

def test_move(bus, world):
    """Everything, in order, with all that is said about a message."""
    bus.fill(30)
    bus.good("publish", QUEUE, "full", "--message-id", "full", "--content-type", "text/plain",
             "--correlation-id", "c", "--reply-to", "r", "--message-type", "t", "--app-id", "a",
             "--priority", "0", "--header", "mine=kept", "--expiration", "1h")
    bus.fill(2, queue=f"{QUEUE}.dead")
    url = {"env": {"GODWIT_AMQP_SERVER_URL": world.amqp_url}}
    out = bus.good("move", "--dry-run", **url)
    assert f"{QUEUE}: would move 31\n" in out and "would move 33 messages in all\n" in out
    assert world.queue_length(QUEUE) is None and len(bus.ids()) == 31
    out = bus.good("move", **url)
    assert out == f"{QUEUE}: moved 31\n{QUEUE}.dead: moved 2\nmoved 33 messages in all\n"
    got = taken(world, QUEUE)
    assert [properties.message_id for properties, _ in got] == [*map(str, range(30)), "full"]
    assert [body for _, body in got[:2]] == [b"0:", b"1:"]
    full = got[-1][0]
    assert (full.content_type, full.correlation_id, full.reply_to, full.type, full.app_id) == (
        "text/plain", "c", "r", "t", "a")
    assert full.headers == {"mine": "kept"} and full.delivery_mode == 2 and full.expiration == "3600000"
    assert [properties.message_id for properties, _ in taken(world, f"{QUEUE}.dead")] == ["0", "1"]
    assert all(queue["ready"] == 0 and queue["leased"] == 0 for queue in bus.queues().values())
    assert json.loads(bus.good("move", "--json", **url)) == {"moved": 0}


def test_move_with_a_password_file(bus, world, tmp_path):
    bus.fill(1)
    (tmp_path / "password").write_text("guest\n")
    (tmp_path / "password").chmod(0o600)
    code, _, err = bus.run("move", "--to", world.amqp_url)
    assert code == 2 and "--to has a password" in err
    url = world.amqp_url.replace("guest:guest@", "guest@") + f"?password_file={tmp_path}/password"
    assert "moved 1 message in all" in bus.good("move", "--to", url)
    assert world.queue_length(QUEUE) == 1


def test_killed_while_it_moves(bus, world):
    """Nothing is lost: each message is on the bus or on the broker, or in both with the same id."""
    count = 300
    bus.fill(count, size=20000)
    process = subprocess.Popen(
        bus.command("move"), env=bus.environment(GODWIT_AMQP_SERVER_URL=world.amqp_url),
        stdout=subprocess.DEVNULL)
    eventually(lambda: (world.queue_length(QUEUE) or 0) > 0, what="the first one")
    process.kill()
    process.wait(30)
    bus.good("move", env={"GODWIT_AMQP_SERVER_URL": world.amqp_url})
    assert bus.ids() == []
    ids = [properties.message_id for properties, _ in taken(world, QUEUE)]
    assert set(ids) == set(map(str, range(count)))
    assert [one for i, one in enumerate(ids) if one not in ids[:i]] == list(map(str, range(count)))


def test_move_without_the_broker(bus, world):
    bus.fill(3)
    code, out, err = bus.run("move", "--timeout", "300ms", "--to", "amqp://guest@127.0.0.1:1/")
    assert code == 1 and not out and "127.0.0.1:1" in err and err.count("\n") == 1
    assert bus.ids() == ["0", "1", "2"]


def test_move_to_a_broker_that_refuses(bus, world):
    """What the broker does not take stays, in its place."""
    with world.channel() as channel:
        channel.queue_declare(QUEUE, durable=True, arguments={"x-max-length": 1,
                                                              "x-overflow": "reject-publish"})
    bus.fill(5)
    code, _, err = bus.run("move", env={"GODWIT_AMQP_SERVER_URL": world.amqp_url})
    assert code == 1 and QUEUE in err
    moved = [properties.message_id for properties, _ in taken(world, QUEUE)]
    assert moved + [one for one in bus.ids() if one not in moved] == ["0", "1", "2", "3", "4"]
