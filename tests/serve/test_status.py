import math
import re

import pytest
from tests.serve.conftest import Serve

from corarec.serve.status import figures, quantile


@pytest.mark.parametrize(
    ("buckets", "share", "wanted"),
    [
        ([(1.0, 2.0), (2.0, 4.0), (math.inf, 4.0)], 0.5, 1.0),
        ([(1.0, 2.0), (2.0, 4.0), (math.inf, 4.0)], 0.75, 1.5),
        ([(1.0, 0.0), (2.0, 10.0), (math.inf, 10.0)], 0.1, 1.1),
        ([(1.0, 1.0), (math.inf, 4.0)], 0.5, None),
        ([(1.0, 0.0), (math.inf, 0.0)], 0.5, None),
    ],
)
def test_a_quantile_lies_evenly_within_its_bucket(
    buckets: list[tuple[float, float]], share: float, wanted: float | None
) -> None:
    found = quantile(buckets, share)
    assert found == (None if wanted is None else pytest.approx(wanted))


def test_what_was_asked_and_told_is_counted_on_the_page(serve: Serve) -> None:
    client = serve()
    client.told("/v1/feedback", user="u", item="3", kind="like", time=5)
    client.told("/v1/score", pairs=[{"user": "u", "item": "2"}])
    client.get("/v1/items/no-such")
    found = figures(client.service)
    assert found["events"] == {"like": 1}
    assert found["scored"] == 1
    assert found["statuses"] == {"2xx": 2, "4xx": 1}
    assert {route.name for route in found["routes"]} >= {"/v1/score", "/v1/feedback"}
    text = client.get("/status").text
    assert "<h1>Ready</h1>" in text
    assert re.search(r"<code>/v1/score</code></th><td>1</td><td>[\d.]+ m?s</td>", text)
