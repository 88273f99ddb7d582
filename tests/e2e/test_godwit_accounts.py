# SPDX-License-Identifier: MIT
"""godwit accounts: files into a store and out of it, in LMDB and in PostgreSQL."""
import csv
import glob
import json
import os
import pty
import resource
import select
import signal
import subprocess

import pytest

from world import ON_BUS, eventually

pytestmark = ON_BUS

NAMES = {
    "10000": "Person_0",
    "a-b_C": 'comma, "quotes" and\r\nlines',
    "empty": "",
    "long": "\u00e9" * 127,
    "signs": " =1+2 \u202e \U0001f600 \x1b[1m ",
}
MILLION = 1000000
MEMORY = 48 << 20  # of a process, without what it maps of files


class Accounts:
    """The tool on one store, which is named by the environment."""

    def __init__(self, world, settings):
        self.world = world
        self.settings = settings
        self.environment = world.environment(**settings)

    def path(self, name):
        """Of a file of this test."""
        return os.path.join(self.world.directory, name)

    def write(self, name, text):
        """A file of this test with this text."""
        with open(self.path(name), "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return name

    def read(self, name):
        """The text of a file."""
        with open(self.path(name), encoding="utf-8", newline="") as file:
            return file.read()

    def start(self, *words, env=None, **options):
        """Run a command; returns the process."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                 "encoding": "utf-8", **options}
        return subprocess.Popen([os.path.join(self.world.programs, "godwit"), "accounts", *words],
                                env=env or self.environment, cwd=self.world.directory, **pipes)

    def run(self, *words, text="", **options):
        """(status, standard output, standard error) of a command, with this as its input."""
        process = self.start(*words, **options)
        out, err = process.communicate(text, timeout=120)
        return process.returncode, out, err

    def good(self, *words, **options):
        """The standard output of one that must succeed and complain of nothing."""
        code, out, err = self.run(*words, **options)
        assert code == 0 and not err, (code, out, err)
        return out

    def bad(self, *words, **options):
        """The standard error of one that must fail."""
        code, out, err = self.run(*words, **options)
        assert code == 1 and err.startswith("godwit: "), (code, out, err)
        return err

    def all(self):
        """{id: name} of the store."""
        lines = [json.loads(line) for line in self.good("export").splitlines()]
        assert [line["id"] for line in lines] == sorted(line["id"] for line in lines)
        return {line["id"]: line["name"] for line in lines}


@pytest.fixture(name="lmdb")
def fixture_lmdb(world):
    """An LMDB store, not made yet."""
    return Accounts(world, {"store_dir": os.path.join(world.directory, "accounts")})


@pytest.fixture(params=["lmdb", "postgresql"])
def accounts(world, request):
    """A store of each kind, empty."""
    if request.param == "lmdb":
        return Accounts(world, {"store_dir": os.path.join(world.directory, "accounts")})
    return Accounts(world, request.getfixturevalue("database").accounts())


def ndjson(names):
    """A file of these accounts."""
    return "".join(json.dumps({"id": key, "name": name}) + "\n" for key, name in names.items())


def numbered(begin, end):
    """{id: name} of accounts."""
    return {str(10000 + i): f"Person_{i}" for i in range(begin, end)}


def test_round_trip(accounts):
    """What goes in comes out, in each format, also for other programs that read it."""
    accounts.write("people.ndjson", ndjson(NAMES))
    assert accounts.good("import", "people.ndjson") == "5 accounts: 5 new, 0 there before\n"
    assert accounts.all() == NAMES
    assert accounts.good("export", "out.csv") == "5 accounts\n"
    with open(accounts.path("out.csv"), encoding="utf-8", newline="") as file:
        assert list(csv.reader(file, strict=True)) == [["id", "name"],
                                                       *[list(one) for one in sorted(NAMES.items())]]
    assert accounts.good("export", "--format", "csv", "-").splitlines() == \
        accounts.read("out.csv").splitlines()
    assert accounts.good("import", "out.csv") == "5 accounts: 0 new, 5 there before\n"
    assert list(accounts.good("export", "--after", "a-b_C").splitlines()) == \
        accounts.good("export").splitlines()[2:]
    other = accounts.write("other.csv", accounts.read("out.csv"))
    empty = {"GODWIT_STORE_DIR": accounts.path("second"), "PATH": os.environ["PATH"]}
    assert accounts.good("import", other, env=empty) == "5 accounts: 5 new, 0 there before\n"
    assert accounts.good("export", env=empty) == accounts.good("export")


def test_known_accounts(accounts):
    """They stay as they are, or have the new name; what was done is told."""
    accounts.good("import", text=ndjson({"1": "a", "2": "b"}))
    more = ndjson({"2": "B", "3": "C"})
    assert accounts.good("import", text=more) == "2 accounts: 1 new, 1 there before\n"
    assert accounts.all() == {"1": "a", "2": "b", "3": "C"}
    assert accounts.good("import", "--replace", text=more) == "2 accounts: 0 new, 2 replaced\n"
    assert accounts.all() == {"1": "a", "2": "B", "3": "C"}
    told = json.loads(accounts.good("import", "--json", "-", text=ndjson({"3": "x", "4": "d"})))
    assert told == {"accounts": 2, "new": 1, "known": 1, "bad": 0, "complete": True}


def test_bad_lines(accounts):
    """One ends it, with what stands above it imported; corrected, it is run again."""
    accounts.write("people.csv", "name,id\n" + "".join(f"Person_{i},{i}\n" for i in range(25)) +
                   "no id\nlast,last\n")
    code, out, err = accounts.run("import", "--batch", "10", "people.csv")
    assert (code, out) == (1, "25 accounts: 25 new, 0 there before, 1 bad; "
                              "the rest was not imported\n")
    assert err == "godwit: people.csv:27: 1 field, and the header has 2\n"
    assert len(accounts.all()) == 25
    code, out, err = accounts.run("import", "--keep-going", "people.csv")
    assert (code, out) == (1, "26 accounts: 1 new, 25 there before, 1 bad\n")
    assert "people.csv:27:" in err and accounts.all()["last"] == "last"


def test_many_bad_lines(lmdb):
    """The first are told, all are counted."""
    code, out, err = lmdb.run("import", "--keep-going", text="x\n" * 5000 + ndjson({"1": "a"}))
    assert (code, out) == (1, "1 account: 1 new, 0 there before, 5000 bad\n")
    assert len(err.splitlines()) == 20 and "standard input:20: " in err


def test_dry_run(lmdb):
    """The file is checked; no store is made."""
    assert lmdb.good("import", "--dry-run", text=ndjson(NAMES)) == "5 accounts could be imported\n"
    assert "standard input:1:" in lmdb.bad("import", "--dry-run", text="[]\n")
    assert not os.path.exists(lmdb.settings["store_dir"])


def test_beside_the_service(world, accounts):
    """accountservice has an account as soon as it is imported, and its new name."""
    accounts.good("import", text=ndjson({"first": "1"}))
    world.start_config()
    world.start_account(**accounts.settings)
    world.account.wait_healthy()
    assert world.get("/accounts/first").json()["name"] == "1"
    assert world.get("/accounts/second").status_code == 404
    accounts.good("import", text=ndjson({"second": "2"}))
    assert world.get("/accounts/second").json()["name"] == "2"
    accounts.good("import", "--replace", text=ndjson({"second": "two"}))
    assert world.get("/accounts/second").json()["name"] == "two"
    assert accounts.all() == {"first": "1", "second": "two"}


def test_a_million(lmdb):
    """In both formats, with the same memory as a hundred."""
    def bound():
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    with open(lmdb.path("people.ndjson"), "w", encoding="utf-8") as file:
        file.writelines(f'{{"id":"{i:07}","name":"Person_{i}"}}\n' for i in range(MILLION))
    assert lmdb.good("import", "people.ndjson", preexec_fn=bound) == \
        f"{MILLION} accounts: {MILLION} new, 0 there before\n"
    assert lmdb.good("export", "out.ndjson", preexec_fn=bound) == f"{MILLION} accounts\n"
    assert lmdb.read("out.ndjson") == lmdb.read("people.ndjson")
    lmdb.good("export", "out.csv", preexec_fn=bound)
    assert lmdb.good("import", "--replace", "out.csv", preexec_fn=bound) == \
        f"{MILLION} accounts: 0 new, {MILLION} replaced\n"


def test_many_in_a_database(world, database):
    """More than a batch and more than a page."""
    accounts = Accounts(world, database.accounts())
    text = ndjson(numbered(0, 25000))
    assert accounts.good("import", text=text) == "25000 accounts: 25000 new, 0 there before\n"
    assert sorted(accounts.good("export").splitlines()) == \
        sorted(line.replace(", ", ",").replace(": ", ":") for line in text.splitlines())


def feed(process, names):
    """Give accounts to an import that reads from a pipe."""
    process.stdin.write(ndjson(names))
    process.stdin.flush()


def test_import_is_interrupted(accounts):
    """Ctrl-C: what was read is imported and told, whoever still writes into the pipe."""
    accounts.good("import", text=ndjson({"0": "x"}))
    process = accounts.start("import", "--batch", "10")
    feed(process, numbered(0, 25))
    eventually(lambda: len(accounts.all()) == 21, what="two batches")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 1
    out, err = process.stdout.read(), process.stderr.read()
    assert out.endswith(" there before; interrupted, run it again for the rest\n") and not err
    assert len(accounts.all()) == int(out.split()[0]) + 1
    process.stdin.close()


def test_import_is_killed(accounts):
    """kill -9: whole batches are there, and running it again does the rest."""
    accounts.good("import", text=ndjson({"0": "x"}))
    process = accounts.start("import", "--batch", "10")
    feed(process, numbered(0, 25))
    eventually(lambda: len(accounts.all()) == 21, what="two batches")
    process.kill()
    process.communicate()
    assert accounts.good("import", text=ndjson(numbered(0, 25))) == \
        "25 accounts: 5 new, 20 there before\n"


def test_the_database_goes_away(world, own_database):
    """The import says so and what it did; the rest follows when the database is there again."""
    accounts = Accounts(world, own_database.accounts())
    process = accounts.start("import", "--batch", "10")
    feed(process, numbered(0, 10))
    eventually(lambda: len(accounts.all()) == 10, what="a batch")
    own_database.server.stop()
    out, err = process.communicate(ndjson(numbered(10, 30)), timeout=60)
    assert process.returncode == 1 and "cannot put accounts" in err
    assert out == "10 accounts: 10 new, 0 there before; the rest was not imported\n"
    assert str(own_database.server.port) in accounts.bad("export", "out.csv")
    assert not glob.glob(accounts.path("out.csv*"))
    own_database.server.start(die_with_parent=True)
    assert accounts.good("import", text=ndjson(numbered(0, 30))) == \
        "30 accounts: 20 new, 10 there before\n"


def test_export_is_cut_off(lmdb):
    """By Ctrl-C or a full disk: there is no file that looks complete, nor a part of one."""
    lmdb.good("import", text=ndjson(numbered(0, 9000)))
    before = lmdb.write("out.csv", "before\n")

    def interrupt():  # it is interrupted before it begins
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        os.kill(os.getpid(), signal.SIGINT)

    def fill_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))

    for how, text in ((interrupt, "interrupted"), (fill_disk, "cannot be written")):
        assert text in lmdb.bad("export", "new.csv", preexec_fn=how)
        assert text in lmdb.bad("export", "--force", before, preexec_fn=how)
        assert glob.glob(lmdb.path("*.csv*")) == [lmdb.path(before)]
        assert lmdb.read(before) == "before\n"
    assert lmdb.good("export", "--force", before) == "9000 accounts\n"
    assert len(lmdb.read(before).splitlines()) == 9001


def test_what_is_not_overwritten(lmdb):
    """A file without --force; anything else at all."""
    lmdb.good("import", text=ndjson(NAMES))
    lmdb.write("out.csv", "mine\n")
    os.symlink("out.csv", lmdb.path("link.csv"))
    os.mkdir(lmdb.path("dir.csv"))
    assert "--force" in lmdb.bad("export", "out.csv")
    for name in ("link.csv", "dir.csv"):
        assert "is no file" in lmdb.bad("export", "--force", name)
    assert lmdb.read("out.csv") == "mine\n"
    assert "No such file" in lmdb.bad("export", "nowhere/out.csv")


def test_wrong_words(lmdb):
    """Errors that name what is wrong, and change nothing."""
    assert "there is no account store in" in lmdb.bad("export")
    assert not os.path.exists(lmdb.settings["store_dir"])
    assert "nothing.csv cannot be opened" in lmdb.bad("import", "nothing.csv")
    for words, text in ((("import", "people.txt"), "--format"),
                        (("import", "--format", "xml"), "neither ndjson nor csv"),
                        (("import", "--batch", "100001"), "--batch"),
                        (("import", "--force"), "no option"),
                        (("export", "--after", "a/b"), "--after"),
                        (("import", "a.csv", "b.csv"), "usage")):
        code, out, err = lmdb.run(*words)
        assert code == 2 and not out and text in err
    assert "mysql" in lmdb.bad("export", "--store", "mysql://h/d")


def test_passwords(world, database, tmp_path):
    """From the environment or a file that it names, never from the command line; shown to nobody."""
    secret = database.server.password
    file = tmp_path / "password"
    file.write_text(secret + "\n")
    for settings in ({"store_password": secret}, {"store_password_file": file}):
        accounts = Accounts(world, settings)
        accounts.good("import", "--store", database.url(), text=ndjson({"1": "a"}))
        assert accounts.good("export", "--store", database.url()) == '{"id":"1","name":"a"}\n'
    whole = Accounts(world, {"account_store": database.url_with_password()})
    assert whole.all() == {"1": "a"}
    code, _, err = whole.run("export", "--store", database.url_with_password())
    assert code == 2 and "has a password" in err and secret not in err
    both = Accounts(world, {"store_password": secret, "store_password_file": file})
    assert "one of them" in both.bad("export", "--store", database.url())
    wrong = Accounts(world, {"store_password": "open-sesame"})
    err = wrong.bad("import", "--store", database.url(), text=ndjson(NAMES))
    assert "authentication failed" in err and "open-sesame" not in err


def test_names_on_a_terminal(lmdb):
    """Nothing in a name acts on it."""
    lmdb.good("import", text=ndjson({"1": "good", "2": "\x1b[2J"}))
    seen = {}
    for name in ("csv", "ndjson"):
        leader, follower = pty.openpty()
        process = lmdb.start("export", "--format", name, stdout=follower)
        _, err = process.communicate(timeout=60)
        os.close(follower)
        seen[name] = (process.returncode, os.read(leader, 65536), err)
        os.close(leader)
    code, out, err = seen["csv"]
    assert code == 1 and b"good" in out and b"\x1b" not in out
    assert "the name of account '2' has bytes that act on a terminal" in err
    code, out, err = seen["ndjson"]
    assert code == 0 and b'"\\u001b[2J"' in out and not err


def test_progress(lmdb):
    """On a terminal, and cleared before the end."""
    leader, follower = pty.openpty()
    process = lmdb.start("import", stderr=follower)
    os.close(follower)
    seen = b""
    number = 0

    def say_more():
        nonlocal seen, number
        feed(process, numbered(number, number + 1))
        number += 1
        if select.select([leader], [], [], 0.05)[0]:
            seen += os.read(leader, 65536)
        return b"/s" in seen

    eventually(say_more, what="progress")
    out, _ = process.communicate(timeout=60)
    assert out == f"{number} accounts: {number} new, 0 there before\n"
    while select.select([leader], [], [], 0)[0]:
        try:
            seen += os.read(leader, 65536)
        except OSError:
            break
    os.close(leader)
    assert b" accounts, " in seen and seen.endswith(b"\r\x1b[K")
