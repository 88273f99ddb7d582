# SPDX-License-Identifier: MIT
"""script/up, script/rabbitmq and script/postgres: what they promise about ports, processes and their end."""
import os
import re
import signal
import socket
import subprocess

import pika
import pytest
import requests

import processes
import system
from service import Service
from world import HOST, eventually

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
UP = os.path.join(ROOT, "script", "up")
RABBITMQ = os.path.join(ROOT, "script", "rabbitmq")
READY = "Ctrl-C stops everything"
ON_EACH = pytest.mark.parametrize("broker", [(), ("--broker", "rabbitmq")], ids=["bus", "rabbitmq"])


def free_base():
    """The first of 20 ports in a row that nobody uses, below those the kernel gives out."""
    for base in range(20000, 32000, 20):
        if not any(processes.port_owner(port) for port in range(base, base + 20)):
            return base
    raise AssertionError("no free ports")


@pytest.fixture
def up(tmp_path, programs):
    """Start script/up on free ports in a directory of the test's own."""
    base = free_base()
    started = []

    def start(*arguments, port_base=base):
        env = dict(os.environ, GODWIT_BIN=programs)
        service = Service("script/up", [UP, "--port-base", str(port_base), "--run-dir",
                                        str(tmp_path / "run"), *arguments],
                          port_base, cwd=ROOT, env=env, log_path=tmp_path / "up.log").start()
        started.append(service)
        return service

    start.base = base
    start.run_dir = tmp_path / "run"
    yield start
    for service in started:
        service.stop(30)
    assert_nothing_left(start)


def assert_nothing_left(up):
    """No process and no port."""
    for directory in (up.run_dir, up.run_dir / "rabbitmq", up.run_dir / "once",
                      up.run_dir / "once" / "rabbitmq"):
        assert not processes.marked(str(directory))
    owners = [processes.port_owner(port) for port in range(up.base, up.base + 20)]
    assert not any(owners), owners


def seconds(line):
    """When script/up printed a line of progress, after its start."""
    return float(re.match(r" *(\d+\.\d) s  ", line)[1])


@ON_EACH
def test_once_walks_through_the_main_job(up, broker):
    service = up("--once", *broker)
    assert service.wait_end(120) == 0, service.output()
    output = service.output()
    last = "RabbitMQ" if broker else "configserver"
    assert seconds(service.matching(f"{last} stopped$")[0]) <= 30  # promised, without the build
    assert ("RabbitMQ" in output) == bool(broker)
    assert bool(re.search(r"the embedded bus in \S*once/bus$", output, re.M)) != bool(broker)
    assert len(re.findall(r'vipservice-[12] printed {"accountId": "10000"', output)) == 4
    assert "read an ordinary account" in output and "read an unknown account" in output
    assert "account 10001 is VIP now" in output
    assert_nothing_left(up)


@ON_EACH
def test_ctrl_c_stops_in_order_and_leaves_nothing(up, broker):
    service = up("--vip", "3", *broker)
    service.wait_lines(READY, timeout_s=40)
    assert requests.get(f"http://{HOST}:{up.base}/accounts/10000", timeout=5).status_code == 200
    line = service.wait_lines(r"vipservice-\d.*Got a message")[0]
    assert re.match(r"vipservice-[123] +\| Got a message: ", line)
    os.kill(service.pid, signal.SIGINT)
    assert service.wait_end(30) == 0, service.output()
    stopped = [line.split()[2] for line in service.matching(r"^ *\d+\.\d s  .* stopped$")]
    assert stopped == ["accountservice", "vipservice-1", "vipservice-2", "vipservice-3",
                       "configserver", *(["RabbitMQ"] if broker else [])]
    assert_nothing_left(up)
    assert "Got a message" in "".join(
        (up.run_dir / "logs" / f"vipservice-{i}.log").read_text() for i in (1, 2, 3))


