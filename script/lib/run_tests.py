# SPDX-License-Identifier: MIT
"""script/test: the steps, one line each, and the sum. script/test holds the help text."""
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

from build import BuildError, build, log_tail
from postgres_server import PostgresServer, ServerError
from processes import DIE_WITH_PARENT, free_ports
from rabbit_node import NodeError, Ports, RabbitNode
from system import ROOT

KINDS = ("lint", "unit", "integration", "abi", "deploy", "e2e", "fault", "cluster", "packages",
         "swarm")
WITH_PYTEST = ("deploy", "e2e", "fault", "cluster")
WITH_LONG = ("fault", "cluster")
PRESETS = {"unit": ("debug", "clang", "asan", "tsan"), "integration": ("debug", "asan", "tsan")}
SOURCES = ("include", "src", "services", "examples", "tests", "bench", "fuzz")
CLANG_FORMAT = "clang-format-14"  # another version formats differently
STEP_TIMEOUT_S = 1500
LONG_TIMEOUT_S = 4 * 3600  # of a step with --long, which tells how far it is
LOGS = os.path.join(ROOT, "build", "test-logs")


@dataclasses.dataclass
class Result:
    """What a step came to. `problems` is text for a person, empty when all went well; `figures` is
    for him too."""

    passed: int = 0
    failed: int = 0
    problems: str = ""
    figures: str = ""


def log_path(step):
    """The step's log."""
    return os.path.join(LOGS, step.replace(" ", "-") + ".log")


def run(command, log, env=None, timeout_s=STEP_TIMEOUT_S, progress=False):
    """Run a command with its output in the log; returns its status, or None after the time.

    With `progress` it inherits our standard output too, as the descriptor GODWIT_PROGRESS_FD.
    """
    fds = [os.dup(sys.stdout.fileno())] if progress else []
    if fds:
        env = dict(os.environ if env is None else env, GODWIT_PROGRESS_FD=str(fds[0]))
    with open(log, "ab") as out:
        child = subprocess.Popen(DIE_WITH_PARENT + command, cwd=ROOT, env=env,
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                 pass_fds=fds, start_new_session=True)
        for fd in fds:
            os.close(fd)
        try:
            return child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:  # also when interrupted, and whatever a test has left in its session
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()


def check_format(log):
    """clang-format over all C files, each one a test."""
    files = sorted(os.path.join(folder, name)
                   for source in SOURCES
                   for folder, _, names in os.walk(os.path.join(ROOT, source))
                   for name in names if name.endswith((".c", ".h")))
    status = run([CLANG_FORMAT, "--dry-run", "--Werror", *files], log)
    if status == 0:
        return Result(passed=len(files))
    with open(log, encoding="utf-8", errors="replace") as text:
        bad = sorted(set(re.findall(r"^(/\S+?):\d+:\d+: error", text.read(), re.M)))
    names = "\n".join(f"    {os.path.relpath(name, ROOT)}" for name in bad)
    return Result(len(files) - len(bad), max(1, len(bad)),
                  f"    not formatted; {CLANG_FORMAT} -i mends it:\n{names}" if bad
                  else log_tail(log))


def cases_of(test):
    """(passed, failed) test cases of one CTest test; one that is no cmocka program counts as 1."""
    output = test.findtext("system-out") or ""
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", output))
    failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", output))
    if test.get("status") == "run":
        return max(passed, 1), 0
    return passed, max(failed, 1)


def run_ctest(preset, label, log, env=None):
    """The tests of a label in a preset's build."""
    report = os.path.join(LOGS, f"{label}-{preset}.xml")
    if os.path.exists(report):
        os.unlink(report)
    jobs = str(os.cpu_count() or 2) if label != "integration" else "1"
    # Whatever is neither of the other two is a unit test: no test is left out for its label.
    choice = ["-LE", "^(lint|integration)$"] if label == "unit" else ["-L", f"^{label}$"]
    command = ["ctest", "--test-dir", os.path.join(ROOT, "build", preset), *choice, "-j", jobs,
               "--output-on-failure", "--no-tests=error", "--output-junit", report,
               "--test-output-size-passed", "1000000", "--test-output-size-failed", "1000000"]
    if preset == "tsan":  # its shadow memory collides with widely randomised addresses
        command = ["setarch", "-R", *command]
    status = run(command, log, env)
    if not os.path.exists(report):
        return Result(failed=1, problems=log_tail(log))
    result = Result()
    for test in xml.parse(report).getroot().iter("testcase"):
        passed, failed = cases_of(test)
        result.passed += passed
        result.failed += failed
        if failed:
            lines = (test.findtext("system-out") or "it did not run").splitlines()[-30:]
            result.problems += "\n".join([f"    {test.get('name')}:",
                                          *(f"      {line}" for line in lines)]) + "\n"
    if status != 0 and not result.failed:
        result = Result(result.passed, 1, log_tail(log))
    return result


