"""Every deployment file against the real schema of its kind: compose, Kubernetes, KEDA, GitHub Actions, Prometheus."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
# What the GPU image's entry point is made of.
LAUNCH = "".join(path.read_text() for path in sorted((ROOT / "respray" / "launch").glob("*.py")))
NODE = Path(__file__).resolve().parent / "node"
KUBERNETES = "1.33"


def _schema(builtin: str, *files: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", builtin, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_follows_the_compose_specification() -> None:
    _schema("vendor.compose-spec", DEPLOY / "compose.yaml")


def test_compose_that_is_wrong_is_refused(tmp_path: Path) -> None:
    """The validator has teeth."""
    (tmp_path / "compose.yaml").write_text((DEPLOY / "compose.yaml").read_text().replace("shm_size:", "shared_memory:"))
    with pytest.raises(AssertionError, match="shared_memory"):
        _schema("vendor.compose-spec", tmp_path / "compose.yaml")


def test_compose_is_consistent_in_itself() -> None:
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = document["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in document["volumes"], mount
        if "build" in service and (file := service["build"].get("dockerfile")) != "Dockerfile":
            assert (ROOT / file).is_file(), file
    assert not services["triton"].get("ports"), "Triton is for its neighbours only"
    for name in ("worker", "worker-cpu"):
        grace = float(services[name]["environment"]["GRACE_PERIOD_SEC"])
        assert float(services[name]["stop_grace_period"].rstrip("s")) > grace, "Docker kills the worker before it has drained"


def test_compose_s_temporary_folders_run_the_embedded_server() -> None:
    """Docker mounts a tmpfs noexec unless told otherwise, and Triton's stub is run from the image's XDG_CACHE_HOME, /tmp/cache."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    read_only = {name: service for name, service in services.items() if service.get("read_only")}
    assert set(read_only) == {"worker", "worker-cpu"}
    for name, service in read_only.items():
        mounts = dict(entry.partition(":")[::2] for entry in service["tmpfs"])
        assert {"exec", "mode=1777"} <= set(mounts["/tmp"].split(",")), name
    assert "XDG_CACHE_HOME=/tmp/cache" in (DEPLOY / "images" / "worker" / "Dockerfile").read_text()


def test_prometheus_finds_the_worker_of_either_profile_and_no_other() -> None:
    """A target that a profile does not start would be reported as gone for ever."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    jobs = yaml.safe_load((DEPLOY / "observe" / "prometheus.yaml").read_text())["scrape_configs"]
    targets = [target.split(":")[0] for job in jobs if job["job_name"] == "respray" for target in job["static_configs"][0]["targets"]]
    assert targets
    for profile in ("cpu", "gpu"):
        started = {name: service for name, service in services.items() if profile in service.get("profiles", [profile])}
        names = {alias for service in started.values() for alias in service.get("networks", {}).get("default", {}).get("aliases", [])}
        assert set(targets) <= names | set(started), f"--profile {profile}"


def test_workflow_follows_github_s_schema_and_has_time_limits() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
    assert workflows
    _schema("vendor.github-workflows", *workflows)
    _schema("custom.github-workflows-require-timeout", *workflows)


def test_workflow_runs_what_exists() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yaml").read_text()
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    for script in re.findall(r"run: (\S+/\S+)", text):
        assert (ROOT / script).stat().st_mode & 0o111, f"{script} is not there or cannot be run"
    for dockerfile in re.findall(r"dockerfile: (deploy/[^}]+)}", text):
        assert (ROOT / dockerfile).is_file()


def _rendered(overlay: str) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl renders the overlays and is not installed; the base's files are checked on their own")
    done = subprocess.run(["kubectl", "kustomize", str(DEPLOY / "kubernetes" / overlay)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def _files() -> list[dict[str, Any]]:
    """Every whole resource as written, without kustomize."""
    found = []
    for path in sorted((DEPLOY / "kubernetes").rglob("*.yaml")):
        if path.name not in ("kustomization.yaml", "spot.yaml") and path.parent.name != "cpu":
            found += list(yaml.safe_load_all(path.read_text()))
    return found


def _validate(resources: list[dict[str, Any]]) -> None:
    """Kubernetes' own OpenAPI schema, strictly (unknown fields are errors)."""
    import kubernetes_validate

    for resource in resources:
        if not resource["apiVersion"].startswith("keda.sh/"):
            kubernetes_validate.validate(resource, KUBERNETES, strict=True)


def test_kubernetes_files_follow_kubernetes_schema() -> None:
    _validate(_files())


@pytest.mark.parametrize("overlay", ["base", "overlays/keda", "overlays/spot"])
def test_kubernetes_overlays_render_and_follow_the_schema(overlay: str) -> None:
    resources = _rendered(overlay)
    _validate(resources)
    assert {"Deployment", "PodDisruptionBudget", "NetworkPolicy", "ConfigMap"} <= {resource["kind"] for resource in resources}


