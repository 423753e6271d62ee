"""A server whose graphs give other answers than PyTorch does not become ready. Graphs are really damaged, as broken engines are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from respray.contract import tensors
from respray.imaging.arrays import AnyArray
from respray.segmentation.device import CPU
from respray.segmentation.errors import SpecError
from respray.segmentation.probe import PROBE_FILE, Probe, ProbeResult, compare
from respray.segmentation.runner import Segmenter
from respray.segmentation.spec import load_spec
from respray.triton.embedded.server import EmbeddedServer
from respray.triton.errors import ProbeFailed, ServerStartError
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import target


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
    server = EmbeddedServer(build(graphs, target("embedded", pipeline_instances=1, applier_instances=1), tmp_path / "repository"))
    with pytest.raises(ProbeFailed, match=r"demo is not served right here: .*\(at (least|most) 0\.\d+\)"):
        server.start()
    assert not server.running


@pytest.mark.server
def test_graphs_without_a_probe_are_served_and_a_damaged_probe_is_not(
    demo_graphs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(demo_graphs, tmp_path / "old")
    spec = json.loads((tmp_path / "old" / "spec.json").read_text())
    (tmp_path / "old" / "spec.json").write_text(json.dumps({**spec, "probe": None}))
    small = target("embedded", pipeline_instances=1, applier_instances=1)
    with EmbeddedServer(build(tmp_path / "old", small, tmp_path / "one")) as server:
        assert server.probed is None and "have no probe" in caplog.text
    shutil.copytree(demo_graphs, tmp_path / "damaged")
    probe = tmp_path / "damaged" / PROBE_FILE
    probe.write_bytes(b"\0" * probe.stat().st_size)
    with pytest.raises(ServerStartError, match=r"is no probe .*export the checkpoint again"):
        EmbeddedServer(build(tmp_path / "damaged", small, tmp_path / "two")).start()


@pytest.fixture(scope="module")
def asked(demo_graphs: Path) -> tuple[Probe, dict[str, AnyArray]]:
    """The demo's probe, and what its graphs say in this process."""
    segmenter = Segmenter(demo_graphs, threads=1, device=CPU)
    probe = Probe.load(demo_graphs / PROBE_FILE, segmenter.spec)
    features = segmenter.encode_images(probe.image[None])
    texts = segmenter.text_encoder({tensors.INPUT_IDS: probe.input_ids, tensors.ATTENTION_MASK: probe.attention_mask})
    found = segmenter.decode(features, texts[tensors.TEXT_FEATURES][None], probe.attention_mask[None])
    decoded = {name: getattr(found, name)[0] for name in tensors.SEGMENTS}
    return probe, {name: values[0] for name, values in features.items()} | decoded


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
