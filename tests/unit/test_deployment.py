"""What `Dockerfile` and `deploy/` say is well formed, and fits the service and itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from compose_spec import PyCompose

from matching_server import config
from matching_server.config import Settings
from scripts.settings_table import variable

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "deploy" / "compose.yaml"
KUBERNETES = ROOT / "deploy" / "kubernetes"
VERSIONS = ["1.34", kubernetes_validate.latest_version()]
SETTINGS = {variable(name, field) for name, field in Settings.model_fields.items()}
SECRETS = {
    variable(name, field) for name, field in Settings.model_fields.items() if "SecretStr" in str(field)
}
OF_THE_SERVICE = re.compile(r"\b(?:MATCHING|ADVISOR)_[A-Z_]+\b")
COMMANDS = {"serve", "worker", "migrate"}
_SLACK_SECONDS = 1
"""After which a drain that hangs ends by itself."""


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def resources() -> list[dict[str, Any]]:
    """All of Kubernetes' own, the placeholders of the secrets included."""
    paths = sorted(KUBERNETES.glob("*.yaml"))
    return [each for path in paths if path.name != "kustomization.yaml" for each in documents(path)]


RESOURCES = resources()
WORKLOADS = [each for each in RESOURCES if each["kind"] in ("Deployment", "Job")]
COMPOSED: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
OURS = {name: one for name, one in COMPOSED["services"].items() if one["image"].startswith("advisor-")}


def name_of(resource: dict[str, Any]) -> str:
    return f"{resource['kind']} {resource['metadata']['name']}"


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = workload["spec"]["template"]["spec"]
    return pod


def data_of(kind: str, name: str) -> dict[str, str]:
    [found] = [each for each in RESOURCES if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    data: dict[str, str] = found["stringData" if kind == "Secret" else "data"]
    return data


def environment_of(workload: dict[str, Any]) -> dict[str, str]:
    """What the container's environment has, and its directory of settings, by the names of the variables."""
    [container] = pod_of(workload)["containers"]
    found = {each["name"]: each["value"] for each in container.get("env", ())}
    for source in container.get("envFrom", ()):
        found |= data_of("ConfigMap", source["configMapRef"]["name"])
    return found


def files_of(workload: dict[str, Any]) -> dict[str, str]:
    """Every file that is mounted, by its path, and its content."""
    pod = pod_of(workload)
    [container] = pod["containers"]
    secrets = {each["name"]: each["secret"]["secretName"] for each in pod["volumes"]}
    return {
        f"{mount['mountPath']}/{key}": value
        for mount in container["volumeMounts"]
        for key, value in data_of("Secret", secrets[mount["name"]]).items()
    }


# ---------------------------------------------------------------------------------------------------------- the image


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_the_program_itself_as_nobody_in_particular() -> None:
    last = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
    assert '\nENTRYPOINT ["matching-server"]\n' in last
    assert '\nCMD ["serve", "--listen", "0.0.0.0:50051"]\n' in last
    assert 'CMD ["matching-server", "probe"]' in last
    assert "RUN" not in last


def test_the_image_is_made_of_what_the_build_is_given() -> None:
    given = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line[:1] == "!"
    }
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    assert {name for names in copied for name in names.split()} == given
    assert all((ROOT / name).exists() for name in given)


# ---------------------------------------------------------------------------------------------------------- everywhere


@pytest.mark.parametrize(
    "path", [DOCKERFILE, *sorted((ROOT / "deploy").rglob("*.*"))], ids=lambda path: path.name
)
def test_every_setting_that_is_named_is_one(path: Path) -> None:
    assert set(OF_THE_SERVICE.findall(path.read_text())) <= SETTINGS


def test_no_image_is_whatever_is_the_latest() -> None:
    images = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    images += [one["image"] for one in COMPOSED["services"].values()]
    images += [container["image"] for each in WORKLOADS for container in pod_of(each)["containers"]]
    assert images
    assert [image for image in images if not re.search(r":\d+\.?\d*", image)] == []


def test_the_image_is_this_release_everywhere() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    ours = f"advisor-matching:{version[1]}"
    assert {one["image"] for one in OURS.values()} == {ours}
    assert {container["image"] for each in WORKLOADS for container in pod_of(each)["containers"]} == {ours}
    [kustomization] = documents(KUBERNETES / "kustomization.yaml")
    assert kustomization["images"][0]["newTag"] == version[1]


# ---------------------------------------------------------------------------------------------------------- compose


def test_the_compose_file_is_well_formed() -> None:
    merged = yaml.safe_dump(COMPOSED)
    assert set(PyCompose.from_yaml(merged).service_names()) == {
        "server",
        "worker",
        "migrate",
        "postgres",
        "redis",
    }
    with pytest.raises(ValueError, match="comand"):
        PyCompose.from_yaml(merged.replace("command:", "comand:"))


