"""The files of deploy/, as far as they can be checked without Docker."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from corarec import cli
from corarec.serve.database import store_url
from corarec.serve.metrics import Metrics
from corarec.serve.server import GRACE
from corarec.serve.settings import ServeSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
ROOT = DEPLOY.parent
STOP_SECONDS = ServeSettings.model_fields["drain_seconds"].default + GRACE


def test_the_image_is_not_root_knows_its_health_and_copies_what_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    stages = re.split(r"(?m)^FROM ", text)[1:]
    assert len(stages) == 2
    assert re.search(r"(?m)^USER 10001$", stages[-1])
    assert "/health/ready" in text
    assert "STOPSIGNAL SIGTERM" in text
    for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", text):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists(), name
    known = {
        "FROM",
        "ENV",
        "WORKDIR",
        "RUN",
        "ARG",
        "COPY",
        "USER",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
    }
    known |= {"HEALTHCHECK", "ENTRYPOINT", "CMD"}
    joined = text.replace("\\\n", " ")
    words = {line.split()[0] for line in joined.splitlines() if line and not line.startswith("#")}
    assert words <= known
    for form in re.findall(r"(?m)^(?:ENTRYPOINT|CMD|VOLUME) (\[.*\])$", joined):
        assert json.loads(form)
    python = re.findall(r"python:(\d+)\.(\d+)", text)
    assert {(int(major), int(minor)) >= (3, 11) for major, minor in python} == {True}


def test_compose_mounts_what_there_is_and_leaves_time_to_drain() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    service = services["corarec"]
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert int(service["stop_grace_period"].rstrip("s")) > STOP_SECONDS
    assert service["read_only"] is True
    for each in services.values():
        for volume in each.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), source
            else:
                assert source in compose["volumes"] or volume.startswith("${RUN")
        for port in each.get("ports", []):
            assert port.startswith("127.0.0.1:")
    for secret in ("POSTGRES_PASSWORD", "PGPASSWORD", "GF_SECURITY_ADMIN_PASSWORD"):
        values = [each.get("environment", {}).get(secret) for each in services.values()]
        assert all(value is None or value.startswith("${") for value in values)
    assert (
        service["environment"]["PGPASSWORD"]
        == services["postgres"]["environment"]["POSTGRES_PASSWORD"]
    )
    assert not any("PASSWORD" in word for word in service["command"])
    assert service["depends_on"].keys() <= services.keys()


def test_compose_answers_to_the_names_that_it_is_asked_by_and_to_no_others() -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["corarec"]
    words = service["command"]
    names = {words[n + 1] for n, word in enumerate(words) if word == "--allow-host"}
    (scraped,) = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"]
    asked = {target.split(":")[0] for target in scraped["static_configs"][0]["targets"]}
    published = {port.split(":")[0] for port in service["ports"]}
    assert names == asked | published | {"localhost"}


def test_prometheus_asks_the_service_and_grafana_prometheus() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"]
    assert scraped[0]["static_configs"][0]["targets"] == ["corarec:8000"]
    folder = DEPLOY / "grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    dashboards = json.loads((DEPLOY / "grafana/dashboards/corarec.json").read_text())
    assert {panel["datasource"]["uid"] for panel in dashboards["panels"]} == {source["uid"]}


def counters() -> set[str]:
    """Return the names of all figures that the service gives to Prometheus."""
    counted = Metrics()
    counted.requests.labels("GET", "/", "200").inc()
    counted.request_seconds.labels("/").observe(1)
    counted.events.labels("like").inc()
    return set(re.findall(r"(?m)^(corarec_\w+)", counted.text().decode()))


def test_the_dashboard_shows_counters_that_there_are() -> None:
    shown = set(
        re.findall(r"corarec_\w+", (DEPLOY / "grafana/dashboards/corarec.json").read_text())
    )
    assert len(shown) > 10
    assert shown <= counters()


def test_alerts_are_of_counters_that_there_are_and_prometheus_reads_them() -> None:
    (group,) = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert set(re.findall(r"corarec_\w+", rule["expr"])) <= counters()
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert re.fullmatch(r"\d+[smh]", rule["for"])
    prometheus = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
    jobs = {each["job_name"] for each in prometheus["scrape_configs"]}
    named = re.findall(r'job="(\w+)"', (DEPLOY / "alerts.yaml").read_text())
    assert named
    assert set(named) <= jobs
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    places = {each.split(":")[1] for each in compose["services"]["prometheus"]["volumes"]}
    assert set(prometheus["rule_files"]) <= places


def typed() -> dict[str, list[str]]:
    """Return what each file has `corarec` started with."""
    image = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    entry, given = (
        json.loads(re.findall(rf"(?m)^{word} (\[.*\])$", image)[-1])
        for word in ("ENTRYPOINT", "CMD")
    )
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["corarec"]
    unit = re.findall(r"(?m)^ExecStart=(.+)$", (DEPLOY / "corarec.service").read_text())
    return {
        "Dockerfile": [*entry, *given],
        "compose.yaml": [*entry, *compose["command"]],
        "corarec.service": shlex.split(unit[0]),
    }


@pytest.mark.parametrize("file", typed())
def test_the_command_of_a_file_is_one_that_can_be_typed(file: str) -> None:
    program, verb, *arguments = typed()[file]
    assert Path(program).name == "corarec"
    command = typer.main.get_command(cli.app).commands[verb]  # type: ignore[attr-defined]
    given = command.make_context(verb, arguments).params
    assert given["run"].is_absolute()
    url = given["store"]
    assert store_url(re.sub(r"\$\{\w+.*?\}", "secret", url)).database
    if file == "Dockerfile":
        image = (DEPLOY / file).read_text()
        (volume,) = json.loads(re.findall(r"(?m)^VOLUME (.+)$", image)[0])
        assert url.startswith(f"sqlite:///{volume}/")
        (port,) = re.findall(r"(?m)^EXPOSE (\d+)$", image)
        assert int(port) == given["port"]
        assert f":{port}/health/ready" in image


def test_the_unit_is_whole_and_leaves_time_to_drain() -> None:
    path = DEPLOY / "corarec.service"
    seconds = re.search(r"(?m)^TimeoutStopSec=(\d+)$", path.read_text())
    assert seconds
    assert int(seconds[1]) > STOP_SECONDS
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    ran = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
    )
    said = [line for line in ran.stderr.splitlines() if "is not executable" not in line]
    assert [line for line in said if "corarec.service" in line] == []
