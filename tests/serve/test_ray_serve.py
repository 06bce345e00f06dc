"""Replicas of a service under Ray Serve, on a local cluster."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from corarec.errors import ConfigError
from corarec.serve.opening import url_of
from corarec.serve.settings import ServeSettings

serve = pytest.importorskip("ray.serve", reason="Ray is not installed: pip install 'corarec[ray]'")

FILE = Path(__file__).parents[2] / "deploy" / "ray_serve.yaml"
REPLICAS = 2


def test_the_file_names_what_there_is() -> None:
    from corarec.serve import ray_serve

    told = yaml.safe_load(FILE.read_text("utf-8"))
    (application,) = told["applications"]
    module, _, name = application["import_path"].partition(":")
    assert module == ray_serve.__name__
    assert callable(getattr(ray_serve, name))
    settings = ServeSettings.parse(application["args"], "the file")
    (deployment,) = application["deployments"]
    assert deployment["name"] == ray_serve.DEPLOYMENT
    assert deployment["num_replicas"] == REPLICAS
    assert deployment["ray_actor_options"]["num_cpus"] == settings.threads
    from ray.serve.schema import ServeDeploySchema

    assert ServeDeploySchema.model_validate(told).applications[0].name == "corarec"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"port": 8000}, "option of Ray Serve"),
        ({"workers": 2}, "option of Ray Serve"),
        ({"no_such": 1}, "no_such"),
        ({"run": "/none"}, "is no run"),
    ],
)
def test_what_cannot_be_deployed_is_told(arguments: dict[str, Any], words: str) -> None:
    from corarec.serve.ray_serve import build

    with pytest.raises(ConfigError, match=words):
        build({"run": "x"} | arguments)


def test_a_file_is_no_store_of_several_machines(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from corarec.serve import ray_serve

    monkeypatch.setattr(ray_serve, "_machines", lambda: 2)
    with pytest.raises(ConfigError, match="postgresql"):
        ray_serve.build({"run": str(trained_run), "store": url_of(tmp_path / "store.sqlite")})


@pytest.fixture
def address(trained_run: Path, tmp_path: Path) -> Iterator[str]:
    """Return the address of two replicas of the run."""
    import ray

    from corarec.serve.ray_serve import application
    from corarec.serve.server import check

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    told = {"run": trained_run, "store": url_of(tmp_path / "store.sqlite"), "threads": 1}
    settings = check(ServeSettings.parse(told, "the test"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(application(settings, num_replicas=REPLICAS), name="corarec")
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()
    ray.shutdown()


@pytest.mark.slow
def test_whichever_replica_answers_knows_what_another_was_told(address: str) -> None:
    with httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/health/ready").status_code == 200
        replicas: set[float] = set()
        first = client.get("/v1/recommend", params={"user": "ann"}).json()
        assert not first["known"]
        items = [row["item"] for row in first["items"]]
        for number, item in enumerate(items):
            event = {"user": "ann", "item": item, "kind": "like", "time": number}
            assert client.post("/v1/feedback", json=event).json()["new"] == 1
            # Each answer, whosoever, knows all that was told before.
            for _ in range(4):
                answer = client.get("/v1/users/ann").json()
                assert [each["item"] for each in answer["events"]] == items[number::-1]
                text = client.get("/metrics").text
                line = next(one for one in text.splitlines() if one.startswith("corarec_start"))
                replicas.add(float(line.split()[-1]))
        assert len(replicas) == REPLICAS
        again = client.get("/v1/recommend", params={"user": "ann"}).json()
        assert again["known"]
        assert not set(items) & {row["item"] for row in again["items"]}
        assert "text/html" in client.get("/person", params={"user": "ann"}).headers["content-type"]
        assert client.delete("/v1/users/ann").json()["events"] == len(items)
        for _ in range(4):
            assert client.get("/v1/users/ann").status_code == 404
        assert client.get("/health/ready", headers={"host": "evil.example"}).status_code >= 400
