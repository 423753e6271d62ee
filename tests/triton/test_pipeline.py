"""The pipeline's own decisions, with the other models replaced by functions: what is asked of whom, how often, in which shape."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from respray.contract import tensors
from respray.contract.photo_facts import PhotoFacts
from respray.contract.report import PhotoReport
from respray.contract.request import MAX_BOXES, PhotoRequest
from respray.segmentation.spec import load_spec
from respray.segmentation.tokenizer import PromptTokenizer
from respray.triton.errors import PhotoError, ServingError
from respray.triton.models.parse_request import Arrays
from respray.triton.models.pipeline import KeptFormat, Pipeline
from respray.triton.packing import from_bytes, pack, unpack
from tests.triton.photos import jpeg, request

LENGTH = 32


class Models:
    """Answers like the other models, and keeps what it was asked. The text features hold the prompt's first token ids."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, tuple[int, ...]]]] = []
        self.applied: Arrays = {}
        self.labels: npt.NDArray[Any] | None = None

    def __call__(self, model: str, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> Arrays:
        self.calls.append((model, {name: value.shape for name, value in inputs.items()}))
        if model == "sam3_text_encoder":
            return {tensors.TEXT_FEATURES: inputs[tensors.INPUT_IDS].astype(np.float32)[..., None]}
        if model == "sam3_image_encoder":
            return {name: np.zeros((1, 1, 1, 1), np.float32) for name in outputs}
        if model == "sam3_geometry_encoder":
            mask = inputs[tensors.TEXT_MASK]
            longer = ((0, 0), (0, 0), (0, MAX_BOXES + 1))
            return {
                tensors.PROMPT_MASK: np.pad(mask, longer),
                tensors.PROMPT_FEATURES: np.pad(inputs[tensors.TEXT_FEATURES], (*longer, (0, 0))),
            }
        if model in ("sam3", "sam3_boxes", "sam3_concept_decoder"):
            self.labels = inputs.get(tensors.BOX_LABELS)
            first = inputs[tensors.TEXT_FEATURES][..., 1, 0].astype(np.float32)
            count = first.shape[1]
            return {
                tensors.MASKS: np.zeros((1, count, 1, 2, 2), np.uint8),
                tensors.SCORES: np.zeros((1, count, 1), np.float32),
                tensors.BOXES: np.zeros((1, count, 1, 4), np.float32),
                tensors.PRESENCE: first,
                tensors.REGION: np.zeros((1, count, 2, 2), np.uint8),
            }
        self.applied = dict(inputs)
        files, sizes = pack([b"file"])
        report = PhotoReport(width=1, height=1, concepts=[], outputs=[], files=[], timings={"matte": 0.5}, call=self.call)
        return {tensors.FILES: files, tensors.FILE_SIZES: sizes, tensors.REPORT: from_bytes(report.model_dump_json().encode())}

    call: str | None = None

    def asked(self, model: str) -> list[dict[str, tuple[int, ...]]]:
        return [shapes for name, shapes in self.calls if name == model]


@pytest.fixture(scope="module")
def tokenizer(demo_graphs: Path) -> PromptTokenizer:
    return PromptTokenizer.from_spec(load_spec(demo_graphs), demo_graphs)


def run(tokenizer: PromptTokenizer, wanted: PhotoRequest, photo: bytes | None = None, box_map: str | None = None) -> tuple[Models, Arrays]:
    models = Models()
    kept = KeptFormat("0" * 64, size=2, queries=1)
    pipeline = Pipeline(models, tokenizer, image_size=56, buckets=(1, 2, 4), box_map=box_map, kept=kept)
    data, sizes = pack([])
    inputs: Arrays = {
        tensors.PHOTO: from_bytes(jpeg() if photo is None else photo),
        tensors.REQUEST: from_bytes(wanted.model_dump_json().encode()),
        tensors.ATTACHMENTS: data,
        tensors.ATTACHMENT_SIZES: sizes,
    }
    return models, pipeline.run(inputs)


def test_the_answer_to_another_call_is_nobodys(tokenizer: PromptTokenizer) -> None:
    with pytest.raises(ServingError, match="applier gave the answer of another call: its process is not healthy"):
        run(tokenizer, request("word").model_copy(update={"call": "mine"}))


@pytest.mark.parametrize(("prompts", "bucket"), [(1, 1), (2, 2), (3, 4), (4, 4)])
def test_prompts_are_padded_to_a_bucket(tokenizer: PromptTokenizer, prompts: int, bucket: int) -> None:
    models, _ = run(tokenizer, request(*[f"word{n}" for n in range(prompts)]))
    (shapes,) = models.asked("sam3")
    assert shapes[tensors.IMAGE] == (1, 56, 56, 3)
    assert shapes[tensors.TEXT_FEATURES][:3] == (1, bucket, LENGTH)
    assert shapes[tensors.TEXT_MASK] == (1, bucket, LENGTH)
    assert len(models.asked("sam3_text_encoder")) == prompts


def test_more_than_the_largest_bucket_is_decoded_in_parts_of_one_encoding(tokenizer: PromptTokenizer) -> None:
    words = [f"word{n}" for n in range(9)]
    models, _ = run(tokenizer, request(*words))
    assert not models.asked("sam3")
    assert len(models.asked("sam3_image_encoder")) == 1
    assert [shapes[tensors.TEXT_MASK][1] for shapes in models.asked("sam3_concept_decoder")] == [4, 4, 1]
    expected = [tokenizer([word])[0][0, 1] for word in words]
    assert models.applied[tensors.PRESENCE][:9].tolist() == expected


def test_a_repeated_prompt_is_asked_once_and_answered_twice(tokenizer: PromptTokenizer) -> None:
    models, _ = run(tokenizer, request("sofa", "bed", "sofa"))
    assert len(models.asked("sam3_text_encoder")) == 2
    assert models.asked("sam3")[0][tensors.TEXT_MASK] == (1, 2, LENGTH)
    first, second, third = models.applied[tensors.PRESENCE][:3].tolist()
    assert first == third != second


def test_nothing_is_segmented_where_every_concept_brings_its_mask(tokenizer: PromptTokenizer) -> None:
    models, _ = run(tokenizer, request("floor", masked=True))
    assert [name for name, _ in models.calls] == ["applier"]
    assert tensors.REGION not in models.applied


def test_times_of_all_stages_are_in_the_report(tokenizer: PromptTokenizer) -> None:
    _, results = run(tokenizer, request("floor"))
    report = PhotoReport.model_validate_json(results[tensors.REPORT].tobytes())
    assert set(report.timings) == {"decode", "segment", "matte"}
    assert report.timings["matte"] == 0.5


def test_a_bad_photo_calls_no_other_model(tokenizer: PromptTokenizer) -> None:
    with pytest.raises(PhotoError, match="not an image"):
        run(tokenizer, request("floor"), photo=b"nothing")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"rule": "recolor", "color": "sage"}, r"\(outputs\[0\]\.edits\[0\]\.rule\.recolor\.color: .*\(given: 'sage'\)\)"),
        (
            {"rule": "recolor", "color": "#7C9082", "sheens": 1},
            r"sheens: unknown field; accepted here: rule, color, label, str",
        ),
        ({"rule": "recolour"}, "'recolor', 'tone', 'texture', 'remove'"),
    ],
)
def test_a_bad_request_is_told_by_field_given_and_accepted(tokenizer: PromptTokenizer, rule: dict[str, Any], said: str) -> None:
    pipeline = Pipeline(Models(), tokenizer, image_size=56, buckets=(1,))
    message = {"concepts": [{"name": "a", "prompts": ["a"]}], "outputs": [{"name": "o", "edits": [{"concept": "a", "rule": rule}]}]}
    inputs: Arrays = {tensors.PHOTO: from_bytes(jpeg()), tensors.REQUEST: from_bytes(json.dumps(message).encode())}
    with pytest.raises(PhotoError, match=f"not a valid PhotoRequest .*{said}"):
        pipeline.run(inputs)


