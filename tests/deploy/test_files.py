# SPDX-License-Identifier: MIT
"""Every file of YAML below deploy/ is one; what texts about it name is there."""
import re

import pytest

import manifests

FILES = manifests.yaml_files(manifests.DEPLOY)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(manifests.DEPLOY)))
def test_it_is_read(path):
    """And holds something, with no key twice in one mapping."""
    class Strict(manifests.yaml.SafeLoader):
        """Refuses what PyYAML takes: the last of two equal keys. What is merged in is no second."""

        def flatten_mapping(self, node):
            """Before anything is merged."""
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), f"a key twice{node.start_mark}"
            super().flatten_mapping(node)

    assert any(manifests.yaml.load_all(path.read_text(encoding="utf-8"), Strict))


@pytest.mark.parametrize("name", ["docs/deployment.md", "docs/scaling.md",
                                  "deploy/kubernetes/README.md"])
def test_metrics_that_are_watched_are_there(name):
    """An alert on a metric that nobody counts never comes."""
    table = (manifests.ROOT / "docs/metrics.md").read_text("utf-8")
    known = set(re.findall(r"`(godwit_\w+)`", table))
    named = set(re.findall(r"\bgodwit_\w+", (manifests.ROOT / name).read_text("utf-8")))
    assert named <= known, named - known


def test_links_of_texts_lead_somewhere():
    """Those of docs/ are checked by script/lint-docs."""
    for text in manifests.DEPLOY.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]*)?\)", text.read_text("utf-8")):
            assert (text.parent / link).exists(), f"{text.name}: {link}"
