# SPDX-License-Identifier: MIT
"""Every file of YAML below deploy/ is one."""
import pytest

import manifests

FILES = manifests.yaml_files(manifests.DEPLOY)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(manifests.DEPLOY)))
def test_it_is_read(path):
    """And holds something, with no key twice in one mapping."""
    class Strict(manifests.yaml.SafeLoader):
        """Refuses what PyYAML takes: the last of two equal keys."""

    def mapping(loader, node):
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key twice at {node.start_mark}"
        return loader.construct_mapping(node)

    Strict.add_constructor(manifests.yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    assert any(manifests.yaml.load_all(path.read_text(encoding="utf-8"), Strict))