def test_compose_waits_for_the_schema_and_for_a_drain() -> None:
    for name in ("server", "worker"):
        assert OURS[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        grace = int(OURS[name]["stop_grace_period"].removesuffix("s"))
        assert grace > int(OURS[name]["environment"]["MATCHING_DRAIN_SECONDS"]) + _SLACK_SECONDS


@pytest.mark.parametrize("name", OURS)
def test_compose_gives_each_of_ours_its_files_and_no_rights(name: str) -> None:
    service = OURS[name]
    assert service["command"][0] in COMMANDS
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    paths = [value for value in service["environment"].values() if value.startswith("/run/secrets/")]
    assert {path.removeprefix("/run/secrets/") for path in paths} <= set(service["secrets"])
    assert {secret for secret in service["secrets"] if secret.isupper()} <= SECRETS
    assert not SECRETS & set(service["environment"])


def test_the_secrets_of_compose_are_those_that_the_script_makes(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    made = tmp_path / "secrets"
    subprocess.run(["sh", ROOT / "deploy" / "make-secrets.sh", made], check=True, timeout=60)
    wanted = {Path(secret["file"]).name for secret in COMPOSED["secrets"].values()}
    assert {path.name for path in made.iterdir()} == wanted
    assert made.stat().st_mode & 0o077 == 0
    assert {secret for one in COMPOSED["services"].values() for secret in one.get("secrets", ())} == wanted


# ---------------------------------------------------------------------------------------------------------- Kubernetes


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resource", RESOURCES, ids=name_of)
def test_kubernetes_would_take_it(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_kubernetes_would_not_take_a_misspelt_one() -> None:
    [server] = [each for each in WORKLOADS if each["metadata"]["name"] == "matching-server"]
    wrong = yaml.safe_load(yaml.safe_dump(server).replace("readinessProbe", "readynessProbe"))
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_the_kustomization_has_every_file_but_the_placeholders_of_secrets() -> None:
    [kustomization] = documents(KUBERNETES / "kustomization.yaml")
    files = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert set(kustomization["resources"]) == files - {"kustomization.yaml", "secrets.example.yaml"}


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_every_pod_has_the_files_that_its_settings_name_and_no_secret_in_its_environment(
    workload: dict[str, Any],
) -> None:
    environment, files = environment_of(workload), files_of(workload)
    directory = environment["MATCHING_SECRETS_DIR"]
    paths = {value for value in environment.values() if value.startswith("/") and value != directory}
    assert paths == {path for path in files if not path.startswith(f"{directory}/")}
    assert {Path(path).name for path in files if path.startswith(f"{directory}/")} <= SECRETS
    assert not SECRETS & set(environment)


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_every_pod_is_locked_down(workload: dict[str, Any]) -> None:
    pod = pod_of(workload)
    [container] = pod["containers"]
    assert container["args"][0] in COMMANDS
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"USER {pod['securityContext']['runAsUser']}:" in DOCKERFILE.read_text()
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", ["matching-server", "matching-worker"])
def test_a_pod_has_the_time_to_drain(name: str) -> None:
    [workload] = [each for each in WORKLOADS if each["metadata"]["name"] == name]
    pod = pod_of(workload)
    stop = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = int(environment_of(workload)["MATCHING_DRAIN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > stop + drain + _SLACK_SECONDS


def test_every_selector_finds_pods() -> None:
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in WORKLOADS]
    for selector in _selectors():
        assert any(selector.items() <= each.items() for each in labels), selector


def _selectors() -> Iterator[dict[str, str]]:
    for each in RESOURCES:
        spec = each.get("spec", {})
        if each["kind"] == "Service":
            yield spec["selector"]
        elif each["kind"] == "NetworkPolicy":
            yield spec["podSelector"]["matchLabels"]
        elif each["kind"] in ("PodDisruptionBudget", "Deployment"):
            yield spec["selector"]["matchLabels"]


@pytest.mark.parametrize(
    "workload", [each for each in WORKLOADS if each["kind"] == "Deployment"], ids=name_of
)
def test_probes_ask_what_the_service_answers(workload: dict[str, Any]) -> None:
    [container] = pod_of(workload)["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    asked = {
        probe: container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert asked == {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
    environment = environment_of(workload)
    assert environment["MATCHING_METRICS_LISTEN"] == f"0.0.0.0:{ports['metrics']}"


# ---------------------------------------------------------------------------------------------------------- settings


def environment_of_the_image() -> dict[str, str]:
    last = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    return dict(re.findall(r"\b(MATCHING_\w+)=(\S+)", last))


ENVIRONMENTS = {name_of(each): environment_of(each) for each in WORKLOADS}
ENVIRONMENTS |= {f"compose {name}": one["environment"] for name, one in OURS.items()}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_settings_are_accepted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable_, value in (environment_of_the_image() | ENVIRONMENTS[name]).items():
        monkeypatch.setenv(variable_, value)
    for variable_ in ("MATCHING_DATABASE_URL", "MATCHING_REDIS_URL"):
        monkeypatch.delenv(variable_, raising=False)
        (tmp_path / variable_).write_text("postgresql+psycopg://somewhere\n")
    monkeypatch.setenv("MATCHING_SECRETS_DIR", str(tmp_path))
    loaded = config.load()
    assert loaded.database_url is not None
    assert loaded.database_url.get_secret_value() == "postgresql+psycopg://somewhere"
    assert loaded.metrics_listen == "0.0.0.0:9464"
    serves = "server" in name
    assert (loaded.listen == "0.0.0.0:50051", loaded.tls_cert is not None) == (serves, serves)
