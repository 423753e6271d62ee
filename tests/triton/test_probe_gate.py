"""A server whose graphs give other answers than PyTorch does not become ready. Graphs are really damaged, as broken engines are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from respray.contract import tensors
from respray.contract.report import ProbeMeasure, ProbeReport
from respray.contract.request import MAX_BOXES
from respray.doctor import FAIL, PASS, WARN
from respray.doctor.probe import of_graphs, of_server
from respray.imaging.arrays import AnyArray
from respray.observe.metrics import Metrics
from respray.segmentation.ask_probe import FolderModels
from respray.segmentation.device import CPU
from respray.segmentation.errors import SpecError
from respray.segmentation.probe import PROBE_FILE, SHOWN, Probe, ProbeResult, Shown, compare
from respray.segmentation.question import answers
from respray.segmentation.runner import Segmenter
from respray.segmentation.spec import NO_BOX, load_spec
from respray.triton.embedded.server import EmbeddedServer
from respray.triton.errors import ProbeFailed, ServerStartError
from tests.triton.repositories import cold_repository


def rewritten(graphs: Path, folder: Path, graph: str, change: Callable[[AnyArray], AnyArray]) -> Path:
    """A copy of the export with the weights of one graph changed, and a spec that fits."""
    shutil.copytree(graphs, folder)
    path = folder / f"{graph}.onnx"
    model = onnx.load(path)
    for weights in model.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype.kind == "f" and values.ndim >= 2:
            weights.CopyFrom(numpy_helper.from_array(change(values).astype(values.dtype), weights.name))
    onnx.save(model, path)
    spec = json.loads((folder / "spec.json").read_text())
    spec["graphs"][graph]["model"]["bytes"] = path.stat().st_size
    (folder / "spec.json").write_text(json.dumps(spec))
    return folder


def coarse(values: AnyArray) -> AnyArray:
    """As an engine of a precision that is too low computes: three bits of each weight are left."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    return np.ldexp(np.round(mantissa * 8) / 8, exponent)


def lost(values: AnyArray) -> AnyArray:
    """Every second output of a layer is gone."""
    values = values.copy()
    values[::2] = 0
    return values


@pytest.mark.server
@pytest.mark.parametrize(("graph", "change"), [("sam3_image_encoder", coarse), ("sam3_concept_decoder", lost)])
def test_a_server_with_wrong_graphs_does_not_become_ready(
    demo_graphs: Path, tmp_path: Path, graph: str, change: Callable[[AnyArray], AnyArray]
) -> None:
    graphs = rewritten(demo_graphs, tmp_path / "graphs", graph, change)
    server = EmbeddedServer(cold_repository(graphs, tmp_path))
    who = r"demo is not served right by ONNX Runtime [\d.]+ on CPU \(target embedded\): .*\(at (least|most) 0\.\d+\)"
    with pytest.raises(ProbeFailed, match=who):
        server.start()
    assert not server.running


