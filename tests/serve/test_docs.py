"""docs/serving.md: its commands run, its limits and routes are those that there are."""

import re
import shlex
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import corarec
from tests.serve.conftest import Serve

from corarec.serve.server import address, bind
from corarec.serve.settings import NO_LIMITS, ServeSettings

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
NOT_RUN = {
    "pip install": "it needs the network; tests/test_readme.py sees that the extra exists",
    "serve deploy ": "it needs a cluster; tests/serve/test_ray_serve.py starts one",
    "docker ": "no Docker runs here; tests/serve/test_deploy.py looks at the files",
    "pg_dump ": "a program of Postgres, of which nothing here is ours",
}
STAND_INS = {"runs/cora-mf-b": "run", "runs/collm-mf": "other"}


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_every_command_of_the_page_runs(
    serve: Serve,
    packed_away: Path,
    served_beside: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the page asks with curl, which is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").symlink_to(served_beside)
    client = serve(store=f"sqlite:///{tmp_path}/run/serve/store.sqlite", run=packed_away)
    served: list[dict[str, Any]] = []

    def serve_settings(settings: ServeSettings, listening: Any) -> None:
        served.append(settings.model_dump())

    monkeypatch.setattr("corarec.serve.server.serve", serve_settings)
    monkeypatch.setattr("corarec.serve.server.open_store", lambda url: client.service.store)
    monkeypatch.setattr(client.service.store, "close", lambda: None)
    ran = 0
    for command in commands():
        if any(command.startswith(words) for words in NOT_RUN):
            continue
        for name, here in STAND_INS.items():
            command = command.replace(name, here)
        words = shlex.split(command)
        if words[0] == "corarec" and words[1] == "serve":
            port = words.index("--port") + 1
            assert corarec("serve", *words[2:port], "0", *words[port + 1 :]) == 0, command
        elif words[0] == "corarec":
            assert corarec(*words[1:]) == 0, (command, capsys.readouterr().err)
        elif words[0] == "curl":
            path = next(word for word in words if "://" in word).partition(":8000")[2]
            body = words[words.index("--json") + 1] if "--json" in words else None
            method = words[words.index("-X") + 1] if "-X" in words else None
            method = method or ("GET" if body is None else "POST")
            headers = {"content-type": "application/json"}
            answer = client.request(method, path, content=body, headers=headers)
            assert answer.status_code == 200, (command, answer.text)
        else:
            assert subprocess.run(words, check=False).returncode == 0, command
        ran += 1
    assert ran > 12
    assert [each["workers"] for each in served].count(2) == 1
    assert [each["beside"] for each in served].count(Path("other")) == 1
    assert (tmp_path / "events.parquet").is_file()
    assert (tmp_path / "backup.sqlite").stat().st_size > 0


def test_the_limits_of_the_page_are_those_that_there_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+)", PAGE, re.MULTILINE)
    told = {name: default for name, default in rows if name in ServeSettings.model_fields}
    fields = ServeSettings.model_fields
    assert set(told) == set(fields) - NO_LIMITS
    for name, default in told.items():
        value = fields[name].default
        if name == "threads":
            continue
        assert default == (
            "none" if value is None else f"{value:g}" if value < 1000 else str(value)
        )


def test_the_routes_of_the_page_are_those_that_there_are(serve: Serve) -> None:
    document = serve(ready=False).get("/openapi.json").json()
    there = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert set(re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`]+)`", PAGE)) >= there


def test_a_socket_has_an_address_to_type() -> None:
    settings = ServeSettings.parse({"run": "x", "port": 0}, "the test")
    with bind(settings) as listening:
        found = address(listening)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", found)
        started = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            urllib.request.urlopen(found, timeout=0.1)
        assert time.monotonic() - started < 5
