# SPDX-License-Identifier: MIT
"""Accounts and VIP reads in PostgreSQL, also while that is away, hangs, or lets us do little."""
import os
import re
import signal
import threading
import time

import pytest
import requests

import processes
from system import ROOT
from world import HOST, ON_BOTH, ON_BUS, eventually

# With a store_timeout of 1 s: waiting for a connection, a statement, and half a second of grace.
LONGEST_S = 4


@pytest.fixture
def stored(world, database):
    """The whole system in a database: configserver, accountservice and two vipservices."""
    return start(world, database)


def start(world, database, **settings):
    """The programs, all healthy."""
    world.start_config()
    world.start_account(**database.accounts(), **settings)
    world.start_vips(2, **database.vips(), **settings)
    world.wait_healthy()
    return world


class Readers:
    """Threads that read a VIP account until they are told to stop, and note what they got."""

    def __init__(self, world, count=4):
        self.url = f"http://{HOST}:{world.account_port}/accounts/10000"
        self.answers = []  # (status, seconds, text)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _read(self):
        with requests.Session() as session:
            while not self._stop.is_set():
                begin = time.monotonic()
                answer = session.get(self.url, timeout=30)
                self.answers.append((answer.status_code, time.monotonic() - begin, answer.text))
                if answer.status_code != 200:
                    self._stop.wait(0.01)

    def count(self, status):
        """How many answers had it."""
        return sum(1 for answer in list(self.answers) if answer[0] == status)

    def wait_more(self, status, number):
        """Wait for so many more answers with it."""
        wanted = self.count(status) + number
        eventually(lambda: self.count(status) >= wanted, 20, f"{number} answers with {status}")

    def stop(self):
        """End; returns how many reads were answered with the account."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert {answer[0] for answer in self.answers} <= {200, 503}
        return self.count(200)


def health(world, service):
    """(status, text) of its /health."""
    answer = world.get("/health", service.port)
    return answer.status_code, answer.text


@ON_BOTH
def test_the_main_job(stored, database, carrier):
    """Four reads are shared by two vipservices, and counted once each, in the database alone."""
    for _ in range(4):
        assert stored.read("10000")["name"] == "Person_0"
    assert stored.get("/accounts/nobody").status_code == 404
    stored.wait_reads("10000", 4)
    stored.wait_messages(4)
    if carrier == "rabbitmq":
        assert [len(stored.messages(vip)) for vip in stored.vips] == [2, 2]
    assert [stored.vips_of("10000", vip)["reads"] for vip in stored.vips] == [4, 4]
    listed = stored.get("/vips", stored.vips[1].port).json()
    assert [(one["accountId"], one["reads"]) for one in listed] == [("10000", 4)]
    assert listed[0]["lastReadAt"] == max(one["readAt"] for one in stored.messages())
    assert database.query("SELECT count(*) FROM godwit_accounts") == "100"
    assert database.query("SELECT account_id, reads FROM godwit_vip_reads") == "10000|4"
    assert database.query("SELECT count(*) FROM godwit_vip_messages") == "4"
    assert not os.path.exists(os.path.join(stored.directory, "data", "vipservice", "data.mdb"))


@ON_BUS
def test_no_secret_gets_out(world, database):
    """The password is in no log, page or process list, wherever it was given."""
    secret = database.server.password
    world.start_config()
    world.start_account(account_store=database.url_with_password(), config_endpoint="on",
                        log_level="debug")
    world.start_vips(1, **database.vips(), config_endpoint="on", log_level="debug")
    with open(os.path.join(world.directory, "password"), "w", encoding="ascii") as file:
        file.write(secret + "\n")
    world.start_vips(1, vip_store=database.url(), store_password_file=file.name,
                     config_endpoint="on", log_level="debug")
    wrong, = world.start_vips(1, vip_store=database.url(), store_password="not-the-secret",
                              config_endpoint="on", log_level="debug")
    for service in (world.account, *world.vips[:2]):
        service.wait_healthy()
    eventually(lambda: "authentication failed" in health(world, wrong)[1])
    for service in (world.account, *world.vips):
        texts = [world.get(path, service.port).text for path in ("/config", "/health", "/metrics")]
        texts.append(service.output())
        with open(f"/proc/{service.pid}/cmdline", encoding="utf-8") as file:
            texts.append(file.read())
        for text in texts:
            assert secret not in text and "not-the-secret" not in text


@pytest.mark.parametrize("settings, text", [
    ({"vip_store": "mysql://root:open-sesame@127.0.0.1/x"}, "vip_store"),
    ({"vip_store": "/var/lib/vips"}, "vip_store"),
    ({"vip_store": "postgresql://godwit:open-sesame@127.0.0.1"}, "vip_store"),
    ({"vip_store": "postgresql://u@h/d?password=open-sesame"}, "vip_store"),
    ({"vip_store": "postgresql://u@h/d?sslmod=require"}, "vip_store"),
    ({"vip_store": "postgresql://u:open-sesame@h/d", "store_password": "x"}, "store_password"),
])
@ON_BUS
def test_what_is_no_store(world, settings, text):
    """A clear error, and the end."""
    world.start_config()
    vip, = world.start_vips(1, **settings)
    code, output = world.expect_failure(vip)
    assert code == 1 and text in output
    assert "open-sesame" not in output


@ON_BUS
def test_the_database_comes_later(world, own_database):
    """Programs start without it, say so, and go on when it is there."""
    own_database.server.stop()
    world.start_config()
    world.start_account(**own_database.accounts())
    vip, = world.start_vips(1, **own_database.vips())
    for service in (world.account, vip):
        service.wait_lines("serving HTTP on port")
        status, text = health(world, service)
        assert status == 503 and "store" in text and str(own_database.server.port) in text
    answer = world.get("/accounts/10000")
    assert answer.status_code == 503 and "connection" in answer.json()["detail"].lower()
    assert answer.headers["Retry-After"] == "1"
    own_database.server.start(die_with_parent=True)
    world.wait_healthy()
    world.read("10000")
    world.wait_reads("10000", 1)


def test_the_database_is_restarted_under_load(world, own_database):
    """Every read that was answered is counted once; the others are told why, and soon."""
    start(world, own_database, store_timeout="1s")
    readers = Readers(world)
    for end in (own_database.server.stop, own_database.server.kill):
        readers.wait_more(200, 100)
        end()
        readers.wait_more(503, 40)
        eventually(lambda: all(health(world, service)[0] == 503 and
                               "store" in health(world, service)[1]
                               for service in (world.account, *world.vips)), 20, "DOWN")
        own_database.server.start(die_with_parent=True)
        world.wait_healthy()
    readers.wait_more(200, 100)
    n_read = readers.stop()
    assert max(answer[1] for answer in readers.answers) < LONGEST_S
    assert all("the account store cannot be read at present" in answer[2]
               for answer in readers.answers if answer[0] == 503)
    world.wait_reads("10000", n_read, 30)
    assert own_database.query("SELECT count(*) FROM godwit_vip_messages") == str(n_read)


@ON_BUS
def test_the_database_hangs(world, own_database):
    """It answers nothing any more: whoever asks waits once, then is refused at once."""
    start(world, own_database, store_timeout="1s")
    readers = Readers(world)
    readers.wait_more(200, 50)
    own_database.server.signal(signal.SIGSTOP)
    try:
        readers.wait_more(503, 100)
        eventually(lambda: all(health(world, service)[0] == 503
                               for service in (world.account, *world.vips)), 20, "DOWN")
    finally:
        own_database.server.signal(signal.SIGCONT)
    readers.wait_more(200, 50)
    n_read = readers.stop()
    assert max(answer[1] for answer in readers.answers) < LONGEST_S
    refused = sorted(answer[1] for answer in readers.answers if answer[0] == 503)
    assert refused[len(refused) // 2] < 0.5  # most need not wait
    world.wait_reads("10000", n_read, 30)


def test_vipservices_are_killed(world, database):
    """kill -9 in the middle of counting: each read counts once all the same."""
    start(world, database)
    readers = Readers(world)
    for _ in range(6):
        readers.wait_more(200, 60)
        killed = world.vips.pop(0)
        world.kill(killed)
        world.start_vips(1, **database.vips())
    n_read = readers.stop()
    world.wait_healthy()
    world.wait_reads("10000", n_read, 30)
    assert database.query("SELECT count(*) FROM godwit_vip_messages") == str(n_read)


@ON_BUS
def test_connections_are_closed_by_others(stored, database):
    """As by an operator, a pooler or a firewall: nobody notices."""
    for _ in range(10):
        database.query("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                       "WHERE pid <> pg_backend_pid() AND datname = current_database()")
        stored.read("10000")
    stored.wait_reads("10000", 10, 20)
    stored.wait_healthy()


def sql_of_docs():
    """The schema and the rights that docs/stores.md tells a DBA to make."""
    with open(os.path.join(ROOT, "docs", "stores.md"), encoding="utf-8") as file:
        return re.findall(r"```sql\n(.*?)```", file.read(), re.S)


@ON_BUS
def test_few_rights(world, database):
    """A DBA made the tables; the services get only what docs/stores.md says they need."""
    schema, rights = sql_of_docs()
    users = ("accountservice", "vipservice")
    database.query(f"{schema}; REVOKE CREATE ON SCHEMA public FROM PUBLIC; "
                   "INSERT INTO godwit_accounts VALUES ('10000', 'Somebody'); " +
                   "".join(f"CREATE ROLE {user} LOGIN PASSWORD 'few'; " for user in users) + rights)
    try:
        world.start_config()
        world.start_account(account_store=database.url(users[0]), store_password="few")
        vip, = world.start_vips(1, vip_store=database.url(users[1]), store_password="few")
        world.wait_healthy()
        assert world.read("10000")["name"] == "Somebody"
        world.wait_reads("10000", 1)
        assert world.account.stop() == 0 and vip.stop() == 0
    finally:
        for user in users:
            database.query(f"DROP OWNED BY {user}; DROP ROLE {user}")


@ON_BUS
def test_the_schema_of_the_docs_is_ours(world, database):
    """What the services make by themselves is what the document shows."""
    columns = ("SELECT string_agg(table_name || column_name || data_type || is_nullable || "
               "coalesce(collation_name, ''), ',' ORDER BY table_name, column_name) "
               "FROM information_schema.columns WHERE table_schema = 'public'")
    indexes = ("SELECT string_agg(indexdef, ',' ORDER BY indexdef) FROM pg_indexes "
               "WHERE schemaname = 'public'")
    start(world, database)
    made = [database.query(sql) for sql in (columns, indexes)]
    for service in (world.account, *world.vips):
        assert service.stop() == 0
    database.query("DROP TABLE godwit_accounts, godwit_vip_reads, godwit_vip_messages; " +
                   sql_of_docs()[0])
    assert [database.query(sql) for sql in (columns, indexes)] == made


@ON_BUS
def test_many_start_at_once(world, database):
    """On an empty database, in which each of them would make the tables."""
    world.start_config()
    accounts = [world.client("accountservice", port, **database.accounts()).start()
                for port in processes.free_ports(4)]
    world.start_vips(4, **database.vips())
    for service in (*accounts, *world.vips):
        service.wait_healthy()
        assert "cannot be used" not in service.output()
    assert database.query("SELECT count(*) FROM godwit_accounts") == "100"