def test_images_are_named_after_the_registry_that_has_them(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "kubernetes" / "base", tmp_path / "base")
    script, file = DEPLOY / "kubernetes" / "set_images.sh", tmp_path / "base" / "kustomization.yaml"
    for registry, version in (("ghcr.io/somebody/", "1.2.3"), ("registry:5000/other", "4.5.6")):  # and again, with the next version
        environment = {**os.environ, "KUSTOMIZATION": str(file)}
        subprocess.run([script, registry, version], env=environment, check=True, capture_output=True)
        pod = next(r for r in _rendered(str(tmp_path / "base")) if r["kind"] == "Deployment")["spec"]["template"]["spec"]
        images = {container["image"] for container in pod["initContainers"] + pod["containers"]}
        assert images == {f"{registry.rstrip('/')}/respray-{name}:{version}" for name in ("triton", "worker")}
    assert subprocess.run([script, "ghcr.io/somebody"], capture_output=True, check=False).returncode == 2


def test_a_rollout_may_take_as_long_as_a_first_start() -> None:
    spec = next(resource for resource in _rendered("base") if resource["kind"] == "Deployment")["spec"]
    triton = next(container for container in spec["template"]["spec"]["initContainers"] if container["name"] == "triton")
    probe = triton["startupProbe"]
    assert spec["progressDeadlineSeconds"] > probe["periodSeconds"] * probe["failureThreshold"]
    account = next(resource for resource in _rendered("base") if resource["kind"] == "ServiceAccount")
    assert account["imagePullSecrets"] == [{"name": "respray-registry"}]