@pytest.mark.server
def test_graphs_without_a_probe_are_served_and_a_damaged_probe_is_not(
    demo_graphs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(demo_graphs, tmp_path / "old")
    spec = json.loads((tmp_path / "old" / "spec.json").read_text())
    (tmp_path / "old" / "spec.json").write_text(json.dumps({**spec, "probe": None}))
    with EmbeddedServer(cold_repository(tmp_path / "old", tmp_path / "one")) as server:
        assert server.probed is not None and server.probed.measures == [] and "have no probe" in caplog.text
        finding = of_server(server.grpc_url)
        assert finding.status == WARN and "asked no probe" in finding.what
    shutil.copytree(demo_graphs, tmp_path / "damaged")
    probe = tmp_path / "damaged" / PROBE_FILE
    probe.write_bytes(b"\0" * probe.stat().st_size)
    with pytest.raises(ServerStartError, match=r"is no probe .*export the checkpoint again"):
        EmbeddedServer(cold_repository(tmp_path / "damaged", tmp_path / "two")).start()


@pytest.mark.server
def test_a_running_server_tells_how_it_answered(triton_url: str) -> None:
    """Through a photo, which passes wherever the server is: its configuration is closed in production."""
    finding = of_server(triton_url)
    assert finding.status == PASS and "score error 0.0" in finding.what and "on CPU, target embedded" in finding.what


def test_the_doctor_asks_graphs_that_no_server_runs(demo_graphs: Path, tmp_path: Path) -> None:
    right = of_graphs(demo_graphs, "cpu")
    assert right.status == PASS and "mask iou 1.0000" in right.what and "(CPU)" in right.what
    wrong = of_graphs(rewritten(demo_graphs, tmp_path / "wrong", "sam3_concept_decoder", lost), "cpu")
    assert wrong.status == FAIL and "give other answers than PyTorch" in wrong.what and "(at least 0.99)" in wrong.what
    (tmp_path / "wrong" / "sam3_image_encoder.onnx").write_bytes(b"")
    assert of_graphs(tmp_path / "wrong", "cpu").status == FAIL


def test_metrics_show_who_answered_how_well_and_what_was_fallen_back_from() -> None:
    metrics = Metrics()
    report = ProbeReport(
        model="sam3",
        target="tensorrt",
        engine="TensorRT 10.13.3",
        device="NVIDIA L4",
        at=datetime(2026, 11, 28, 12, tzinfo=UTC),
        measures=[ProbeMeasure(what="mask_iou", value=0.9951, limit=0.99)],
    )
    metrics.probed(report)
    took_over = {"target": "onnxruntime", "engine": "ONNX Runtime (CUDA)", "fallback_from": "scores are off by 0.888 (at most 0.03)"}
    metrics.probed(report.model_copy(update=took_over))
    text = metrics.text().decode()
    assert 'device="NVIDIA L4",engine="ONNX Runtime (CUDA)",fallback_from="scores are off by 0.888 (at most 0.03)"' in text
    assert "TensorRT" not in text, "a server that came in another's place"
    assert 'respray_probe_value{what="mask_iou"} 0.9951' in text and 'respray_probe_limit{what="mask_iou"} 0.99' in text
    assert "respray_probe_timestamp_seconds 1.79" in text


@pytest.fixture(scope="module")
def asked(demo_graphs: Path) -> tuple[Probe, dict[str, AnyArray]]:
    """The demo's probe, and what its graphs say in this process."""
    segmenter = Segmenter(demo_graphs, threads=1, device=CPU)
    probe = Probe.load(demo_graphs / PROBE_FILE, segmenter.spec)
    return probe, answers(FolderModels(segmenter), probe, segmenter.spec)


def test_the_committed_graphs_answer_as_pytorch_did(asked: tuple[Probe, dict[str, AnyArray]]) -> None:
    result = compare(*asked)
    assert result.problems == [] and result.score_error < 1e-4 and result.mask_iou > 0.999 and result.cosine > 0.9999


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        (tensors.SCORES, lambda values: values * 0.05, "scores"),
        (tensors.PRESENCE, lambda values: values * np.nan, "scores"),
        (tensors.REGION, lambda values: np.roll(values, 4, axis=2), "masks"),
        (tensors.MASKS, lambda values: values * 0, "masks"),
        (tensors.FEATURES_LOW, lambda values: values * np.nan, "features"),
        (tensors.FEATURES_HIGH, lambda values: np.roll(values, 1, axis=0), "features"),
    ],
)
def test_each_wrong_answer_is_named(
    asked: tuple[Probe, dict[str, AnyArray]], name: str, change: Callable[[AnyArray], AnyArray], problem: str
) -> None:
    probe, answers = asked
    result = compare(probe, {**answers, name: change(answers[name])})
    assert any(text.startswith(problem) for text in result.problems), result


def test_half_precision_passes(asked: tuple[Probe, dict[str, AnyArray]]) -> None:
    probe, answers = asked
    floats = {name: values for name, values in answers.items() if values.dtype == np.float32}
    halved = answers | {name: values.astype(np.float16).astype(np.float32) for name, values in floats.items()}
    assert compare(probe, halved).problems == []
    assert ProbeResult(score_error=0.1, mask_iou=0.5, cosine=0.9).problems != []


def test_a_probe_of_another_model_is_refused(demo_graphs: Path, tmp_path: Path) -> None:
    spec = load_spec(demo_graphs)
    probe = Probe.load(demo_graphs / PROBE_FILE, spec)
    replace(probe, image=probe.image[::2, ::2]).save(tmp_path / PROBE_FILE)
    with pytest.raises(SpecError, match=r"image has the shape"):
        Probe.load(tmp_path / PROBE_FILE, spec)


