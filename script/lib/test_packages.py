# SPDX-License-Identifier: MIT
"""script/test-packages: the steps. It holds the help text, and gives us our namespaces."""
import concurrent.futures
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

from package_machine import Machine, MachineError, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LOGS = os.path.join(ROOT, "build", "packages-test")
PACKAGES = ("libgodwit0", "libgodwit-dev", "godwit")
PROGRAMS = ("accountservice", "vipservice", "configserver", "healthchecker", "godwit")
UNITS = ("configserver", "vipservice", "accountservice")  # in the order of starting
OUR_NAMES = re.compile("godwit|accountservice|vipservice|configserver|healthchecker")
EXAMPLES = "/usr/share/doc/libgodwit-dev/examples"
WAIT_S = 20


def check(what, expected, got):
    """Both values, when they differ."""
    if expected != got:
        raise MachineError(f"{what}: expected {expected!r}, got {got!r}")


def wait_for(what, expected, ask):
    """Ask until it is as expected."""
    deadline = time.monotonic() + WAIT_S
    while (got := ask()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    check(what, expected, got)


def debs(folder):
    """The three packages in a folder."""
    found = [glob.glob(os.path.join(folder, f"{name}_*.deb")) for name in PACKAGES]
    for name, paths in zip(PACKAGES, found):
        check(f"{name} in {folder}", 1, len(paths))
    return [paths[0] for paths in found]


def version_of(deb):
    """As dpkg knows it."""
    return subprocess.run(["dpkg-deb", "-f", deb, "Version"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


class PackagesTest:
    """What the steps share."""

    def __init__(self, work, packages):
        self.work = work
        self.packages = packages
        self.machine = Machine(os.path.join(work, "root"), LOGS)
        self.log = os.path.join(LOGS, "test.log")
        # script/test-packages made it there; the kernel allows no user namespaces in a chroot
        self.in_chroot = os.path.isdir(os.path.join(work, "here"))
        self.made = None  # the machine, which is made while the packages are built
        self.files_before = set()
        self.n_reads = 0

    # ---- without systemd -----------------------------------------------------------------

    def build(self):
        """The packages, of HEAD."""
        if self.packages is None:
            self.packages = os.path.join(self.work, "built")
            run([os.path.join(ROOT, "script", "package"), "--out", self.packages], self.log, 1200)

    def lintian(self):
        """Debian's own checks: no errors, and no warnings either."""
        changes = glob.glob(os.path.join(self.packages, "godwit_*.changes"))
        check("files *.changes", 1, len(changes))
        run(["lintian", "--allow-root", "--fail-on", "error,warning", *changes], self.log)

    def contents(self):
        """The unit files are those of deploy/systemd/, and what they and the settings point to is there."""
        for path in sorted(glob.glob(os.path.join(ROOT, "deploy/systemd/*.service"))):
            name = os.path.basename(path)
            with open(path, encoding="utf-8") as unit:
                check(name, unit.read(), self.machine.read(f"/lib/systemd/system/{name}"))
        named = self.machine.shell("grep -rhoE '/usr/share/doc/[^ ;]+[a-z]' /etc/godwit "
                                   f"{' '.join(f'/lib/systemd/system/{unit}.service' for unit in UNITS)}")
        check("documents that are not there", [], [
            path for path in named.split() if not os.path.exists(self.machine.path(path))])
        check("documents that are named", True, len(named.split()) > len(UNITS))

    def install(self):
        """By apt, with the dependencies that they name and nothing else; all programs start."""
        it = self.machine
        self.made.result()
        it.open()
        before = it.files()
        it.apt("update")
        self._copy_in(self.packages)
        it.apt("install", *self._inside())
        for name in PROGRAMS:
            said = it.run(name, "--version")
            check(f"{name} --version", True, said.startswith(f"{name} "))
        check("the user", "godwit", it.run("id", "-un", "godwit").strip())
        check("what is enabled", [], glob.glob(
            it.path("/etc/systemd/system/*.wants/*service.service")))
        check("state before a start", False, os.path.exists(it.path("/var/lib/godwit")))
        self.files_before = before | {path for path in it.files() if not OUR_NAMES.search(path)}

    def _copy_in(self, folder):
        shutil.rmtree(self.machine.path("/packages"), ignore_errors=True)
        os.makedirs(self.machine.path("/packages"))
        for path in debs(folder):
            shutil.copy(path, self.machine.path("/packages"))

    def _inside(self):
        return sorted(f"/packages/{name}" for name in os.listdir(self.machine.path("/packages")))

    def examples(self):
        """Built with pkg-config, shared and static, and with find_package(); one of each is run."""
        it = self.machine
        it.apt("install", "gcc", "libc6-dev", "make", "pkg-config", "cmake")
        self.files_before |= {path for path in it.files() if not OUR_NAMES.search(path)}
        it.shell(f"cp -r {EXAMPLES} /tmp/examples && cp -r {EXAMPLES} /tmp/static")
        it.shell("cd /tmp/examples/installed && make -s publish greeter && "
                 "cmake -S . -B build && cmake --build build && "
                 "cd /tmp/static/installed && make -s STATIC=yes publish")
        for program in ("examples/installed", "examples/installed/build", "static/installed"):
            said = it.run(f"/tmp/{program}/publish", "bus:/tmp/bus", "greetings", "Ada")
            check(f"{program}/publish", True, "accepted as " in said)
        check("messages on the bus", True, " 3 " in it.run("godwit", "bus", "list", "/tmp/bus"))
        libraries = it.run("ldd", "/tmp/examples/installed/greeter", "/tmp/static/installed/publish")
        check("links with libgodwit.so.0", 1, libraries.count("libgodwit.so.0 =>"))
        it.shell("rm -rf /tmp/*")

    # ---- with systemd --------------------------------------------------------------------

    def units(self):
        """What systemd says about them."""
        for unit in UNITS:
            check(f"verify {unit}", "", self.machine.run(
                "systemd-analyze", "verify", "--man=no", f"/lib/systemd/system/{unit}.service"))

    def start(self):
        """Nothing runs before it is asked to; then an account is read and counted, with a secret
        that only systemd could hand over."""
        it = self.machine
        if self.in_chroot:
            for unit in UNITS:
                it.write(f"/etc/systemd/system/{unit}.service.d/chroot.conf", "[Service]\nPrivateUsers=no\n")
        it.boot()
        for unit in UNITS:
            check(f"{unit} after the installation", "disabled inactive", self._state(unit))
        it.write("/etc/credstore/godwit.encrypt-key", "a key that root alone reads", permissions=0o600)
        cipher = it.shell("printf %s 10001 | godwit config encrypt "
                          "--key-file /etc/credstore/godwit.encrypt-key").strip()
        it.write("/etc/godwit/config/accountservice.yml",
                 f"server_port: 6767\nvip_accounts: ['{cipher}']\n")
        it.write("/etc/godwit/configserver.yml", "encrypt.key-file: "
                 "/run/credentials/configserver.service/godwit.encrypt-key\n", "a")
        it.run("systemctl", "enable", "--now", *UNITS)
        for unit in UNITS:
            check(unit, "enabled active", self._state(unit))
        self._read_account()
        it.run("healthchecker", "-port", "6868")
        self._expect_quiet_logs()

    def _state(self, unit):
        both = self.machine.shell(f"systemctl is-enabled {unit} || true; systemctl is-active {unit} || true")
        return both.strip().replace("\n", " ")

    def _main_pid(self, unit):
        return self.machine.run("systemctl", "show", "-p", "MainPID", "--value", unit).strip()

    def _read_account(self):
        it = self.machine
        check("the account", {"id": "10001", "name": "Person_1"}, {
            key: value for key, value in json.loads(it.curl("http://127.0.0.1:6767/accounts/10001")).items()
            if key != "servedBy"})
        self.n_reads += 1

    def _expect_counted(self):
        wait_for("reads that vipservice counted", self.n_reads, lambda: json.loads(
            self.machine.curl("http://127.0.0.1:6868/vips/10001")).get("reads"))

    def _expect_quiet_logs(self):
        """What the restrictions keep from a service would be in its log."""
        self._expect_counted()
        said = self.machine.run("journalctl", "--no-pager", "-o", "cat",
                                *(f"--unit={unit}" for unit in UNITS))
        check("warnings and errors in the log", [], [
            line for line in said.splitlines() if re.search(r" (WARN|ERROR) ", line)
            and "there are no users" not in line])  # which is so

    def restrictions(self):
        """They are in force; the state is the user's alone."""
        it = self.machine
        for unit in UNITS:
            pid = self._main_pid(unit)
            status = it.status(pid)
            check(f"{unit}: seccomp, privileges, capabilities", ("2", "1", "0000000000000000"), (
                status["Seccomp"], status["NoNewPrivs"], status["CapBnd"]))
            check(f"{unit}: user", "godwit", it.run("stat", "-c", "%U", f"/proc/{pid}").strip())
        check("state", "godwit 700", it.run("stat", "-c", "%U %a", "/var/lib/godwit").strip())

    def life(self):
        """A reload keeps the process; one that is killed comes back; a stop is a clean end."""
        it = self.machine
        pid = self._main_pid("accountservice")
        it.run("systemctl", "reload", "accountservice")
        check("the process after a reload", pid, self._main_pid("accountservice"))
        it.run("systemctl", "kill", "--signal=KILL", "accountservice")
        wait_for("it came back", True, lambda: self._main_pid("accountservice") not in ("0", pid)
                 and self._state("accountservice") == "enabled active")
        self._read_account()
        self._expect_counted()
        it.run("systemctl", "stop", "vipservice")
        check("the result of a stop", "success", it.run(
            "systemctl", "show", "-p", "Result", "--value", "vipservice").strip())
        self._read_account()  # waits on the bus

    # ---- upgrade, remove, purge --------------------------------------------------------------

    def _repack(self, folder):
        """The same packages as the next revision, with another text in one of the settings."""
        os.makedirs(folder)
        for deb in debs(self.packages):
            tree = os.path.join(self.work, "tree")
            shutil.rmtree(tree, ignore_errors=True)
            run(["dpkg-deb", "-R", deb, tree], self.log)
            old = version_of(deb)
            control = os.path.join(tree, "DEBIAN", "control")
            with open(control, encoding="utf-8") as text:
                changed = text.read().replace(old, f"{old}.1")
            with open(control, "w", encoding="utf-8") as text:
                text.write(changed)
            settings = os.path.join(tree, "etc/godwit/config/vipservice.yml")
            if os.path.exists(settings):
                with open(settings, "a", encoding="utf-8") as text:
                    text.write("# of the next revision\n")
            run(["dpkg-deb", "-b", "--root-owner-group", tree, folder], self.log)

    def upgrade(self):
        """What ran is restarted, what was stopped stays so, and settings that were edited stay."""
        it = self.machine
        it.write("/etc/godwit/accountservice.env", "# edited here\n", "a")
        it.write("/etc/godwit/config/other.yml", "a: b\n")
        pids = {unit: self._main_pid(unit) for unit in UNITS}
        self._repack(os.path.join(self.work, "next"))
        self._copy_in(os.path.join(self.work, "next"))
        it.apt("install", *self._inside())
        installed = it.run("dpkg-query", "-W", "-f", "${Version} ", *PACKAGES).split()
        check("versions", [f"{version_of(debs(self.packages)[0])}.1"] * 3, installed)
        for unit in ("configserver", "accountservice"):
            check(unit, "enabled active", self._state(unit))
            check(f"{unit} is a new process", True, self._main_pid(unit) not in ("0", pids[unit]))
        check("vipservice, which was stopped", "enabled inactive", self._state("vipservice"))
        self._expect_edited()
        check("a setting that nobody edited", True,
              "# of the next revision" in it.read("/etc/godwit/config/vipservice.yml"))
        self._read_account()
        it.run("systemctl", "start", "vipservice")
        self._expect_counted()  # what waited on the bus as well

    def _expect_edited(self):
        it = self.machine
        check("the edited settings", (True, True, True), (
            "# edited here" in it.read("/etc/godwit/accountservice.env"),
            "{cipher}" in it.read("/etc/godwit/config/accountservice.yml"),
            os.path.exists(it.path("/etc/godwit/config/other.yml"))))

    def remove(self):
        """The services end; settings and state stay."""
        it = self.machine
        it.apt("remove", *PACKAGES)
        for unit in UNITS:
            check(unit, "inactive", self._state(unit).split()[-1])
        check("processes of the user", "", it.shell(
            "for p in /proc/[0-9]*; do [ $(stat -c %U $p) != godwit ] || cat $p/comm; done"))
        check("units", [], [unit for unit in UNITS
                            if os.path.exists(it.path(f"/lib/systemd/system/{unit}.service"))])
        self._expect_edited()
        check("the state", True, os.path.isdir(it.path("/var/lib/godwit/bus")))

    def purge(self):
        """Nothing is left."""
        it = self.machine
        it.apt("purge", "godwit")  # the others have no settings, and are gone
        it.shell("rm -rf /packages /etc/credstore /etc/systemd/system/*.service.d/chroot.conf; "
                 "rmdir --ignore-fail-on-non-empty /etc/systemd/system/*.service.d 2>/dev/null || true")  # which the test made
        left = it.files()
        check("files with our names", [], sorted(
            path for path in left if OUR_NAMES.search(path)))
        check("other files", [], sorted(
            path for path in left - self.files_before if not path.startswith("/var/lib/systemd/")))
        check("failed units", "", it.run("systemctl", "--failed", "--plain", "--no-legend").strip())


class Steps:
    """Runs them, a line each."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, name, action):
        """Returns whether it went well."""
        print(f"packages: {name:<44}", end="", flush=True)
        start = time.monotonic()
        problem = None
        try:
            action()
        except (MachineError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            problem = error
        print(f"{'ok' if problem is None else 'FAILED':<8}{time.monotonic() - start:6.1f} s", flush=True)
        if problem is not None:
            print(f"{problem}\n(logs: {LOGS})", flush=True)
            self.failed += 1
        else:
            self.passed += 1
        return problem is None


def main(arguments):
    """Returns the exit status."""
    work = arguments.pop(0)
    packages = None
    if arguments:
        if arguments[0] != "--packages" or len(arguments) != 2:
            sys.exit("test-packages: see --help")
        packages = os.path.abspath(arguments[1])
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)
    test = PackagesTest(work, packages)
    steps = Steps()
    if test.in_chroot:
        print("packages: this is a chroot: the units run without PrivateUsers", flush=True)
    pool = concurrent.futures.ThreadPoolExecutor()
    try:
        test.made = pool.submit(test.machine.make)
        for name, action in (
                ("the packages are built", test.build),
                ("lintian", test.lintian),
                ("a minimal system takes them", test.install),
                ("their units are those of deploy/systemd", test.contents),
                ("the examples: pkg-config, find_package", test.examples),
                ("systemd-analyze verify", test.units),
                ("started: an account is read and counted", test.start),
                ("the restrictions are in force", test.restrictions),
                ("reload, kill, stop", test.life),
                ("upgrade", test.upgrade),
                ("remove", test.remove),
                ("purge", test.purge)):
            if not steps.run(name, action):
                break
    finally:
        test.machine.shut_down()
    print(f"packages: {steps.passed} passed, {steps.failed} failed", flush=True)
    return 1 if steps.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
