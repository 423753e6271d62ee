"""What the guides say is done: their code blocks are applied to a copy of the project, and the result is used."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from respray.segmentation.spec import GRAPH_NAMES
from tests.orchestrator.support import palette_job, put_photos

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "docs" / "guides"
_BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what a guide may change, with what Python and Numba have compiled of it, apart from what others are just writing."""
    for name in ("orchestrator", "respray"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc.*", "*.tmp.*"))
    return tmp_path


def _follow(guide: str, project: Path) -> None:
    """Write the guide's files and make its changes. The lines that a change removes or keeps must be there exactly once."""
    blocks = _BLOCK.findall((GUIDES / guide).read_text())
    assert blocks, f"{guide} has no code blocks with a title"
    for language, name, text in blocks:
        path = project / name
        if language != "diff":
            assert not path.exists(), f"{guide} writes {name}, which exists already"
            path.write_text(text)
            continue
        lines = text.splitlines()
        old = "\n".join(line[1:] for line in lines if not line.startswith("+"))
        new = "\n".join(line[1:] for line in lines if not line.startswith("-"))
        content = path.read_text()
        assert content.count(old) == 1, f"{guide}: {name} has {content.count(old)} places that read\n{old}"
        path.write_text(content.replace(old, new))


def _python(project: Path, script: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


_PARSE = """
import sys, json
from pathlib import Path
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
palette = Path(sys.argv[2]) if len(sys.argv) > 2 else None
job = parse_job(Path(sys.argv[1]).read_bytes(), load_catalog(palette), None)
print(job.items[0].request.model_dump_json())
"""


def test_preset(project: Path) -> None:
    _follow("preset.md", project)
    request = json.loads(_python(project, _PARSE, "job.json"))
    turf = next(concept for concept in request["concepts"] if concept["name"] == "turf")
    assert turf["prompts"] == ["lawn", "grass"] and turf["kind"] == "surface"
    assert request["protect"] == ["Plant"]
    listed = _python(project, "from orchestrator.cli.app import build_app; build_app()(['presets'], standalone_mode=False)")
    assert "garden: Gardens and terraces" in listed
    broken = project / "respray" / "catalog" / "presets" / "garden.yaml"
    broken.write_text(broken.read_text().replace("prompts: [fence]", "prompt: [fence]"))
    done = subprocess.run([sys.executable, "-c", _PARSE, "job.json"], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "garden.yaml" in done.stderr and "Fence" in done.stderr


def test_palette(project: Path) -> None:
    _follow("palette.md", project)
    request = json.loads(_python(project, _PARSE, "job.json", "palette.yaml"))
    rule = request["outputs"][0]["edits"][0]["rule"]
    assert (rule["color"], rule["label"]) == ("#7c9082", "sage")
    message = (project / "job.json").read_text().replace('"sage"', '"sagge"')
    (project / "job.json").write_text(message)
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, "job.json", "palette.yaml"], cwd=project, capture_output=True, text=True, check=False
    )
    assert "did you mean 'sage'?" in done.stderr and "brick" in done.stderr


_FADE = """
import io, json, numpy as np
from PIL import Image
from respray.editing.apply import edit_photo
from respray.contract.request import PhotoRequest
from respray.editing.mask.select import Segments
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
message = {"job_id": "f1", "user_id": "u", "concepts": {"wall": {"action": "fade", "value": 0.5}},
    "items": [{"idx": 0, "input_key": "inputs/u/f1/0.png", "output_key": "outputs/u/f1/0.png", "mask_keys": {"wall": "inputs/u/f1/m.png"}}]}
request = parse_job(json.dumps(message), load_catalog(), None).items[0].request
photo = np.full((64, 96, 3), 80, np.uint8)
mask = np.zeros((64, 96), np.uint8); mask[:, :48] = 255
buffer = io.BytesIO(); Image.fromarray(mask).save(buffer, "PNG")
result = edit_photo(photo, Segments.empty(), request, [buffer.getvalue()])
edited = np.asarray(Image.open(io.BytesIO(result.files[0])))
from respray.editing.core.color import decode_scene
from respray.editing.core.codes import encode_scene
right = encode_scene(decode_scene(photo) * np.float32(0.5) + np.float32(0.5))[0, 0].tolist()
rule = result.report.outputs[0].edits[0].rule
print(json.dumps({"right": right, "inside": edited[32, 20].tolist(), "outside": edited[32, 80].tolist(), "rule": rule}))
"""


def test_rule(project: Path) -> None:
    """From a message to pixels: half way to white in linear light, and the rest is untouched."""
    _follow("rule.md", project)
    shutil.copy(ROOT / "pyproject.toml", project)
    lint = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=project, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout
    result = json.loads(_python(project, _FADE))
    assert result["rule"] == "fade" and result["outside"] == [80, 80, 80]
    assert result["right"][0] > 150 and all(abs(a - b) <= 2 for a, b in zip(result["inside"], result["right"], strict=True)), result


_COMMAND = "from orchestrator.cli.app import main; main()"


def test_target(project: Path) -> None:
    """The new target's repository is for a CPU with Triton's own backend; the command's errors name it; the others are as before."""
    _follow("target.md", project)
    folder = Path(_python(project, _COMMAND, "build", "--target", "onnxruntime_cpu", "--out", "build/cpu").strip())
    for name in GRAPH_NAMES:
        config = text_format.Parse((project / folder / name / "config.pbtxt").read_text(), pb.ModelConfig())
        assert config.backend == "onnxruntime" and config.instance_group[0].kind == pb.ModelInstanceGroup.KIND_CPU
    assert json.loads((project / folder / "respray-build.json").read_text())["gpu_pool"] == 0
    command = [sys.executable, "-c", _COMMAND, "build", "--target", "tpu", "--out", "build/tpu"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "onnxruntime_cpu" in done.stderr
    _python(project, _COMMAND, "build", "--target", "onnxruntime", "--out", "build/gpu")
    gpu = text_format.Parse((project / "build/gpu/sam3_image_encoder/config.pbtxt").read_text(), pb.ModelConfig())
    assert gpu.instance_group[0].kind == pb.ModelInstanceGroup.KIND_GPU


@pytest.fixture
def redis_url() -> Iterator[str]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: scripts/setup_test_tools.sh brings it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL)
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"redis://127.0.0.1:{port}"
    process.terminate()
    process.wait()


_INTAKE = """
import asyncio, os, sys
from pathlib import Path
from orchestrator.intake import open_intake, redis_list
from orchestrator.settings import load_settings
from redis.asyncio import Redis
from tests.orchestrator.support import PipelineUnavailable, TinyPipeline, tiny_worker

mode, url, store = sys.argv[1], sys.argv[2], Path(sys.argv[3])
redis_list.DEAD_AFTER, redis_list.backoff = 1.0, lambda attempt: 0.05

def photo(number, data):
    if mode == "dies": os._exit(9)
    return PipelineUnavailable("away") if mode == "works" and number == 1 else None

async def main():
    settings = load_settings({"ADAPTER": "redis_list", "REDIS_URL": url, "QUEUE_NAME": "jobs", "JOB_CONCURRENCY": "1"}, env_file=None)
    pipeline = TinyPipeline(60 if mode == "is stopped" else 0, photo)
    async with tiny_worker(store, pipeline, patience=0, attempts=9, name=mode) as worker, Redis.from_url(url) as client:
        worker.grace = 0.1
        stop = asyncio.Event()
        running = asyncio.create_task(open_intake(settings).run(worker, stop))
        while not (pipeline.running if mode == "is stopped" else await client.keys("jobs*") == [b"jobs:workers"]):
            assert not running.done(), await running
            await asyncio.sleep(0.02)
        stop.set()
        await running
asyncio.run(main())
"""


def test_intake(project: Path, redis_url: str) -> None:
    """Against a real Redis: one dies, one is stopped, the next does all although a photo fails at first, and nothing is left."""
    _follow("intake.md", project)
    for name in ("__init__.py", "commands.py", "faults", "orchestrator/__init__.py", "orchestrator/support.py"):
        (project / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / "tests" / name).is_dir() else shutil.copy
        copy(ROOT / "tests" / name, project / "tests" / name)
    store = project / "store"

    def worker(mode: str) -> int:
        return subprocess.run([sys.executable, "-c", _INTAKE, mode, redis_url, str(store)], cwd=project, timeout=60, check=False).returncode

    with redis.Redis.from_url(redis_url) as client:
        for name in ("one", "two"):
            put_photos(store, name, 1)
            client.lpush("jobs", json.dumps(palette_job(name, 1)))
        assert worker("dies") == 9 and client.llen("jobs:taken:dies") == client.llen("jobs") == 1
        assert worker("is stopped") == 0 and client.llen("jobs") + client.llen("jobs:taken:dies") == 2
        assert worker("works") == 0 and client.keys("jobs*") == [b"jobs:workers"]
    assert all((store / f"outputs/u_abc/{name}/manifest.json").is_file() for name in ("one", "two"))
