# SPDX-License-Identifier: MIT
"""The settings of running programs: what is wrong with them, what is in force, and who may see it."""
import re

import requests

from world import HOST, eventually

FILE = "accountservice-test.yml"


def line_of(world, key, name=FILE):
    """The number of the line in which a key stands."""
    lines = world.read_config(name).splitlines()
    return next(i for i, line in enumerate(lines, 1) if line.startswith(f"{key}:"))


def add(world, text, name=FILE):
    """Commit a file with more lines."""
    world.write_config(name, world.read_config(name) + text)


def change(world, key, value, name=FILE):
    """Commit another value of a key that stands in one line."""
    text = re.sub(rf"(?m)^{key}:.*$", f"{key}: {value}", world.read_config(name))
    world.write_config(name, text)


def config_of(world, port=None, **options):
    """GET /config."""
    answer = world.get("/config", port, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def entry(config, key):
    """What it says of a key."""
    return next(e for e in config["settings"] + config["others"] if e["key"] == key)


def refresh(world):
    """POST /actuator/refresh: the keys that have changed."""
    answer = requests.post(f"http://{HOST}:{world.account_port}/actuator/refresh", timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_wrong_values_at_the_start_name_file_and_line(world):
    add(world, "queue_type: stream\nshutdown_timeout: soon\naccess_log: maybe\n")
    world.start_config()
    code, output = world.expect_failure(world.start_account())
    assert code == 1
    for key, value in (("queue_type", "stream"), ("shutdown_timeout", "soon"), ("access_log", "maybe")):
        where = re.escape(f"/{FILE}:{line_of(world, key)} ")
        assert re.search(rf"key '{key}' = '{value}' from \S*{where}is not ", output), output
    assert "cannot start: 3 settings are wrong" in output


def test_a_wrong_value_on_reload_keeps_all_of_the_old(running):
    running.read("10000")
    running.wait_messages(1)
    change(running, "vip_accounts", '["10001", "../etc"]')
    running.post_monitor(FILE)
    running.account.wait_lines("the settings stay as they are")
    assert running.account.matching(r"key 'vip_accounts' = '\.\./etc' from .* is not an account id")
    running.read("10000")  # is a VIP still, and the other is none
    running.read("10001")
    running.read("10000")
    assert {m["accountId"] for m in running.wait_messages(3)} == {"10000"}
    kept = entry(config_of(running), "vip_accounts")
    assert kept["value"] == ["10000"] and kept["waitsFor"] == "a valid configuration"
    assert kept["next"]["value"] == ["10001", "../etc"]
    assert running.account.exit_code is None


def test_config_shows_values_origins_and_the_version(running):
    config = config_of(running)
    assert config["application"] == "accountservice" and config["label"] == "main"
    assert config["profile"] == "test" and str(running.config_port) in config["server"]
    assert re.fullmatch(r"[0-9a-f]{40}", config["version"]) and config["fromCache"] is False
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", config["loadedAt"])
    vips = entry(config, "vip_accounts")
    assert vips["value"] == ["10000"] and FILE in vips["origin"] and vips["effect"] == "live"
    assert entry(config, "server_port")["origin"] == "environment variable GODWIT_SERVER_PORT"
    assert entry(config, "queue_type")["origin"] == "default"
    assert "application.yml" in entry(config, "vip_queue")["origin"]
    for vip in running.vips:
        assert entry(config_of(running, vip.port), "duplicates_age")["value"] == "7d"
    assert entry(config_of(running, running.config_port), "log_level")["value"] == "info"


def test_config_masks_secrets(world):
    add(world, "database:\n  password: hunter2\n  url: postgres://me:hunter2@db/x\n"
               "  jdbc: jdbc:postgresql://db/x?user=me&password=hunter2\n")
    world.start_config()
    world.start_account()
    world.wait_healthy()
    config = config_of(world)
    assert entry(config, "database.password")["value"] == "***"
    assert entry(config, "database.url")["value"] == "postgres://me:***@db/x"
    assert entry(config, "amqp_server_url")["value"] == world.amqp_url.replace("guest@", "***@")
    for accept in ("application/json", "text/html"):
        answer = world.get("/config", headers={"Accept": accept})
        assert answer.headers["Content-Type"].startswith(accept)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "hunter2" not in answer.text and ":guest@" not in answer.text


def test_a_change_of_a_restart_key_waits_for_the_restart(running):
    change(running, "store_dir", "data/elsewhere")
    assert "store_dir" in refresh(running)
    running.account.wait_lines("'store_dir' has changed: that takes effect at the next start")
    waiting = entry(config_of(running), "store_dir")
    assert waiting["value"] == "data/accountservice" and waiting["waiting"] is True
    assert waiting["next"]["value"] == "data/elsewhere" and waiting["waitsFor"] == "the next start"
    running.account.stop()
    running.start_account()
    running.wait_healthy()
    now = entry(config_of(running), "store_dir")
    assert now["value"] == "data/elsewhere" and now["waiting"] is False


def test_refresh_tells_what_changed(running):
    assert refresh(running) == []
    running.set_vip_accounts("10001")
    assert refresh(running) == ["vip_accounts"]
    running.read("10001")
    assert running.wait_messages(1)[0]["accountId"] == "10001"


def test_the_configuration_is_for_this_machine(running):
    for headers in ({"Host": "shop.example"}, {"X-Forwarded-For": "192.0.2.1"}):
        assert running.get("/config", headers=headers).status_code == 403
    add(running, "config_endpoint: off\n")  # YAML makes false of it
    refresh(running)
    assert running.get("/config").status_code == 404
    change(running, "config_endpoint", "on")
    running.post_monitor(FILE)
    eventually(lambda: running.get("/config", headers={"Host": "shop.example"}).status_code == 200)