@pytest.fixture(scope="module")
def shown(asked: tuple[Probe, dict[str, AnyArray]]) -> tuple[Probe, dict[str, AnyArray]]:
    """The demo's probe and answers as if its graphs took boxes, and these changed nothing."""
    probe, answers = asked
    boxes, labels = np.zeros((3, MAX_BOXES, 4), np.float32), np.full((3, MAX_BOXES), NO_BOX, np.int32)
    given = {SHOWN + name: answers[name] for name in tensors.SEGMENTS}
    return replace(probe, shown=Shown(boxes, labels, probe.segments)), answers | given


def test_answers_to_boxes_have_limits_of_their_own(shown: tuple[Probe, dict[str, AnyArray]]) -> None:
    """Damage there alone is named as what it is; prompts of words alone do not show it. `test_probe_boxes` asks real graphs."""
    probe, answers = shown
    assert compare(probe, answers).problems == []
    for name, said in ((tensors.SCORES, "scores with boxes are off"), (tensors.REGION, "masks with boxes agree")):
        result = compare(probe, {**answers, SHOWN + name: answers[SHOWN + name] * 0})
        assert [problem[: len(said)] for problem in result.problems] == [said]
    measured = {measure.what: measure.value for measure in compare(probe, answers).measures}
    assert measured["mask_iou_with_boxes"] == measured["mask_iou"]
    with pytest.raises(KeyError):
        compare(probe, {name: values for name, values in answers.items() if not name.startswith(SHOWN)})


def test_boxes_are_stored_for_graphs_that_take_some_and_left_by_others(
    shown: tuple[Probe, dict[str, AnyArray]], demo_graphs: Path, tmp_path: Path
) -> None:
    probe, spec = shown[0], load_spec(demo_graphs)
    probe.save(tmp_path / PROBE_FILE)
    taking = spec.model_copy(update={"graphs": {**spec.graphs, "sam3_geometry_encoder": spec.graphs["sam3_text_encoder"]}})
    again = Probe.load(tmp_path / PROBE_FILE, taking)
    assert again.shown is not None and np.array_equal(again.shown.labels, np.full((3, MAX_BOXES), NO_BOX))
    assert Probe.load(tmp_path / PROBE_FILE, spec).shown is None
    assert Probe.load(demo_graphs / PROBE_FILE, taking).shown is None, "a probe of an export from before boxes were asked"


@pytest.mark.parametrize("joined", [False, True])
def test_the_same_question_is_asked_of_either_kind_of_server(
    shown: tuple[Probe, dict[str, AnyArray]], demo_graphs: Path, joined: bool
) -> None:
    """Of one whose `sam3` is both graphs, without loading those that stand beside it."""
    (probe, expected), spec = shown, load_spec(demo_graphs)
    taking = spec.model_copy(update={"graphs": {**spec.graphs, "sam3_geometry_encoder": spec.graphs["sam3_text_encoder"]}})
    models: list[str] = []

    def infer(model: str, given: dict[str, AnyArray], wanted: Sequence[str]) -> dict[str, AnyArray]:
        models.append(model)
        with_boxes = tensors.BOX_LABELS in given or given.get(tensors.TEXT_MASK, np.zeros((1, 3, 0))).shape[2] > spec.text_length
        longer = spec.text_length + MAX_BOXES + 1
        made: dict[str, AnyArray] = {
            tensors.PROMPT_FEATURES: np.zeros((1, 3, longer, 8)),
            tensors.PROMPT_MASK: np.zeros((1, 3, longer), np.int32),
        }
        made |= {tensors.TEXT_FEATURES: np.zeros((1, spec.text_length, 8)), tensors.FEATURES_PLAIN: np.zeros((1, 2, 2, 2))}
        return {name: made[name] if name in made else expected[(SHOWN if with_boxes else "") + name][None] for name in wanted}

    assert compare(probe, answers(infer, probe, taking, joined)).problems == []
    others = {"sam3", "sam3_geometry_encoder"} if joined else {"sam3", "sam3_image_encoder", "sam3_boxes"}
    assert set(models) == {"sam3_text_encoder", *others}
