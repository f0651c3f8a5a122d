"""The images, the trial site and the manifests: whole, pinned, without rights, and schema-clean.

No container engine is needed: what is checked is what the files say.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from dicom_node import __version__
from dicom_node.cli import app
from dicom_node.settings import load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
UID = 10001


def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage of the Dockerfile -> its instructions, those of the stages it is made from included."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[tuple[str, str]]] = {"": []}
    name = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            source, _, name = rest.partition(" AS ")
            found[name] = list(found.get(source, []))
            if source not in found:
                found[name].append((word, source))
        else:
            found[name].append((word, " ".join(rest.split())))
    return found


def last(instructions: list[tuple[str, str]], word: str) -> str:
    return next(rest for each, rest in reversed(instructions) if each == word)


@pytest.mark.parametrize("target", ["node", "engine"])
def test_an_image_is_pinned_and_runs_without_rights(target: str) -> None:
    instructions = stages()[target]
    (base,) = [rest for word, rest in instructions if word == "FROM"]
    assert base == "python:${PYTHON}"
    assert re.fullmatch(r"PYTHON=3\.\d+-slim-[a-z]+", dict(stages()[""])["ARG"])
    assert last(instructions, "USER") == f"{UID}:{UID}"
    assert not {"ADD", "MAINTAINER", "SHELL"} & {word for word, _ in instructions}
    assert json.loads(last(instructions, "ENTRYPOINT")) == ["dicom-node"]
    command = json.loads(last(instructions, "CMD"))
    shown = CliRunner().invoke(app, [command[0], "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert all(option in shown.output for option in command if option.startswith("--"))
    assert last(instructions, "HEALTHCHECK").partition("CMD ")[2].startswith("[")


def test_the_image_of_the_node_has_no_torch_and_everything_is_at_its_pinned_version() -> None:
    runs = {name: [r for w, r in steps if w == "RUN"] for name, steps in stages().items()}
    installed = [
        part for run in runs["packages"] for part in run.split("&&") if "pip install" in part
    ]
    assert len(installed) == 1
    assert "--constraint constraints.txt" in installed[0]
    extras = re.search(r"\[([a-z,]+)\]", installed[0])
    assert extras is not None
    assert extras[1].split(",") == ["console", "dicomweb", "postgresql"]
    assert ("COPY", "--from=packages /opt/dicom-node /opt/dicom-node") in stages()["node"]
    more = " ".join(runs["engine-packages"])
    assert "s/^torch==//p" in more
    assert "[engine]" in more
    assert re.search(r"^torch==", (DEPLOY / "constraints.txt").read_text(), flags=re.MULTILINE)


def test_what_is_copied_is_there_and_reaches_the_builder_and_nothing_else_does() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert "*" in rules
    copied = {
        source
        for word, rest in stages()["packages"]
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / each).exists() for each in copied)
    assert any(fnmatch.fnmatch("a/__pycache__", rule) for rule in rules)


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return read


def test_the_trial_site_is_whole() -> None:
    site = compose()
    services = site["services"]
    assert set(services) == {
        "node",
        "engine",
        "postgres",
        "orthanc",
        "ohif",
        "prometheus",
        "grafana",
    }
    for name, service in services.items():
        own = name in ("node", "engine")
        assert own or re.search(r":v?\d+(\.\d+)*(-\w+)?$", service["image"]), name
        for dependency in service.get("depends_on", ()):
            assert dependency in services
        for secret in service.get("secrets", ()):
            assert secret in site["secrets"]
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).is_file(), source
                assert volume.endswith(":ro")
            else:
                assert source in site["volumes"]
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:") or (name, port) == ("node", "11112:11112")
        if own:
            assert service["build"]["target"] in stages()
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_parts_of_the_trial_site_know_each_other() -> None:
    services = compose()["services"]
    settings = load(DEPLOY / "compose" / "node.yaml")
    assert settings.engine.address == "engine:9470"
    assert "EXPOSE" in dict(stages()["engine"])
    (peer,) = settings.to_peers()
    (destination,) = settings.to_destinations()
    assert peer.host in services
    assert destination.host in services
    assert f"@{next(n for n in services if n == 'postgres')}/" in str(settings.node.database_url)
    archive = json.loads((DEPLOY / "compose" / "orthanc.json").read_text())
    assert (archive["DicomAet"], archive["DicomPort"]) == (destination.ae_title, destination.port)
    node = settings.node
    assert archive["DicomModalities"]["node"] == [node.ae_title, "node", node.port]
    viewer = (DEPLOY / "compose" / "ohif.conf").read_text()
    assert f"http://orthanc:{archive['HttpPort']}{archive['DicomWeb']['Root']}" in viewer
    watching = yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yml").read_text())
    (job,) = watching["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [f"node:{settings.monitoring.port}"]
    source = yaml.safe_load((DEPLOY / "compose" / "grafana" / "datasource.yaml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"


def resources() -> list[dict[str, Any]]:
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return [
        each
        for name in listed
        for each in yaml.safe_load_all((KUBERNETES / name).read_text(encoding="utf-8"))
    ]


def test_the_images_are_those_of_this_version() -> None:
    images = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["images"]
    assert {each["name"] for each in images} == {"dicom-node", "dicom-node-engine"}
    assert {each["newTag"] for each in images} == {__version__}


def named(kind: str, name: str) -> dict[str, Any]:
    return next(r for r in resources() if (r["kind"], r["metadata"]["name"]) == (kind, name))


@pytest.mark.parametrize(
    "resource", resources(), ids=lambda r: f"{r['kind']}-{r['metadata']['name']}"
)
def test_a_manifest_fits_the_schema_of_kubernetes(resource: dict[str, Any]) -> None:
    kubernetes_validate.validate(resource, "1.31", strict=True)


def test_the_schema_check_finds_a_slip() -> None:
    wrong = named("StatefulSet", "node")
    wrong["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagePullPolice"):
        kubernetes_validate.validate(wrong, "1.31", strict=True)


@pytest.mark.parametrize(("kind", "name"), [("StatefulSet", "node"), ("Deployment", "engine")])
def test_a_pod_has_no_rights(kind: str, name: str) -> None:
    pod = named(kind, name)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == UID
    (container,) = pod["containers"]
    rights = container["securityContext"]
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}
    mounted = {each["name"] for each in container["volumeMounts"]}
    volumes = {each["name"] for each in pod["volumes"]}
    assert mounted - {"data"} == volumes


def test_manifests_and_configuration_fit_each_other() -> None:
    from dicom_node.supervisor.serving import EXIT_WITHIN_S

    settings = load(KUBERNETES / "settings.yaml")
    node = named("StatefulSet", "node")["spec"]
    assert node["replicas"] == 1  # a data folder has one node
    pod = node["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > EXIT_WITHIN_S
    (container,) = pod["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {
        "dicom": settings.node.port,
        "console": settings.console.port,
        "monitoring": settings.monitoring.port,
    }
    engine = named("Service", "engine")
    assert settings.engine.address == f"engine:{engine['spec']['ports'][0]['port']}"
    mounts = [each["mountPath"] for each in container["volumeMounts"]]
    for path in (settings.engine.secret_file, settings.node.database_password_file):
        assert any(str(path).startswith(mount + "/") for mount in mounts)
    assert str(settings.node.data_dir) in mounts


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl, for kustomize")
def test_kustomize_puts_it_together() -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    made = list(yaml.safe_load_all(done.stdout))
    assert len(made) == len(resources()) + 1  # and the configuration
    for each in made:
        kubernetes_validate.validate(each, "1.31", strict=True)
