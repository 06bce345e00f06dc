"""Replicas of a service under Ray Serve, on a local cluster."""

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from corarec.errors import ConfigError
from corarec.serve.opening import open_store, url_of
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


def test_a_replica_is_well_once_its_run_is_loaded(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import cloudpickle

    from corarec.serve import ray_serve

    monkeypatch.setattr(ray_serve, "_services", [])
    monkeypatch.setattr(ray_serve, "log_as_json", lambda: None)
    settings = ServeSettings.parse({"run": trained_run}, "the test")
    sent = cloudpickle.loads(cloudpickle.dumps(ray_serve._maker(settings)))
    sent()
    (service,) = ray_serve._services  # of this process: where its health is looked for
    assert service.loading

    async def well(seconds: float) -> None:
        await asyncio.wait_for(ray_serve.Replica().check_health(), seconds)

    with pytest.raises(TimeoutError):
        asyncio.run(well(0.3))
    service.failure = "its disk is gone"
    with pytest.raises(RuntimeError, match="its disk is gone"):
        asyncio.run(well(5))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty store."""
    if request.param == "sqlite":
        return url_of(tmp_path / "store.sqlite")
    return str(request.getfixturevalue("postgres").database())


@pytest.fixture
def address(trained_run: Path, url: str) -> Iterator[str]:
    """Return the address of two replicas of the run."""
    import ray

    from corarec.serve.ray_serve import application
    from corarec.serve.server import check

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    told = {"run": trained_run, "store": url, "threads": 1}
    settings = check(ServeSettings.parse(told, "the test"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(application(settings, num_replicas=REPLICAS), name="corarec")
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()
    ray.shutdown()


@pytest.mark.slow
def test_whichever_replica_answers_knows_what_another_was_told(address: str, url: str) -> None:
    with httpx.Client(base_url=address, timeout=60) as client:
        ready = client.get("/health/ready")
        assert ready.status_code == 200, ready.text
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
        # What several send at once counts once, whichever replica takes it.
        event = {"user": "bob", "item": items[0], "kind": "like", "time": 7}
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(client.post, "/v1/feedback", json=event) for _ in range(40)]
            answers = [each.result().json() for each in sent]
        assert sum(answer["new"] for answer in answers) == 1
        assert client.get("/health/ready", headers={"host": "evil.example"}).status_code >= 400
    store = open_store(url, make=False)
    assert [(row["user"], row["item"], row["time"]) for row in store.export()] == [
        ("bob", items[0], 7)
    ]
    store.close()