@ON_EACH
def test_it_starts_at_once_after_a_kill(up, broker):
    """With what the first one left ended at once, also when it does not end on its own."""
    first = up(*broker)
    first.wait_lines(READY, timeout_s=40)
    left = processes.marked(str(up.run_dir)) + processes.marked(str(up.run_dir / "rabbitmq"))
    for pid in left:
        os.kill(pid, signal.SIGSTOP)  # it cannot follow a polite request now
    first.kill()
    second = up(*broker)
    second.wait_lines(READY, timeout_s=50)
    line, = second.matching("ended what a killed run had left: .*accountservice.*"
                            + (", RabbitMQ$" if broker else "vipservice$"))
    assert seconds(line) < 5  # asking first would have taken 10 s
    assert not [pid for pid in left if processes.is_running(pid)]
    assert second.stop(30) == 0, second.output()


def test_the_end_of_rabbitmq_is_told_and_it_can_be_started_again(up):
    """Once, with its status and the command; the services wait for it meanwhile."""
    service = up("--broker", "rabbitmq")
    service.wait_lines(READY, timeout_s=40)
    beam, = [pid for pid in processes.marked(str(up.run_dir / "rabbitmq"))
             if processes.process_name(pid).startswith("beam")]
    os.kill(beam, signal.SIGKILL)
    service.wait_lines("RabbitMQ ended with status -9.*The services run on")
    command, = service.wait_lines("script/rabbitmq start --dir ")
    health = f"http://{HOST}:{up.base}/health"
    eventually(lambda: requests.get(health, timeout=5).status_code == 503)
    subprocess.run(command.split(), cwd=ROOT, check=True, timeout=60, stdout=subprocess.DEVNULL)
    eventually(lambda: requests.get(health, timeout=5).status_code == 200, 90, "health")
    requests.get(f"http://{HOST}:{up.base}/accounts/10000", timeout=5)
    service.wait_lines(r"vipservice-\d.*Got a message")
    assert service.stop(30) == 0, service.output()
    assert len(service.matching("RabbitMQ ended")) == 1
    assert_nothing_left(up)


def test_lines_are_printed_to_the_end(up):
    """What a service says while it stops is the reason for the status it stops with."""
    service = up()
    service.wait_lines(READY, timeout_s=40)
    assert service.stop(30) == 0, service.output()
    lines = [line for line in service.lines if re.match(r"[a-z]+service\S* +\||.* stopped$", line)]
    for name in ("accountservice", "vipservice-1", "vipservice-2"):
        told = next(i for i, line in enumerate(lines)
                    if re.match(rf"{name} +\| .*stopped$", line))
        assert told < next(i for i, line in enumerate(lines) if line.endswith(f"s  {name} stopped"))


