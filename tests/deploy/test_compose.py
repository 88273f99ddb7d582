# SPDX-License-Identifier: MIT
"""deploy/compose/ and deploy/images/: what the composition promises, and what an image is built of.
The images themselves are tested by script/test-swarm, which has an engine."""
import os
import re
import stat
import subprocess
import sys

import manifests

COMPOSE = manifests.DEPLOY / "compose"
IMAGES = manifests.DEPLOY / "images"
SERVICES = ("accountservice", "vipservice", "configserver")
STORES = ("rabbitmq", "postgres")

sys.path.insert(0, str(manifests.ROOT / "tests" / "swarm"))
import spdx  # noqa: E402


def composition():
    """The file, with its anchors resolved."""
    return manifests.yaml.safe_load((COMPOSE / "compose.yml").read_text("utf-8"))


def test_every_service_is_confined():
    services = composition()["services"]
    assert set(services) == {*SERVICES, *STORES}
    for name, service in services.items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert service["mem_limit"] and service["cpus"] and service["pids_limit"], name
        assert "environment" not in service or not any(
            "PASSWORD" in key and not key.endswith("_FILE") for key in service["environment"]), name


def test_ports_are_on_loopback_unless_asked_otherwise():
    for name, service in composition()["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("${ADDRESS:-127.0.0.1}:"), name
        assert name not in STORES or "ports" not in service
        assert name not in STORES or service["networks"] == ["backend"]
    assert composition()["networks"]["backend"] == {"internal": True}


def test_what_is_named_is_there():
    made = composition()
    for service in made["services"].values():
        assert set(service["secrets"]) <= set(made["secrets"])
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source in made["volumes"] or (COMPOSE / source).is_dir(), source
        for other, how in service.get("depends_on", {}).items():
            assert other in made["services"] and how == {"condition": "service_healthy"}


def test_a_stop_takes_no_longer_than_it_may():
    """shutdown_timeout, and 3 s more, after which a service ends itself."""
    shared = manifests.yaml.safe_load((COMPOSE / "config" / "application.yml").read_text("utf-8"))
    timeout = int(shared["shutdown_timeout"].removesuffix("s"))
    for name in SERVICES:
        assert int(composition()["services"][name]["stop_grace_period"].removesuffix("s")) > timeout + 3


def test_secrets_are_made_once(tmp_path):
    directory = tmp_path / "secrets"
    for _ in range(2):
        done = subprocess.run([COMPOSE / "make-secrets", directory], check=True, text=True,
                              capture_output=True)
    assert done.stdout == ""  # the second time there is nothing to make
    names = composition()["secrets"]
    assert sorted(os.listdir(directory)) == sorted(names)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    texts = {(directory / name).read_text("ascii") for name in names}
    assert len(texts) == len(names) and all(re.fullmatch("[0-9a-f]{48}", text) for text in texts)
    ignored = (manifests.ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "/deploy/compose/secrets/" in ignored


def test_what_an_image_is_built_of_is_let_through():
    """.dockerignore leaves out all but what is named, so each COPY needs a line there."""
    allowed = [line[1:] for line in (manifests.ROOT / ".dockerignore").read_text("utf-8").splitlines()
               if line.startswith("!")]
    for file in IMAGES.glob("*Dockerfile"):
        for line in re.findall(r"^COPY (?!--from)(.*)$", file.read_text("utf-8"), re.M):
            for source in line.split()[:-1]:
                assert (manifests.ROOT / source).exists(), source
                assert any(source == each or source.startswith(each + "/") for each in allowed), source


def test_images_run_as_a_user_and_in_the_exec_form():
    for file in IMAGES.glob("*Dockerfile"):
        text = file.read_text("utf-8")
        for stage in re.split(r"^FROM ", text, flags=re.M)[1:]:
            if "ENTRYPOINT" in stage:
                assert re.search(r"^USER 6553\d:6553\d$", stage, re.M), stage.splitlines()[0]
                assert re.search(r'^ENTRYPOINT \["/', stage, re.M), stage.splitlines()[0]
                assert "org.opencontainers.image.revision" in stage
        assert "--mount" not in text.replace("no RUN --mount", "")


def document():
    """A small one that is right."""
    package = {"SPDXID": "SPDXRef-Image", "name": "image x", "versionInfo": "1",
               "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
               "licenseConcluded": "NOASSERTION", "licenseDeclared": "MIT AND Zlib",
               "copyrightText": "NOASSERTION"}
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
            "name": "x", "documentNamespace": "https://spdx.org/spdxdocs/x",
            "creationInfo": {"created": "2026-11-25T00:00:00Z", "creators": ["Tool: x"]},
            "packages": [package],
            "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                               "relatedSpdxElement": "SPDXRef-Image"}]}


def test_the_check_of_sboms_finds_faults():
    assert spdx.faults(document()) == []

    def broken(change):
        wrong = document()
        change(wrong)
        return spdx.faults(wrong)

    assert broken(lambda d: d.update(spdxVersion="SPDX-2.2"))
    assert broken(lambda d: d["packages"].append(dict(d["packages"][0])))  # an id twice
    assert broken(lambda d: d["packages"][0].pop("downloadLocation"))
    assert broken(lambda d: d["packages"][0].update(licenseDeclared="LicenseRef-unknown"))
    assert broken(lambda d: d["packages"][0].update(licenseDeclared="GPL 2"))
    assert broken(lambda d: d["packages"][0].update(filesAnalyzed=True))
    assert broken(lambda d: d["relationships"][0].update(relatedSpdxElement="SPDXRef-Nobody"))
    assert broken(lambda d: d["creationInfo"].update(created="today"))
    assert broken(lambda d: d.update(files=[{"SPDXID": "SPDXRef-File-0", "fileName": "/x"}]))