def run_pytest(kind, log, long=False):
    """tests/deploy, tests/e2e, tests/fault or tests/cluster on the release programs."""
    report = os.path.join(LOGS, f"{kind}.xml")
    if os.path.exists(report):
        os.unlink(report)
    release = os.path.join(ROOT, "build", "release")
    env = dict(os.environ, GODWIT_BUILD=release, GODWIT_BIN=os.path.join(release, "bin"),
               PYTHONDONTWRITEBYTECODE="1")
    if long:
        print(flush=True)  # lines about the progress follow
    status = run(["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-v",
                  "--durations=10", f"--basetemp={os.path.join(LOGS, f'{kind}-files')}",
                  f"--junitxml={report}", f"tests/{kind}", *(["--long"] if long else [])],
                 log, env, LONG_TIMEOUT_S if long else STEP_TIMEOUT_S, progress=long)
    return pytest_result(report, status, log)


def pytest_result(report, status, log):
    """What pytest's report says; without one, the end of the log."""
    if not os.path.exists(report):
        return Result(failed=1, problems=log_tail(log, 60))
    suite = xml.parse(report).getroot().find("testsuite")
    count = {key: int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"] + count["skipped"]  # none may be left out
    if status != 0 and not failed:
        failed = 1
    problems = (pytest_problems(suite) or log_tail(log)) if failed else ""
    return Result(count["tests"] - failed, failed, problems, pytest_figures(log))


def pytest_figures(log):
    """The section of the output with what the tests have measured, if there is one."""
    with open(log, encoding="utf-8", errors="replace") as text:
        found = re.search(r"^=+ (how long it took.*?) =+\n(.*?)^=", text.read(), re.M | re.S)
    return "".join(f"    {line}\n" for line in
                   (f"{found[1]}:", *found[2].splitlines())) if found else ""


def check_abi(log):
    """script/check-abi on the release build, and its own test."""
    result = Result()
    for arguments in ([], ["--self-test"]):
        if run(["script/check-abi", *arguments], log) == 0:
            result.passed += 1
        else:
            result.failed += 1
    if result.failed:
        result.problems = log_tail(log)
    return result


def pytest_problems(suite):
    """The failed tests, each with the lines of pytest that say what was wrong, cut to a screen."""
    problems = []
    for test in suite.iter("testcase"):
        for fault in [*test.iter("failure"), *test.iter("error"), *test.iter("skipped")]:
            lines = [line for line in (fault.text or "").splitlines()
                     if re.match(r"E |\S+:\d+: ", line)] or [fault.get("message") or ""]
            problems.append(f"    {test.get('classname')}: {test.get('name')}")
            problems += [f"      {line[:200]}" for line in lines[:20]]
    return "\n".join(problems)


def test_packages(log):
    """script/test-packages; each of its steps counts as one."""
    status = run([os.path.join(ROOT, "script", "test-packages")], log)
    with open(log, encoding="utf-8", errors="replace") as text:
        lines = re.findall(r"^packages: .*(ok|FAILED) +[\d.]+ s$", text.read(), re.M)
    result = Result(lines.count("ok"), lines.count("FAILED"))
    if status != 0 or result.failed:
        result = Result(result.passed, max(1, result.failed), log_tail(log))
    return result


def test_swarm(log):
    """script/test-swarm: images, a swarm, and tests/swarm on it."""
    report = os.path.join(LOGS, "swarm.xml")
    if os.path.exists(report):
        os.unlink(report)
    status = run([os.path.join(ROOT, "script", "test-swarm")], log)
    return pytest_result(report, status, log)


class Steps:
    """Runs steps, prints a line for each and keeps the sum."""

    def __init__(self):
        self.passed = self.failed = 0

    def step(self, name, action):
        """Run one; returns whether it went well."""
        log = log_path(name)
        open(log, "wb").close()
        print(f"{name:<20}", end="", flush=True)
        start = time.monotonic()
        try:
            result = action(log)
        except BuildError as error:
            result = Result(failed=1, problems=str(error))
        self.passed += result.passed
        self.failed += result.failed
        verdict = "FAILED" if result.failed else "ok"
        tests = f"{result.passed} passed" if result.passed else ""
        tests += f", {result.failed} failed" if result.failed else ""
        print(f"{verdict:<8}{tests.lstrip(', '):<26}{time.monotonic() - start:7.1f} s", flush=True)
        if result.figures:
            print(result.figures.rstrip(), flush=True)
        if result.failed:
            print(result.problems.rstrip(), flush=True)
            if log not in result.problems:
                print(f"    (log: {log})", flush=True)
        return not result.failed


def build_step(preset):
    """The action that builds a preset. A build is no test, but a failed one counts as one."""
    def action(log):
        build(preset, log)
        return Result()
    return action


def run_presets(steps, kinds, presets):
    """Each preset is built once, then all kinds of tests that use it run."""
    node = None
    server = None
    try:
        for preset in ("debug", "clang", "asan", "tsan"):
            wanted = [kind for kind in ("unit", "integration")
                      if kind in kinds and preset in presets and preset in PRESETS[kind]]
            if preset == "debug" and "lint" in kinds:
                wanted.insert(0, "lint")
            if not wanted or not steps.step(f"build {preset}", build_step(preset)):
                continue
            for kind in wanted:
                env = None
                if kind == "integration":
                    node = node or start_node()
                    server = server or start_server()
                    env = dict(os.environ, GODWIT_TEST_AMQP_URL=node.amqp_url,
                               GODWIT_TEST_AMQP_MGMT_URL=node.management_url,
                               GODWIT_TEST_POSTGRES_URL=server.url)
                steps.step(f"{kind} {preset}",
                           lambda log, k=kind, p=preset, e=env: run_ctest(p, k, log, e))
    finally:
        for started in (node, server):
            if started:
                started.stop()
                shutil.rmtree(started.directory, ignore_errors=True)


def start_node():
    """A private broker for the integration tests."""
    node = RabbitNode(tempfile.mkdtemp(prefix="godwit-test-"), Ports.free())
    node.start(die_with_parent=True)
    return node


def start_server():
    """A private database for the integration tests."""
    server = PostgresServer(tempfile.mkdtemp(prefix="godwit-test-"), free_ports(1)[0])
    server.start(die_with_parent=True)
    return server


def choose(arguments):
    """(kinds, presets) of the command line; a kind or a preset that is not named is all of them."""
    known = KINDS + PRESETS["unit"]
    for name in arguments:
        if name not in known:
            sys.exit(f"script/test: unknown '{name}'; known: {' '.join(known)}")
    kinds = [kind for kind in KINDS if kind in arguments]
    presets = [preset for preset in PRESETS["unit"] if preset in arguments]
    if not kinds:  # a preset alone means the tests that differ by it
        kinds = ["unit", "integration"] if presets else list(KINDS)
    return kinds, presets or list(PRESETS["unit"])


def main(arguments):
    """script/test. Returns the exit status."""
    long = "--long" in arguments
    kinds, presets = choose([name for name in arguments if name != "--long"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.makedirs(LOGS, exist_ok=True)
    steps = Steps()
    start = time.monotonic()
    if "lint" in kinds:
        steps.step("format", check_format)
    run_presets(steps, kinds, presets)
    with_pytest = [kind for kind in WITH_PYTEST if kind in kinds]
    with_release = with_pytest or "abi" in kinds
    if with_release and steps.step("build release", build_step("release")):
        if "abi" in kinds:
            steps.step("abi", check_abi)
        for kind in with_pytest:
            steps.step(kind, lambda log, k=kind: run_pytest(k, log, long and k in WITH_LONG))
    if "packages" in kinds:
        steps.step("packages", test_packages)
    if "swarm" in kinds:
        steps.step("swarm", test_swarm)
    print(f"\n{time.monotonic() - start:.0f} s in all; logs in {os.path.relpath(LOGS)}\n"
          f"{steps.passed} passed, {steps.failed} failed", flush=True)
    return 1 if steps.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except (NodeError, ServerError, OSError) as problem:
        sys.exit(f"script/test: {problem}")
