from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from kaggle_ray.testing.elasticsearch_node import Node, NoNodeError, node_running

_NUMBERS = count()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A real Elasticsearch, which a test may kill and freeze as long as it runs again afterwards."""
    try:
        with node_running(tmp_path_factory.mktemp("elasticsearch")) as running:
            yield running
    except NoNodeError as error:
        pytest.skip(f"there is no Elasticsearch here: {error}")


@pytest.fixture
def settings(node: Node) -> dict[str, str]:
    """Settings of the node, with indices of the test's own."""
    return {"url": node.url, "prefix": f"test-{next(_NUMBERS)}", "timeout_s": "120"}
