# SPDX-License-Identifier: MIT
"""script/test-swarm: an engine, images, a swarm, the stack, and the tests. Its help is there."""
import argparse
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

import processes
from own_engine import EngineError, OwnEngine, differences, machine_state, remove_leftovers
from system import ROOT, Clock
from swarm_stack import Docker, DockerError, Deployment

LOGS = os.path.join(ROOT, "build", "test-logs")
ENGINE_LOG = os.path.join(LOGS, "swarm-engine.log")
IMAGES_LOG = os.path.join(LOGS, "swarm-images.log")
STACK_LOG = os.path.join(LOGS, "swarm-stack.log")
REPORT = os.path.join(LOGS, "swarm.xml")
SETUP = os.path.join(ROOT, "script", "setup")
TIME_AT_MOST_S = 1200


class Failed(Exception):
    """A step failed; the text is for a person."""


def say(clock, text):
    """A line about what was done."""
    print(f"{clock}  {text}", flush=True)


def parse(arguments):
    """The command line; --inside is our own, of the process beside our own engine."""
    parser = argparse.ArgumentParser(prog="script/test-swarm", add_help=False)
    parser.add_argument("--own-engine", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("-k", dest="expression")
    parser.add_argument("--inside", action="store_true")
    return parser.parse_args(arguments)


def setup(*groups):
    """Install what is missing."""
    if subprocess.run([SETUP, *groups], check=False).returncode:
        raise Failed("not everything that is needed is installed")


def build_images(docker, tag):
    """All images, with a tag of this run's own: nobody's is replaced."""
    with open(IMAGES_LOG, "wb") as log:
        done = subprocess.run([os.path.join(ROOT, "script", "images"), "--tag", tag],
                              env={**os.environ, "DOCKER": docker.program}, check=False,
                              stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if done.returncode:
        with open(IMAGES_LOG, encoding="utf-8", errors="replace") as log:
            raise Failed(f"the images cannot be built:\n{log.read()[-3000:]}\n({IMAGES_LOG})")


def run_tests(deployment, expression):
    """pytest; returns its status."""
    if os.path.exists(REPORT):
        os.unlink(REPORT)
    env = {**os.environ, **deployment.environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-v", "--durations=10",
               f"--basetemp={os.path.join(LOGS, 'swarm-files')}", f"--junitxml={REPORT}",
               os.path.join(ROOT, "tests", "swarm"), *(["-k", expression] if expression else [])]
    return subprocess.run(processes.DIE_WITH_PARENT + command, env=env, cwd=ROOT, check=False,
                          stdin=subprocess.DEVNULL).returncode


def count():
    """(passed, failed) of the report; one failed if there is none."""
    if not os.path.exists(REPORT):
        return 0, 1
    suite = xml.parse(REPORT).getroot().find("testsuite")
    number = {key: int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")}
    failed = number["failures"] + number["errors"] + number["skipped"]
    return number["tests"] - failed, failed


def deploy_and_test(docker, options, clock):
    """Everything beside an engine; returns whether it went well."""
    deployment = Deployment(docker, f"godwit-test-{secrets.token_hex(3)}")
    try:
        build_images(docker, deployment.tag)
        say(clock, f"built the images godwit/*:{deployment.tag}")
        deployment.init_swarm()
        deployment.make_secrets()
        deployment.deploy()
        say(clock, f"deployed the stack {deployment.name}")
        deployment.wait_healthy()
        say(clock, "all services are healthy")
        is_good = run_tests(deployment, options.expression) == 0
        say(clock, "the tests have run")
        if options.keep:
            say(clock, f"it runs: curl http://127.0.0.1:{deployment.ports['ACCOUNT_PORT']}"
                       "/accounts/10000; Ctrl-C ends it")
            signal.pause()
        return is_good
    finally:
        deployment.write_logs(STACK_LOG)
        if not options.inside:  # our own engine goes with all it has
            deployment.remove()
            say(clock, "removed the stack and what was made for it")


def beside_own_engine(options, arguments, clock):
    """Start an engine that ends with us, and ourselves beside it; returns whether it went well."""
    for tool in ("dockerd", "slirp4netns", "iptables"):
        if not shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            raise Failed(f"there is no {tool}")
    for directory in remove_leftovers():
        say(clock, f"removed what a killed run left: {directory}")
    with OwnEngine(ENGINE_LOG) as engine:
        before = machine_state_without(engine.directory)
        say(clock, f"starting an engine in namespaces of its own, files in {engine.directory}")
        status = engine.run([sys.executable, "-B", os.path.realpath(__file__), "--inside",
                             *arguments], with_network=True)
    left = differences(before, machine_state(engine.directory))
    say(clock, "the engine is gone; the machine is as it was" if not left else
        "the machine is not as it was:\n    " + "\n    ".join(left))
    if status < 0 or status > 128:
        raise Failed(f"what runs beside the engine was ended by signal {status}")
    return status == 0 and not left


def machine_state_without(directory):
    """As the machine was before the run's directory was made."""
    return {**machine_state(directory), "files": [], "processes": []}


def give_back_logs():
    """The logs belong to who called sudo."""
    if os.geteuid() == 0 and os.environ.get("SUDO_UID"):
        user = pwd.getpwuid(int(os.environ["SUDO_UID"]))
        for folder in (LOGS, os.path.join(ROOT, "build")):
            for name in os.listdir(folder) if os.path.isdir(folder) else []:
                if name.startswith(("swarm", "images")):
                    subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}",
                                    os.path.join(folder, name)], check=False)


def main(arguments):
    """Returns the exit status."""
    options = parse(arguments)
    clock = Clock()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.makedirs(LOGS, exist_ok=True)
    if options.inside:
        return 0 if deploy_and_test(Docker.found(), options, clock) else 1
    if os.path.exists(REPORT):
        os.unlink(REPORT)
    docker = None if options.own_engine else Docker.usable()
    if docker:
        setup("runtime", "test", "images")
        say(clock, f"using the engine that runs, {docker.version}")
        is_good = deploy_and_test(docker, options, clock)
    else:
        setup("runtime", "test", "images", *([] if shutil.which("dockerd") else ["engine"]), "swarm")
        if os.geteuid() != 0:
            os.execvp("sudo", ["sudo", "--", sys.executable, "-B", os.path.realpath(__file__),
                               "--own-engine", *arguments])
        try:
            is_good = beside_own_engine(options, arguments, clock)
        finally:
            give_back_logs()
    passed, failed = count()
    failed = failed or (0 if is_good else 1)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except (Failed, EngineError, DockerError, OSError) as problem:
        print(f"script/test-swarm: {problem}", file=sys.stderr)
        sys.exit(1)