@pytest.mark.parametrize("text, vip, other", [
    ('vip_accounts: ["10001", "10000"]', "10001", "10002"),
    ("vip_accounts: [10005]", "10005", "10000"),
    ("vip_accounts:\n  - 10007", "10007", "10000"),
    ("vip_accounts: []", None, "10000"),
], ids=["two", "one", "lines", "none"])
def test_what_it_suggests_is_true_of_the_configuration(up, text, vip, other):
    """run/config keeps what was committed in an earlier run. The commands are run as printed."""
    config = str(up.run_dir / "config")
    system.make_config_repository(config)
    path = os.path.join(config, "accountservice-test.yml")
    with open(path, encoding="utf-8") as old:
        changed = re.sub(r"vip_accounts: .*", text, old.read())
    with open(path, "w", encoding="utf-8") as new:
        new.write(changed)
    system.git(config, "commit", "-q", "-a", "-m", "other VIPs")
    service = up("--vip", "1")
    service.wait_lines(READY, timeout_s=40)
    output = service.output()
    suggested = output[output.index("Try, in another terminal"):]

    def run(pattern):
        command = re.search(rf"^  ({pattern}(?:.*\\\n)*.*)$", suggested, re.M)[1]
        subprocess.run(command, shell=True, check=True, cwd=ROOT, timeout=20,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    if vip:
        assert f"/accounts/{vip}\n      reads a VIP account" in suggested
        run("curl .*/accounts/")
        service.wait_lines(f'Got a message.*"{vip}"')
    else:
        assert "none is VIP" in suggested
    assert f"makes {other} the VIP account" in suggested
    if "- " in text:
        shown = re.search(rf'^  edit (.*): vip_accounts: \["{other}"\]$', suggested, re.M)[1]
        assert os.path.samefile(os.path.join(ROOT, shown), path)  # seen from ROOT, if shorter
        return
    run("sed ")
    run("git ")
    run("curl -H ")

    def is_vip():
        requests.get(f"http://{HOST}:{up.base}/accounts/{other}", timeout=5)
        return service.matching(f'Got a message.*"{other}"')

    eventually(is_vip)


def test_no_command_line_shows_a_password(up):
    """Any user of the machine can read those."""
    service = up("--vip", "1", "--broker", "rabbitmq")
    service.wait_lines(READY, timeout_s=40)
    shown = []
    for pid in processes.marked(str(up.run_dir)) + processes.marked(str(up.run_dir / "rabbitmq")):
        with open(f"/proc/{pid}/cmdline", "rb") as words:
            shown.append(words.read())
    for name in (b"configserver", b"accountservice", b"vipservice", b"beam"):
        assert [line for line in shown if name in line.split(b"\0")[0]], name
    assert not [line for line in shown if b"guest" in line]


def test_everything_listens_on_loopback_only(up):
    service = up("--vip", "1")
    service.wait_lines(READY, timeout_s=40)
    assert processes.ports_beyond_loopback(processes.marked(str(up.run_dir))) == []


def test_a_second_one_says_that_the_first_runs(up):
    first = up()
    first.wait_lines(READY, timeout_s=40)
    second = up()
    assert second.wait_end(10) == 1
    assert f"already runs with {up.run_dir} (pid {first.pid})" in second.output()
    assert first.exit_code is None


def test_taken_ports_are_named_with_their_owner(up):
    with socket.create_server((HOST, up.base + 2)), socket.create_server(("", up.base + 11)):
        service = up("--broker", "rabbitmq")
        assert service.wait_end(20) == 1
    me = rf"\(pid {os.getpid()}\)"
    assert re.search(rf"{up.base + 2} for RabbitMQ: taken by .* {me}", service.output())
    assert re.search(rf"{up.base + 11} for vipservice 2: taken by .* {me}", service.output())
    assert not (up.run_dir / "rabbitmq").exists()  # nothing was started


def test_rabbitmq_is_not_needed_on_the_bus(up):
    """Neither its ports nor its files; and what is between the services can be looked at."""
    with socket.create_server((HOST, up.base + 2)):
        service = up("--vip", "1")
        service.wait_lines(READY, timeout_s=40)
        command = re.search(r"^  (\S*godwit bus list (\S+))$", service.output(), re.M)
        assert os.path.samefile(os.path.join(ROOT, command[2]), up.run_dir / "bus")
        shown = subprocess.run(command[1].split(), cwd=ROOT, timeout=20, capture_output=True,
                               text=True, check=True)
        assert "vip_queue" in shown.stdout
        assert not [pid for pid in processes.marked(str(up.run_dir))
                    if (processes.process_name(pid) or "").startswith(("beam", "epmd"))]
        assert service.stop(30) == 0, service.output()
    assert not (up.run_dir / "rabbitmq").exists()


def test_the_other_broker_in_the_same_directory(up):
    """The configuration and the counts stay; which broker is used is said each time anew."""
    for reads, broker in enumerate([(), ("--broker", "rabbitmq"), ()], 1):
        service = up("--vip", "1", *broker)
        service.wait_lines(READY, timeout_s=40)
        requests.get(f"http://{HOST}:{up.base}/accounts/10000", timeout=5)
        service.wait_lines(r"vipservice-1 .*Got a message")
        counted = requests.get(f"http://{HOST}:{up.base + 10}/vips/10000", timeout=5).json()
        assert counted["reads"] == reads
        assert service.stop(30) == 0, service.output()


def test_only_loopback_is_listened_on_by_rabbitmq(broker):
    """All of it: AMQP, the pages, Erlang's distribution and the port mapper."""
    ports = broker.ports
    for port in (ports.amqp, ports.management, ports.distribution, ports.epmd):
        assert re.match(r"(beam|epmd)", processes.port_owner(port))
    assert processes.ports_beyond_loopback(processes.marked(broker.directory)) == []


def test_a_node_for_developers(tmp_path):
    """start, use, crash, start again, stop: script/rabbitmq."""
    directory = str(tmp_path / "node")

    def run(*arguments):
        return subprocess.run([RABBITMQ, *arguments], capture_output=True, text=True, timeout=90,
                              check=False)

    port = free_base()
    started = run("start", "--dir", directory, "--port", str(port))
    try:
        url = f"amqp://guest:guest@127.0.0.1:{port}/"
        assert started.stdout == f"amqp {url}\nmanagement http://127.0.0.1:{port + 1}\n", started
        connection = pika.BlockingConnection(pika.URLParameters(url))
        connection.channel().queue_declare("kept", durable=True)
        connection.close()
        assert "kept" in run("ctl", "--dir", directory, "list_queues", "name").stdout
        # Its database writes what is new up to two seconds later; a queue that young may be forgotten.
        assert run("ctl", "--dir", directory, "eval", "mnesia:sync_log().").stdout == "ok\n"
        assert run("kill", "--dir", directory).returncode == 0
        assert not processes.marked(directory)
        again = run("start", "--dir", directory, "--port", str(port))
        assert again.returncode == 0, again.stderr
        assert "kept" in run("ctl", "--dir", directory, "list_queues", "name").stdout
        with socket.create_server((HOST, port + 10)):
            taken = run("start", "--dir", str(tmp_path / "other"), "--port", str(port + 9))
        assert taken.returncode == 1
        assert re.search(rf"port {port + 10} is taken by .* \(pid {os.getpid()}\)", taken.stderr)
    finally:
        assert run("stop", "--dir", directory).returncode == 0
    assert not processes.marked(directory)


def test_a_database_for_developers(tmp_path):
    """start, use, crash, start again, stop: script/postgres."""
    directory = str(tmp_path / "database")

    def run(*arguments):
        return subprocess.run([os.path.join(ROOT, "script", "postgres"), *arguments],
                              capture_output=True, text=True, timeout=90, check=False)

    port, = processes.free_ports(1)
    started = run("start", "--dir", directory, "--port", str(port))
    try:
        url = rf"postgresql://godwit:(\w+)@127\.0\.0\.1:{port}/godwit\n"
        assert re.fullmatch(url, started.stdout), started
        password = re.fullmatch(url, started.stdout)[1]
        assert run("sql", "--dir", directory, "CREATE TABLE kept (n int)").returncode == 0
        for pid in processes.marked(directory):
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                assert password not in file.read()
        assert run("kill", "--dir", directory).returncode == 0
        assert not processes.marked(directory)
        again = run("start", "--dir", directory)
        assert again.stdout == started.stdout, again
        assert run("sql", "--dir", directory, "SELECT count(*) FROM kept").stdout == "0\n"
        wrong = run("sql", "--dir", directory, "SELECT nonsense")
        assert wrong.returncode == 1 and "nonsense" in wrong.stderr
        taken = run("start", "--dir", str(tmp_path / "other"), "--port", str(port))
        assert taken.returncode == 1 and f"port {port} is taken by postgres" in taken.stderr
    finally:
        assert run("stop", "--dir", directory).returncode == 0
    assert not processes.marked(directory)
    assert run("stop", "--dir", str(tmp_path / "none")).returncode == 1


@pytest.mark.parametrize("arguments, message", [
    (["--vip", "0"], "--vip takes a number from 1 to 50, not '0'"),
    (["--vip"], "--vip needs a value"),
    (["--port-base", "80"], "--port-base takes a number from 1024 to 65400, not '80'"),
    (["--broker", "kafka"], "--broker is bus or rabbitmq, not 'kafka'"),
    (["--nonsense"], "unknown argument '--nonsense'"),
])
def test_wrong_options(arguments, message):
    done = subprocess.run([UP, *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2 and message in done.stderr


@pytest.mark.parametrize("name", ["up", "test", "setup", "rabbitmq", "postgres"])
def test_help_fits_a_screen_and_has_an_example(name):
    done = subprocess.run([os.path.join(ROOT, "script", name), "--help"], capture_output=True,
                          text=True, timeout=20, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and "Example:" in done.stdout
    assert len(lines) <= 30 and max(map(len, lines)) <= 100
