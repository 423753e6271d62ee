"""The gate asks prompts with boxes too, where the graphs take them: a small random model of SAM3's layout, exported as the real one is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from tokenizers import Tokenizer, models, pre_tokenizers

from respray.imaging.arrays import AnyArray
from respray.segmentation.ask_probe import ask
from respray.segmentation.device import CPU
from respray.segmentation.errors import SpecError
from respray.segmentation.export.checkpoints import Checkpoint
from respray.segmentation.export.export_graphs import export_model
from respray.segmentation.probe import PROBE_FILE, PROMPTS, Probe
from respray.segmentation.spec import load_spec, stored_file, write_spec
from respray.triton.embedded.server import EmbeddedServer
from respray.triton.errors import ProbeFailed
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import target
from tests.segmentation.test_graphs import parts, sam3
from tests.triton.test_probe_gate import rewritten

pytestmark = pytest.mark.slow  # the export takes half a minute of a core
GEOMETRY = "sam3_geometry_encoder"


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export, with the probe that exporting stores."""
    checkpoint, folder = tmp_path_factory.mktemp("checkpoint"), tmp_path_factory.mktemp("graphs")
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(("[PAD]", "[UNK]", *PROMPTS))}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(checkpoint / "tokenizer.json"))
    export_model(
        sam3(4, 8, **parts(4, 8, layers=2)), Checkpoint(checkpoint, "tiny", False), folder, precision="fp32", attention="explicit",
        queries=12, cls_token="transformers", half_storage=False, boxes=True, check=False, step=lambda _text: None,
    )  # fmt: skip
    return folder


def gone(values: AnyArray) -> AnyArray:
    """No weight is left. Less than that, a small random model's masks hardly show: it heeds boxes little."""
    return values * 0


def with_probe(graphs: Path, folder: Path, change: Callable[[Probe], Probe]) -> Path:
    """A copy of the export with another probe."""
    shutil.copytree(graphs, folder)
    spec = load_spec(folder)
    change(Probe.load(folder / PROBE_FILE, spec)).save(folder / PROBE_FILE)
    write_spec(spec.model_copy(update={"probe": stored_file(folder / PROBE_FILE)}), folder)
    return folder


def test_right_graphs_answer_boxes_as_pytorch_does(graphs: Path) -> None:
    result, _ = ask(graphs, CPU)
    assert result.problems == [], result
    assert result.shown_score_error is not None and result.shown_score_error < 1e-4
    assert result.shown_mask_iou is not None and result.shown_mask_iou > 0.999
    probe = Probe.load(graphs / PROBE_FILE, load_spec(graphs))
    assert probe.shown is not None
    changed = np.abs(probe.shown.segments.region.astype(int) - probe.segments.region).max(axis=(1, 2))
    assert changed[0] <= 1 and (changed[1:] > 8).all(), "the boxes must matter, or this question shows nothing"


@pytest.mark.parametrize("change", [gone, lambda values: values * np.nan], ids=["gone", "NaN"])
def test_damage_on_the_way_of_boxes_is_caught_and_named(graphs: Path, tmp_path: Path, change: Callable[[AnyArray], AnyArray]) -> None:
    result, _ = ask(rewritten(graphs, tmp_path / "graphs", GEOMETRY, change), CPU)
    assert result.score_error < 1e-4 and result.mask_iou > 0.999, "words alone do not show it"
    assert result.problems and all(" with boxes " in problem for problem in result.problems)


def test_a_probe_from_before_boxes_were_asked_is_still_one(graphs: Path, tmp_path: Path) -> None:
    result, _ = ask(with_probe(graphs, tmp_path / "graphs", lambda probe: replace(probe, shown=None)), CPU)
    assert result.problems == [] and result.shown_score_error is None
    assert [measure.what for measure in result.measures] == ["score_error", "mask_iou", "feature_cosine"]


def test_boxes_of_another_size_are_refused(graphs: Path, tmp_path: Path) -> None:
    def fewer(probe: Probe) -> Probe:
        assert probe.shown is not None
        return replace(probe, shown=replace(probe.shown, labels=probe.shown.labels[:, :4]))

    with pytest.raises(SpecError, match=r"shown_labels has the shape \(3, 4\), the graphs take \(3, 16\)"):
        ask(with_probe(graphs, tmp_path / "graphs", fewer), CPU)


@pytest.mark.server
@pytest.mark.parametrize("joined", [False, True])
def test_a_server_answers_boxes_before_it_is_ready_or_does_not_become_so(graphs: Path, tmp_path: Path, joined: bool) -> None:
    chosen = target("embedded", joined=joined, pipeline_instances=1, applier_instances=1)
    with EmbeddedServer(build(graphs, chosen, tmp_path / "right")) as server:
        assert server.probed is not None
        values = {measure.what: measure.value for measure in server.probed.measures}
        assert values["score_error_with_boxes"] < 1e-4 and values["mask_iou_with_boxes"] > 0.999
    damaged = build(rewritten(graphs, tmp_path / "graphs", GEOMETRY, gone), chosen, tmp_path / "wrong")
    with pytest.raises(ProbeFailed, match=r"tiny is not served right by .* with boxes "):
        EmbeddedServer(damaged).start()
