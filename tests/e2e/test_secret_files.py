# SPDX-License-Identifier: MIT
"""Passwords in files: GODWIT_AMQP_PASSWORD_FILE and its like, for every program that needs a broker."""
import os
import subprocess

import requests

from world import HOST

USER = "stack"
PASSWORD = "p:a@s/s w%25'\""


def make_user(world):
    """A user of the broker whose password no program knows by itself; returns the URL without it."""
    base, auth = f"{world.broker.management_url}/api", ("guest", "guest")
    user = f"{USER}-{world.vhost}"
    made = requests.put(f"{base}/users/{user}", auth=auth, timeout=10,
                        json={"password": PASSWORD, "tags": ""})
    assert made.status_code < 300, made.text
    allowed = requests.put(f"{base}/permissions/{world.vhost}/{user}", auth=auth, timeout=10,
                           json={"configure": ".*", "write": ".*", "read": ".*"})
    assert allowed.status_code < 300, allowed.text
    return world.amqp_url.replace("guest:guest@", f"{user}@")


def secret_of(tmp_path, text=PASSWORD):
    """The file that it is in, with a line's end as editors leave it."""
    path = tmp_path / "amqp_password"
    path.write_text(text + "\n", encoding="utf-8")
    return str(path)


def test_all_programs_take_the_password_from_a_file(world, tmp_path):
    url, secret = make_user(world), secret_of(tmp_path)
    world.start_config(amqp=url, amqp_password_file=secret)
    world.start_account(amqp_server_url=url, amqp_password_file=secret)
    world.start_vips(1, amqp_server_url=url, amqp_password_file=secret)
    world.wait_healthy()
    world.read("10000")
    world.wait_messages(1)
    world.config.wait_lines("connected")
    shown = world.get("/config").json()["settings"]
    entry = next(e for e in shown if e["key"] == "amqp_password")
    assert entry["value"] == "***"
    assert entry["origin"] == "the file that GODWIT_AMQP_PASSWORD_FILE names"
    for service in (world.config, world.account, *world.vips):
        assert PASSWORD not in service.output() and "p%3Aa%40s" not in service.output()


def test_the_tool_takes_it_from_a_file(world, tmp_path):
    url = make_user(world)
    env = world.environment(amqp_password_file=secret_of(tmp_path))
    done = subprocess.run([os.path.join(world.programs, "godwit"), "dead", "list", "vip_queue",
                           "--url", url], env=env, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 1 and "there is no queue 'vip_queue.dead'" in done.stderr
    env["GODWIT_AMQP_PASSWORD"] = "x"
    done = subprocess.run([os.path.join(world.programs, "godwit"), "dead", "list", "vip_queue",
                           "--url", url], env=env, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 1 and "both GODWIT_AMQP_PASSWORD and" in done.stderr


def test_a_file_that_is_not_there_is_named(world, tmp_path):
    world.start_config()
    missing = str(tmp_path / "missing")
    code, output = world.expect_failure(world.start_account(
        amqp_server_url=f"amqp://stack@{HOST}/", amqp_password_file=missing))
    assert code == 1 and "GODWIT_AMQP_PASSWORD_FILE" in output and missing in output