def test_the_cpu_overlay_is_a_whole_stack_without_gpu_secrets_or_registry() -> None:
    resources = _rendered("overlays/cpu")
    _validate(resources)
    deployment = next(resource for resource in resources if resource["kind"] == "Deployment")
    text = json.dumps(resources)
    assert "nvidia" not in text and "secretRef" not in text
    config = next(resource for resource in resources if resource["kind"] == "ConfigMap")["data"]
    assert config["MODEL_NAME"] == "demo" and config["REQUIRE_REAL_MODEL"] == "false"
    pod = deployment["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > float(config["GRACE_PERIOD_SEC"])
    from orchestrator.settings import Settings, spellings

    assert set(config) <= {name for field in Settings.model_fields.values() for name in spellings(field)}


def test_kubernetes_field_that_does_not_exist_is_refused() -> None:
    import kubernetes_validate

    deployment = next(resource for resource in _files() if resource["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 5
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        _validate([deployment])


def _keda(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The published models of KEDA's own Go types, in Node."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: scripts/setup_test_tools.sh brings it")
    if not (NODE / "node_modules").is_dir():
        command = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--prefix", str(NODE)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    kinds = [resource for resource in resources if resource["apiVersion"].startswith("keda.sh/")]
    done = subprocess.run(["node", str(NODE / "validate_keda.mjs")], input=json.dumps(kinds), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def test_keda_resources_follow_keda_s_own_types() -> None:
    answers = _keda(_files())
    assert [answer["name"] for answer in answers] == ["TriggerAuthentication/respray-broker", "ScaledObject/respray"]
    assert [answer["error"] for answer in answers] == [None, None]
    broken = next(resource for resource in _files() if resource["kind"] == "ScaledObject")
    del broken["spec"]["triggers"]
    assert "triggers" in _keda([broken])[0]["error"]


def test_pods_drain_for_longer_than_the_longest_job() -> None:
    """Kubernetes' grace period is above the worker's, and that is not below the longest job; spot nodes give less and hand back."""
    for overlay, finishes in (("base", True), ("overlays/keda", True), ("overlays/spot", False)):
        resources = _rendered(overlay)
        config = next(resource for resource in resources if resource["kind"] == "ConfigMap")["data"]
        pod = next(resource for resource in resources if resource["kind"] == "Deployment")["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] > float(config["GRACE_PERIOD_SEC"])
        assert (float(config["GRACE_PERIOD_SEC"]) >= float(config["LONGEST_JOB_SEC"])) == finishes
        # A job that is handed back spends an attempt on it, so where that is the rule the default of 5 would fail healthy jobs.
        assert finishes or int(config["JOB_ATTEMPTS"]) >= 20


def test_pods_reach_the_name_server_of_their_node_and_no_other_link_local_address() -> None:
    """NodeLocal DNSCache answers at 169.254.20.10; clouds keep their metadata services beside it."""
    policy = next(resource for resource in _files() if resource["kind"] == "NetworkPolicy")
    open_to: dict[str, set[int]] = {}
    for rule in policy["spec"]["egress"]:
        for block in (entry["ipBlock"] for entry in rule["to"] if "ipBlock" in entry):
            if "169.254.0.0/16" not in block.get("except", []):
                open_to.setdefault(block["cidr"], set()).update(port["port"] for port in rule["ports"])
    assert open_to.pop("169.254.20.10/32") == {53} and set(open_to) == {"::/0"}


def test_autoscaling_counts_jobs_that_wait_and_those_in_hand() -> None:
    """By the lists of the queue that the pods read; a pod with a long job and none behind it is not told to stop."""
    from orchestrator.settings import Settings

    resources = _rendered("overlays/keda")
    queue = next(resource for resource in resources if resource["kind"] == "ConfigMap")["data"]["QUEUE_NAME"]
    (scaled,) = (resource for resource in resources if resource["kind"] == "ScaledObject")
    lists = {t["metadata"]["listName"]: t["metadata"] for t in scaled["spec"]["triggers"] if t["type"] == "redis"}
    assert set(lists) == {f"bull:{queue}:wait", f"bull:{queue}:active"}
    assert int(lists[f"bull:{queue}:active"]["listLength"]) == Settings.model_fields["job_concurrency"].default
    assert {found["activationListLength"] for found in lists.values()} == {"0"}


def test_every_setting_that_deployments_use_exists() -> None:
    """A misspelt variable would be ignored in silence."""
    from orchestrator.settings import Settings, spellings

    known = {name for field in Settings.model_fields.values() for name in spellings(field)} | {"OTEL_EXPORTER_OTLP_ENDPOINT"}
    # What the GPU image's own start script reads beside them.
    known |= set(re.findall(r'environment\.get\("([A-Z_]+)"', LAUNCH)) | {"RUNPOD_INIT_TIMEOUT"}  # read by Runpod itself
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    used = {name for service in ("worker", "worker-cpu", "triton") for name in compose["services"][service]["environment"]}
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "kustomization.yaml").read_text())
    used |= {literal.split("=")[0] for literal in kustomization["configMapGenerator"][0]["literals"]}
    used |= set(json.loads((DEPLOY / "runpod" / "template.json").read_text())["env"])
    used |= {entry["key"] for entry in json.loads((ROOT / ".runpod" / "hub.json").read_text())["config"]["env"]}
    assert used <= known, used - known


def test_either_spelling_of_the_models_folder_can_be_set_on_top_of_a_deployment() -> None:
    """They are one setting: a deployment that sets one would make the other an error, and /models is the default."""
    from orchestrator.settings import load_settings
    from respray.volumes import models_root

    compose = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DEPLOY / "compose.yaml").read_text())  # where nothing is set
    triton = {name: str(value or "") for name, value in yaml.safe_load(compose)["services"]["triton"]["environment"].items()}
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "kustomization.yaml").read_text())
    config = dict(literal.split("=", 1) for literal in kustomization["configMapGenerator"][0]["literals"])
    template = json.loads((DEPLOY / "runpod" / "template.json").read_text())["env"]
    entries = json.loads((ROOT / ".runpod" / "hub.json").read_text())["config"]["env"]
    hub = {entry["key"]: entry["value"] for entry in entries if "value" in entry}
    image = re.findall(r"^ENV ((?:.*\\\n)*.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert template.pop("MODEL_PATH") == "/runpod-volume"  # its own place: --env MODEL_PATH=... replaces it
    for given in (triton, config, template, hub, dict(re.findall(r"(\w+)=(\S+)", " ".join(image)))):
        models = {name: value for name, value in given.items() if name.startswith("MODEL_")}
        assert models_root(models) == load_settings(models, env_file=None).model_path == Path("/models")
        for spelling in ("MODEL_PATH", "MODEL_CACHE_DIR"):
            chosen = {**models, spelling: "/runpod-volume"}
            assert models_root(chosen) == load_settings(chosen, env_file=None).model_path == Path("/runpod-volume")


def test_containers_are_started_in_roles_that_the_image_has() -> None:
    text = LAUNCH
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    deployment = next(resource for resource in _files() if resource["kind"] == "Deployment")
    triton = next(c for c in deployment["spec"]["template"]["spec"]["initContainers"] if c["name"] == "triton")
    for command in (compose["services"]["triton"]["command"], triton["args"]):
        assert command == ["triton"] and '"triton"' in text
    for variable in triton["env"]:
        assert f'"{variable["name"]}"' in text


def test_probes_ask_addresses_that_the_worker_serves() -> None:
    health = (ROOT / "orchestrator" / "service" / "health.py").read_text()
    deployment = next(resource for resource in _files() if resource["kind"] == "Deployment")
    (worker,) = deployment["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert f'"{worker[probe]["httpGet"]["path"]}"' in health
    commands = [*worker["args"], *(container["args"][0] for container in deployment["spec"]["template"]["spec"]["initContainers"][:1])]
    for command in commands:
        assert (ROOT / "orchestrator" / "cli" / f"{command}.py").is_file()


# scripts/setup_test_tools.sh puts it beside Python.
PROMTOOL = shutil.which("promtool", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool: scripts/setup_test_tools.sh, or apt-get install prometheus")


def _promtool(*arguments: str) -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_alerts_fire_when_they_should_and_only_then() -> None:
    _promtool("check", "config", str(DEPLOY / "observe" / "prometheus.yaml"))
    assert "SUCCESS" in _promtool("test", "rules", str(DEPLOY / "observe" / "alerts_test.yaml"))


@needs_promtool
def test_kubernetes_scrape_configuration_is_valid(tmp_path: Path) -> None:
    """Debian builds promtool without Kubernetes discovery, so that part is put aside; the rest is checked."""
    config = yaml.safe_load((DEPLOY / "observe" / "prometheus-kubernetes.yaml").read_text())
    for job in config["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["respray"]}}]
        job["static_configs"] = [{"targets": ["pod:8080"]}]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    shutil.copy(DEPLOY / "observe" / "alerts.yaml", tmp_path)
    _promtool("check", "config", str(tmp_path / "prometheus.yaml"))


def test_prometheus_takes_running_pods_for_workers_and_neither_others_nor_the_dead() -> None:
    """One that was taken away with its node stays in the list as Failed, and would be a worker that is gone for days."""
    config = yaml.safe_load((DEPLOY / "observe" / "prometheus-kubernetes.yaml").read_text())
    rules = [rule for rule in config["scrape_configs"][0]["relabel_configs"] if rule.get("action") == "keep"]

    def kept(**changed: str) -> bool:
        # https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config: joined by ";", matched as a whole.
        pod = {"label_app_kubernetes_io_name": "respray", "phase": "Running", "container_port_name": "health"} | changed
        labels = {f"__meta_kubernetes_pod_{name}": value for name, value in pod.items()}
        return all(re.fullmatch(rule["regex"], ";".join(labels.get(name, "") for name in rule["source_labels"])) for rule in rules)

    assert kept() and kept(container_port_name="triton-metrics")
    for changed in ({"phase": "Failed"}, {"phase": "Pending"}, {"label_app_kubernetes_io_name": "redis"}, {"container_port_name": "redis"}):
        assert not kept(**changed), changed


def _expressions() -> list[str]:
    dashboard = json.loads((DEPLOY / "observe" / "grafana" / "dashboards" / "respray.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


@needs_promtool
def test_every_panel_s_query_parses(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{index}", "expr": expression} for index, expression in enumerate(_expressions())]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in _promtool("check", "rules", str(tmp_path / "rules.yaml"))


# Seen in the answer of a running server's /metrics.
_TRITON = [
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_pending_request_count",
    "nv_gpu_utilization",
    "nv_gpu_memory_used_bytes",
    "nv_gpu_memory_total_bytes",
    "nv_cache_num_hits_per_model",
    "nv_cache_num_misses_per_model",
]


def test_dashboard_alerts_and_autoscaling_ask_for_metrics_that_exist() -> None:
    from respray.observe.metrics import Metrics

    metrics = Metrics()
    # A histogram's or counter's samples appear with its labels' first use; the names are in the descriptions.
    families = {family.name: family.type for family in metrics.registry.collect()}
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
    known = {f"{name}{suffix}" for name, kind in families.items() for suffix in suffixes[kind]} | set(_TRITON)
    text = "\n".join([*_expressions(), (DEPLOY / "observe" / "alerts.yaml").read_text()])
    text += (DEPLOY / "kubernetes" / "overlays" / "keda" / "scaled-object.yaml").read_text()
    used = set(re.findall(r"\b(?:respray|nv)_[a-z_]+\b", text))
    assert used and used <= known, used - known


@pytest.mark.server
def test_metrics_of_triton_are_those_of_a_real_server(triton_server: Any) -> None:
    """All but the GPU's own, which a machine without one does not report."""
    import urllib.request

    from respray.top.observation import parse, triton_view

    text = urllib.request.urlopen(triton_server.metrics_url, timeout=10).read().decode()
    assert not {name for name in _TRITON if not name.startswith("nv_gpu") and f"# TYPE {name} " not in text}
    look = parse(text, at=0)
    assert {"pipeline_bls", "applier", "sam3_image_encoder"} <= {model.name for model in triton_view(look, look)}


def test_dashboard_file_is_what_its_script_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("dashboard", DEPLOY / "observe" / "dashboard.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "dashboard", module)
    spec.loader.exec_module(module)
    assert json.loads(module.FILE.read_text()) == module.dashboard(), "run python deploy/observe/dashboard.py"