def test_no_stage_begins_for_a_client_that_has_gone(tokenizer: PromptTokenizer) -> None:
    models = Models()
    # Gone for good from the second question on: how often it is asked depends on how long the decoder takes.
    answers = itertools.chain([False], itertools.repeat(True))
    pipeline = Pipeline(models, tokenizer, image_size=56, buckets=(1,))
    inputs: Arrays = {tensors.PHOTO: from_bytes(jpeg()), tensors.REQUEST: from_bytes(request("floor").model_dump_json().encode())}
    with pytest.raises(InterruptedError, match=r"before stage 'segment'|while its photo was decoded"):
        pipeline.run(inputs, lambda: next(answers))
    assert not models.calls


@pytest.mark.parametrize("files", [[], [b"a"], [b"abc", b"", b"de"]])
def test_files_survive_packing(files: list[bytes]) -> None:
    assert unpack(*pack(files)) == files


def test_sizes_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(PhotoError, match=r"\[2, 2\] add up to 4 bytes; 3 bytes were given"):
        unpack(from_bytes(b"abc"), np.array([2, 2]))


def test_a_cut_outs_alpha_goes_to_the_applier_and_its_facts_with_every_photo(tokenizer: PromptTokenizer) -> None:
    rgba = np.full((40, 60, 4), 200, np.uint8)
    rgba[:20, :, 3] = 90
    exif = Image.Exif()
    exif[274], exif[315] = 6, "Ana"
    stream = io.BytesIO()
    Image.fromarray(rgba).save(stream, "PNG", exif=exif)
    models, _ = run(tokenizer, request("floor"), stream.getvalue())
    assert models.applied[tensors.PHOTO].shape == (60, 40, 3)
    assert np.array_equal(models.applied[tensors.ALPHA], np.rot90(rgba[..., 3], -1))
    facts = PhotoFacts.model_validate_json(models.applied[tensors.FACTS].tobytes())
    assert facts.orientation == 6
    assert b"Ana" in facts.metadata.exif
    models, _ = run(tokenizer, request("floor"))
    assert tensors.ALPHA not in models.applied


