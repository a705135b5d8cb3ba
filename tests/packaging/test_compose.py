"""docker-compose.yml and the Dockerfile, as far as a machine without Docker can check."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from consumers.settings import ConsumerSettings
from evidence.settings import EvidenceSettings
from gateway import market_file
from gateway.settings import GatewaySettings
from leadgate.settings import Settings, load, rows
from leadgate.share_url import EvidenceHost
from scripts import kafka

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
SETTINGS: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "evidence": EvidenceSettings,
    "buyer-one": ConsumerSettings,
}


def environment(service: str) -> dict[str, str]:
    """A service's environment as compose fills it in when nothing is set outside."""
    given: dict[str, str] = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in given.items()}


def test_the_file_is_what_compose_takes() -> None:
    """It parses and fits the compose specification's own schema."""
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(schema.read_text()))


@pytest.mark.parametrize("service", OURS)
def test_every_command_exists(service: str) -> None:
    """What a container runs is a module of ours, or a file in the image."""
    python, *arguments = SERVICES[service]["command"]
    assert python == "python"
    if arguments[0] == "-m":
        assert importlib.util.find_spec(f"{arguments[1]}.__main__")
    else:
        assert (ROOT / arguments[0]).is_file()


@pytest.mark.parametrize("service", SETTINGS)
def test_every_variable_is_a_setting_and_has_a_good_value(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part takes its settings from what compose gives it, and there is no other name."""
    given = environment(service)
    known = {name for name, _, _ in rows(SETTINGS[service])} | _market_variables()
    assert set(given) - known == set()
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    load(SETTINGS[service])


def test_the_market_is_accepted_with_the_keys_given() -> None:
    """Its file has no mistake, and every key it refers to is in the gateway's environment."""
    name = environment("gateway")["LEADGATE_MARKET"].removeprefix("/app/")
    document = market_file.read((ROOT / name).read_text(), environment("gateway"))
    assert document.mistakes == ()


def test_both_sides_name_the_same_evidence_host() -> None:
    """The market's list and the buyer's own are the service's address, on compose's network."""
    ours = EvidenceHost.parse(environment("buyer-one")["LEADGATE_EVIDENCE_HOSTS"])
    market = yaml.safe_load((ROOT / "examples" / "market.yaml").read_text())
    (host,) = market["evidence_hosts"]
    (subnet,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert host == {"host": ours.authority, "networks": [subnet["subnet"]], "insecure": True}
    assert [str(network) for network in ours.networks] == [subnet["subnet"]]
    assert environment("evidence")["LEADGATE_EVIDENCE_PUBLIC_URL"] == f"http://{ours.authority}"


def test_services_wait_for_what_can_be_waited_for() -> None:
    """Who is waited for until healthy has a health check; so has all that stays up."""
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]
    assert [name for name in SERVICES if "healthcheck" not in SERVICES[name]] == ["prepare"]


@pytest.mark.parametrize("service", [name for name in OURS if name != "prepare"])
def test_every_health_check_is_a_command_that_exists(service: str) -> None:
    """A check that cannot run would keep its service unhealthy for ever."""
    kind, command, *arguments = SERVICES[service]["healthcheck"]["test"]
    assert kind == "CMD"
    if command == "python":
        compile(arguments[1], service, "exec")
    else:
        options = [word for word in arguments if not word.startswith("-") and not word.isdigit()]
        leadgate = Path(sys.executable).parent / command
        done = subprocess.run([leadgate, *options, "--help"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_ports_are_open_to_this_machine_only() -> None:
    """The keys in the file are public, so nothing listens beyond loopback."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_broker_is_the_one_that_was_tested() -> None:
    """Image and test broker are the same release of Kafka."""
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka.version()}"


def test_the_image_is_made_of_files_that_exist_and_are_let_in() -> None:
    """Every source of a COPY is in the checkout, and named in .dockerignore."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    sources = [name for line in copies for name in line.split()]
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(sources) == sorted(let_in)
    assert all((ROOT / name).exists() for name in sources)


def test_settings_written_in_the_image_are_where_volumes_are() -> None:
    """Each database lies on a volume, so that it outlives its container."""
    for service, variable in [
        ("gateway", "LEADGATE_DATABASE_URL"),
        ("evidence", "LEADGATE_EVIDENCE_DATABASE_URL"),
    ]:
        (volume,) = SERVICES[service]["volumes"]
        name, folder = volume.split(":")
        assert name in COMPOSE["volumes"]
        assert environment(service)[variable].startswith(f"sqlite:///{folder}/")


def _market_variables() -> set[str]:
    text = (ROOT / "examples" / "market.yaml").read_text()
    return set(re.findall(r"env: (\w+)", text))
