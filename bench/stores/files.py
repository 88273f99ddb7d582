# SPDX-License-Identifier: MIT
"""A million accounts from files into a store and out of it, with godwit accounts."""
import os
import subprocess
import time

COUNT = 1000000
NDJSON, CSV = "accounts.ndjson", "accounts.csv"
STEPS = [(("import", NDJSON), "import NDJSON"), (("export", "--force", CSV), "export CSV"),
         (("import", CSV), "import again"), (("import", "--replace", CSV), "import --replace"),
         (("export", "--force", NDJSON), "export NDJSON")]


def measure(program, directory, **store):
    """Seconds of each step, and the most memory of one in KiB. The environment names the store."""
    with open(os.path.join(directory, NDJSON), "w", encoding="ascii") as file:
        file.writelines(f'{{"id":"{10000 + i}","name":"Person_{i}"}}\n' for i in range(COUNT))
    env = dict(os.environ, **store)
    seconds = []
    memory_kib = 0
    for words, _ in STEPS:
        begin = time.monotonic()
        process = subprocess.Popen([program, "accounts", *words], cwd=directory, env=env,
                                   stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, words)
        seconds.append(round(time.monotonic() - begin, 2))
        memory_kib = max(memory_kib, usage.ru_maxrss)
    return seconds, memory_kib


def print_table(rows):
    """{store: what was measured} as a table."""
    titles = [title for _, title in STEPS]
    print(f"\n{COUNT:,} accounts, seconds:\n| | " + " | ".join(titles) + " | MiB |\n" +
          "|---" * (len(titles) + 2) + "|")
    for name, (seconds, memory_kib) in rows.items():
        print(f"| {name} | " + " | ".join(f"{one:.2f}" for one in seconds) +
              f" | {memory_kib / 1024:.0f} |")