def with_boxes(wanted: PhotoRequest, *numbers: int) -> PhotoRequest:
    """The request with an example and a counterexample for the concepts of these numbers."""
    boxes = {"boxes": [(0.1, 0.2, 0.5, 0.6)], "not_boxes": [(0.7, 0.7, 1.0, 1.0)]}
    concepts = [concept.model_copy(update=boxes if n in numbers else {}) for n, concept in enumerate(wanted.concepts)]
    return wanted.model_copy(update={"concepts": concepts, "keep_segments": True})


def test_boxes_go_with_all_prompts_in_one_call_and_are_not_kept(tokenizer: PromptTokenizer) -> None:
    models, results = run(tokenizer, with_boxes(request("sofa", "bed", "rug"), 1), box_map=tensors.FEATURES_PLAIN)
    (shapes,) = models.asked("sam3_boxes")
    assert not models.asked("sam3") and not models.asked("sam3_image_encoder")
    assert shapes[tensors.BOX_PROMPTS] == (1, 4, MAX_BOXES, 4) and shapes[tensors.TEXT_MASK] == (1, 4, LENGTH)
    assert models.labels is not None
    assert models.labels[0, :, :3].tolist() == [[-10, -10, -10], [1, 0, -10], [-10, -10, -10], [-10, -10, -10]]
    report = PhotoReport.model_validate_json(results[tensors.REPORT].tobytes())
    assert [file.name for file in report.files if file.kind == "segments"] == ["sofa", "rug"]
    assert not report.warnings


def test_one_word_with_two_boxes_is_two_prompts(tokenizer: PromptTokenizer) -> None:
    models, _ = run(tokenizer, with_boxes(request("sofa", "sofa", "sofa"), 0), box_map=tensors.FEATURES_LOW)
    assert models.asked("sam3_boxes")[0][tensors.TEXT_MASK] == (1, 2, LENGTH)
    assert len(models.applied[tensors.PRESENCE]) == 3


@pytest.mark.parametrize("box_map", [tensors.FEATURES_LOW, tensors.FEATURES_PLAIN])
def test_only_the_buckets_with_boxes_take_the_geometry_encoder(tokenizer: PromptTokenizer, box_map: str) -> None:
    models, _ = run(tokenizer, with_boxes(request(*[f"word{n}" for n in range(9)]), 5), box_map=box_map)
    assert len(models.asked("sam3_image_encoder")) == len(models.asked("sam3_geometry_encoder")) == 1
    longer = LENGTH + MAX_BOXES + 1
    assert [shapes[tensors.TEXT_MASK] for shapes in models.asked("sam3_concept_decoder")] == [
        (1, 4, LENGTH),
        (1, 4, longer),
        (1, 1, LENGTH),
    ]
    assert all(set(tensors.FEATURES) | {tensors.TEXT_FEATURES, tensors.TEXT_MASK} == set(s) for s in models.asked("sam3_concept_decoder"))


def test_a_model_that_takes_no_boxes_says_so_and_answers_without(tokenizer: PromptTokenizer) -> None:
    models, results = run(tokenizer, with_boxes(request("sofa", "bed"), 0, 1))
    assert models.asked("sam3") and not models.asked("sam3_boxes")
    report = PhotoReport.model_validate_json(results[tensors.REPORT].tobytes())
    (warning,) = report.warnings
    assert warning.startswith("the boxes of 'concept 0' and 'concept 1' were not used: this model was not trained")
    handed_on = PhotoRequest.model_validate_json(models.applied[tensors.REQUEST].tobytes())
    assert not any(concept.shown for concept in handed_on.concepts)
    assert [file.name for file in report.files if file.kind == "segments"] == ["sofa", "bed"]
