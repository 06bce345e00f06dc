"""What the page alone asks for is counted like what the API is asked."""

from pathlib import Path

import pytest
from tests.serve.conftest import Serve, Served


def scored(client: Served) -> float:
    (line,) = [
        line
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("corarec_scored_pairs_total ")
    ]
    return float(line.split()[1])


@pytest.mark.parametrize("beside", ["run", "text"])
def test_pairs_of_the_list_beside_are_counted(
    serve: Serve, served_beside: Path, beside: str
) -> None:
    client = serve(beside=served_beside)
    assert client.get("/person?user=1").status_code == 200
    alone = scored(client)
    assert alone > 0
    assert client.get(f"/person?user=1&beside={beside}").status_code == 200
    assert scored(client) == pytest.approx(3 * alone)


def test_pairs_of_explanations_are_counted(serve: Serve) -> None:
    client = serve()
    assert client.get("/why?user=1&item=3").status_code == 200
    of_page = scored(client)
    row = client.told("/v1/rank", user="1", items=["3"], explain=True)["items"][0]
    effects = len(row["explanation"]["effects"])
    assert effects > 1
    assert of_page == 1 + effects
    assert scored(client) == of_page + 1 + 1 + effects
