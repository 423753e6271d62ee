"""`respray build` and the parts of `respray bench` that need no server."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmarks import report as reports
from benchmarks import stage1
from benchmarks.load import Level, ModelShare
from benchmarks.perf_inputs import inputs
from benchmarks.pipeline import draw, numbers
from benchmarks.sweep import VALUES, Point, best, command
from benchmarks.work import BenchmarkError, load_photos, make_request
from orchestrator.cli.app import build_app
from orchestrator.errors import ResprayError, SettingsError
from respray.contract import tensors
from respray.contract.request import PhotoRequest
from respray.triton.repository.targets import target
from tests.triton.photos import jpeg

PERF_CSV = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,Server Compute Infer,"
    "Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency,request/response,response wait\n"
    "2,2.5,21,3036,280,50,853344,1048,6,744128,1341704,1387944,1522770,27,857621\n"
    "1,2.2,24,1136,92,65,437522,1046,6,380768,665561,675026,812666,30,439521\n"
)


def level(concurrency: int = 1, rate: float = 4.0, p95: float = 300.0) -> Level:
    share = ModelShare(1.0, 40.0, 1.0, 0.5, 0.0, 2.0)
    return Level(concurrency, 10, rate, 250.0, 240.0, p95, 350.0, {"decode": 4.0, "segment": 90.0}, {"sam3_image_encoder": share})


def test_build_prints_the_folder_and_takes_the_targets_settings(demo_graphs: Path, tmp_path: Path) -> None:
    arguments = ["build", "--target", "onnxruntime", "--graphs", str(demo_graphs), "--gpus", "2", "--max-concepts", "8", "--no-warm-up"]
    run = CliRunner().invoke(build_app(), [*arguments, "--out", str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    assert run.stdout.strip() == str(tmp_path / "out")
    encoder = (tmp_path / "out" / "sam3_image_encoder" / "config.pbtxt").read_text()
    assert re.findall(r"gpus: (\d)", encoder) == ["0", "1"]
    assert "model_warmup" not in encoder
    assert 'string_value: "1,2,4,8"' in (tmp_path / "out" / "pipeline_bls" / "config.pbtxt").read_text()


def test_build_names_what_is_wrong(tmp_path: Path) -> None:
    run = CliRunner().invoke(build_app(), ["build", "--target", "embedded", "--graphs", str(tmp_path), "--out", str(tmp_path / "out")])
    assert isinstance(run.exception, SettingsError)
    assert "holds no spec.json" in str(run.exception)
    both = ["build", "--target", "embedded", "--graphs", "a", "--checkpoint", "demo", "--out", str(tmp_path / "out")]
    assert "exclude each other" in str(CliRunner().invoke(build_app(), both).exception)
    assert "'embedded', 'onnxruntime', 'tensorrt'" in CliRunner().invoke(build_app(), ["build", "--target", "gpu", "--out", "x"]).output


def test_every_recommended_command_is_one_that_build_takes(demo_graphs: Path, tmp_path: Path) -> None:
    for chosen in (target("embedded"), target("embedded", exact_buckets=False, graph_threads=1)):
        words = command(chosen).split()[1:-1]
        run = CliRunner().invoke(build_app(), [*words, str(tmp_path / "out"), "--graphs", str(demo_graphs)])
        assert run.exit_code == 0, run.output


def test_the_sweep_prefers_throughput_within_its_patience() -> None:
    fast, slow, late = (
        Point("max_photos", n, target("embedded"), level(rate=r, p95=p)) for n, r, p in ((1, 4, 300), (2, 5, 350), (3, 9, 900))
    )
    assert best([fast, slow, late], 1.25) is slow
    assert best([fast, slow, late], 4.0) is late
    assert set(VALUES) <= set(target("embedded").__dataclass_fields__)


def test_wrong_benchmark_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="--concurrency '1,x' is not a list of numbers"):
        numbers("1,x", "--concurrency")
    with pytest.raises(SystemExit, match="--concepts '0' is not a list of numbers"):
        stage1.main(concepts="0")
    with pytest.raises(BenchmarkError, match="--concepts 9 is outside 1 to 8"):
        make_request(9)
    with pytest.raises(BenchmarkError, match="holds no photo"):
        load_photos(tmp_path)
    with pytest.raises(BenchmarkError, match=r"it looks for pipeline\.json"):
        reports.render(tmp_path)


def test_an_error_of_what_a_benchmark_measures_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    run = CliRunner().invoke(build_app(), ["bench", "overhead", "--graphs", str(tmp_path)])
    assert isinstance(run.exception, ResprayError) and "holds no spec.json" in str(run.exception)


def test_perf_analyzers_input_holds_whole_photos_and_a_valid_request() -> None:
    photo = jpeg()
    (step,) = inputs([photo], 3)["data"]
    assert base64.b64decode(step[tensors.PHOTO]["content"]["b64"]) == photo
    assert step[tensors.PHOTO]["shape"] == [len(photo)]
    assert len(PhotoRequest.model_validate_json(base64.b64decode(step[tensors.REQUEST]["content"]["b64"])).concepts) == 3


def test_the_report_shows_what_was_measured(tmp_path: Path) -> None:
    (tmp_path / "perf").mkdir()
    (tmp_path / "perf" / "concurrency.csv").write_text(PERF_CSV)
    measured = {"machine": "2 cores, test", "server": "embedded", "photos": 6, "concepts": 3, "settings": {"max_photos": 4}}
    measured["levels"] = [level(1).as_json(), level(4, 6.0, 900.0).as_json()]
    (tmp_path / "pipeline.json").write_text(json.dumps(measured))
    page = reports.render(tmp_path)
    assert "2 cores, test" in page
    assert "max_photos=4" in page
    assert page.count("data:image/png;base64,") == 2
    rows = reports.read_perf(tmp_path / "perf" / "concurrency.csv", "Concurrency")
    assert [row["value"] for row in rows] == [1.0, 2.0]
    assert rows[0]["p95"] == pytest.approx(675.026)
    assert rows[0]["compute"] == pytest.approx(438.633)
    draw(tmp_path / "picture.png", measured)
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (1280, 720)


@pytest.mark.parametrize(
    ("does", "ends_well"),
    [
        ('echo "value,1" > "$file"', True),
        ('echo "value,1" > "$file"; case "$*" in *request-rate*) exit 2;; esac', False),
        ('case "$*" in *request-rate*) exit 0;; esac; echo "value,1" > "$file"', False),  # it did not settle: no figures, and no error
    ],
    ids=["measured", "fails", "no figures"],
)
def test_the_perf_analyzer_script_fails_when_a_sweep_does(tmp_path: Path, does: str, ends_well: bool) -> None:
    """With a stand-in where the script keeps NVIDIA's binary."""
    analyzer = tmp_path / "cache/respray/perf_analyzer-2.50.0/bin/perf_analyzer"
    analyzer.parent.mkdir(parents=True)
    analyzer.write_text(f'#!/bin/bash\nfile="$(sed "s/.* -f //; s/ .*//" <<< "$*")"\n{does}\n')
    analyzer.chmod(0o755)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/rate.csv").write_text("of an earlier run\n")
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "perf_analyzer.sh"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "TRITON_URL": "127.0.0.1:1", "PYTHON": sys.executable}
    done = subprocess.run(["bash", script, tmp_path / "out"], env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode == 0) == ends_well, done.stderr
    assert ends_well or "rate.csv" in done.stdout, "which sweep it was"
