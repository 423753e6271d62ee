"""The `pipeline_bls` model's work on plain arrays: decode, encode each prompt, segment once, apply, and report the times.

Other models are reached through `Infer`, so that this module can be tested without a server.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from respray.contract import tensors
from respray.contract.errors import ImageError
from respray.contract.report import FileReport, PhotoReport, ProbeReport
from respray.contract.request import MAX_BOXES, ConceptQuery, PhotoRequest, needs_segmentation
from respray.contract.segments_file import SCORE_FLOOR, SegmentsFileError
from respray.imaging.decode import DecodedPhoto
from respray.imaging.isolated import DecoderProcess
from respray.segmentation.kept import FoundPrompt, keep, merge, recall, rows_of
from respray.segmentation.prepare import to_square
from respray.segmentation.spec import NO_BOX
from respray.segmentation.tokenizer import PromptTokenizer
from respray.triton.errors import OTHER_CALL, PhotoError, ServingError
from respray.triton.models.parse_request import Arrays, parse_request
from respray.triton.models.text_feature_cache import Array, TextFeatureCache
from respray.triton.packing import UInt8Vector, from_bytes, pack

Infer = Callable[[str, Mapping[str, Array], Sequence[str]], Arrays]
Cancelled = Callable[[], bool]
MEDIA_TYPE = "application/x-respray-segments"


BOXES_IGNORED = "the boxes of {} were not used: this model was not trained for examples in boxes, or was exported without them"


@dataclass(frozen=True)
class Prompt:
    """What the network is asked for: words, and boxes around examples of what is meant (True) and of what is not. Others are others."""

    words: str
    shown: tuple[tuple[tuple[float, float, float, float], bool], ...] = ()


@dataclass(frozen=True)
class KeptFormat:
    """What kept segments of this model are: its digest, the side of its masks, and how many instances it finds at most."""

    model: str
    size: int
    queries: int


@dataclass(frozen=True)
class Segmented:
    """`segments`: the applier's inputs, {} for no prompt. `new`: kept segments of what was segmented now. `reused`: the other prompts."""

    segments: Arrays
    new: Mapping[str, bytes]
    reused: Sequence[str]


@dataclass(frozen=True)
class Pipeline:
    """One photo's way through the other models. `image_size` is the side of the encoder's square; `buckets` ascend. Without `kept`, no
    segments are kept or known. `box_map` is the encoder's output that boxes are looked up in; None: the model takes none.

    One photo at a time: `texts` is what one instance remembers. `probe` is told to who asks.
    """

    infer: Infer
    tokenizer: PromptTokenizer
    image_size: int
    buckets: Sequence[int]
    texts: TextFeatureCache = field(default_factory=TextFeatureCache)
    decoder: DecoderProcess = field(default_factory=DecoderProcess)
    kept: KeptFormat | None = None
    box_map: str | None = None
    probe: ProbeReport | None = None

    def run(self, inputs: Arrays, cancelled: Cancelled = lambda: False) -> Arrays:
        """`pipeline_bls`'s inputs to its outputs.

        Args:
            inputs: the model's tensors by name (`docs/architecture.md`).
            cancelled: asked before each stage whether the client has gone away.

        Raises:
            PhotoError: photo or request are at fault.
            ServingError: a model gave another call's answer, or none.
            InterruptedError: the client went away, between two stages or while the photo was decoded.
        """
        clock = _Clock(cancelled)
        request = parse_request(inputs[tensors.REQUEST].tobytes())
        warnings = []
        if self.box_map is None and (shown := [concept.name for concept in request.concepts if concept.shown]):
            warnings.append(BOXES_IGNORED.format(" and ".join(f"'{name}'" for name in shown)))
            plain = [concept.model_copy(update={"boxes": [], "not_boxes": []}) for concept in request.concepts]
            request = request.model_copy(update={"concepts": plain})
            inputs = {**inputs, tensors.REQUEST: from_bytes(request.model_dump_json().encode())}
        with clock.stage("decode"):
            photo = self._decode(inputs[tensors.PHOTO].tobytes(), request, cancelled)
        with clock.stage("segment"):
            found = self._find(photo.seen, request, inputs)
        if request.outputs or request.masks:
            with clock.stage("applier"):
                work = {name: inputs[name] for name in tensors.PASSED_ON}
                results = self.infer("applier", {**handed_on(photo), **found.segments, **work}, tensors.RESULTS)
            report = PhotoReport.model_validate_json(results[tensors.REPORT].tobytes())
            if report.call != request.call:
                raise ServingError(OTHER_CALL.format("applier"))
        else:
            # Only segments are asked for.
            results = dict(zip((tensors.FILES, tensors.FILE_SIZES), pack([]), strict=True))
            report = PhotoReport(width=photo.rgb.shape[1], height=photo.rgb.shape[0], concepts=[], outputs=[], files=[], timings={})
        measured = {"decode": clock.seconds["decode"], "segment": clock.seconds["segment"], **report.timings}
        update = {
            "timings": {name: round(seconds, 6) for name, seconds in measured.items()},
            "model": self.kept.model if self.kept else "",
            "reused": list(found.reused),
            "probe": self.probe if request.tell_probe else None,
            "call": request.call,
            "warnings": [*warnings, *report.warnings],
            "files": [*report.files, *(FileReport(kind="segments", name=name, media_type=MEDIA_TYPE) for name in found.new)],
        }
        report = report.model_copy(update=update)
        return {**_with_files(results, list(found.new.values())), tensors.REPORT: from_bytes(report.model_dump_json().encode())}

    def _find(self, photo: npt.NDArray[np.uint8], request: PhotoRequest, inputs: Arrays) -> Segmented:
        """Segments of all prompts: known ones as they are, the others from the network."""
        prompts: list[Prompt] = []
        thresholds: dict[Prompt, float] = {}
        for concept in filter(needs_segmentation, request.concepts):
            for prompt in _prompts(concept):
                prompts.append(prompt)
                thresholds[prompt] = min(concept.threshold, thresholds.get(prompt, 1.0))
        known = self._known(request, inputs)
        usable = {prompt: known[prompt] for prompt, lowest in thresholds.items() if prompt in known and known[prompt].floor <= lowest}
        if not usable:
            segments = self._segment(photo, prompts)
            return Segmented(segments, self._keep(segments, prompts, thresholds, request, inputs), ())
        missing = [prompt for prompt in thresholds if prompt not in usable]
        segmented = self._segment(photo, missing)
        new = self._keep(segmented, missing, thresholds, request, inputs)
        found = usable | {prompt: rows_of(segmented, row) for row, prompt in enumerate(missing)}
        return Segmented(merge([found[prompt] for prompt in prompts]), new, tuple(prompt.words for prompt in usable))

    def _known(self, request: PhotoRequest, inputs: Arrays) -> dict[Prompt, FoundPrompt]:
        """What the request's kept segments hold, by prompt (none with boxes); nothing of those that cannot be used."""
        known: dict[Prompt, FoundPrompt] = {}
        if self.kept is None or not request.known:
            return known
        sizes = inputs[tensors.ATTACHMENT_SIZES].astype(np.int64)
        ends, data = np.cumsum(sizes), inputs[tensors.ATTACHMENTS]
        if np.any(sizes < 0) or int(sizes.sum()) > data.size:
            return known  # the applier says what is wrong with them
        for entry in request.known:
            if entry.attachment >= len(sizes):
                raise PhotoError(f"Known segments refer to attachment {entry.attachment}, but {len(sizes)} were sent.")
            end = int(ends[entry.attachment])
            file = data[end - int(sizes[entry.attachment]) : end].tobytes()
            try:
                prompt, found = recall(file, model=self.kept.model, photo=entry.photo, size=self.kept.size, queries=self.kept.queries)
            except SegmentsFileError:
                continue
            known[Prompt(prompt)] = found
        return known

    def _keep(
        self, segments: Arrays, prompts: Sequence[Prompt], thresholds: Mapping[Prompt, float], request: PhotoRequest, inputs: Arrays
    ) -> dict[str, bytes]:
        """Kept segments of what was segmented now, by prompt. With boxes it is an answer to this request alone."""
        if self.kept is None or not request.keep_segments or not segments:
            return {}
        digest = hashlib.sha256(inputs[tensors.PHOTO].tobytes()).hexdigest()
        files: dict[str, bytes] = {}
        for row, prompt in enumerate(prompts):
            if prompt.words not in files and not prompt.shown:
                lowest = thresholds.get(prompt, SCORE_FLOOR)
                file = keep(segments, row, model=self.kept.model, photo=digest, prompt=prompt.words, threshold=lowest)
                if file is not None:
                    files[prompt.words] = file
        return files

    def _decode(self, data: bytes, request: PhotoRequest, cancelled: Cancelled) -> DecodedPhoto:
        try:
            return self.decoder.decode_photo(data, request.max_megapixels, cancelled)
        except ImageError as error:
            raise PhotoError(str(error)) from error

    def _segment(self, photo: npt.NDArray[np.uint8], prompts: Sequence[Prompt]) -> Arrays:
        """The decoder's outputs without the batch dimension, one row per prompt (and rows of padding after them); {} for no prompt."""
        if not prompts:
            return {}
        unique = list(dict.fromkeys(prompts))
        ids, mask = self.tokenizer([prompt.words for prompt in unique])
        # One request per prompt: the response cache knows whole requests, so a prompt is found whatever it came with.
        texts = [self._text(ids[row : row + 1], mask[row : row + 1]) for row in range(len(unique))]
        image = to_square(photo, self.image_size)[None]
        limit = self.buckets[-1]
        # Prompts without boxes go along with those that have some: the photo is encoded once.
        shown = any(prompt.shown for prompt in unique)
        if len(unique) <= limit:
            bucket = {tensors.IMAGE: image, **self._bucket(texts, mask)}
            if shown:
                decoded = self.infer("sam3_boxes", {**bucket, **self._boxes(unique)}, tensors.SEGMENTS)
            else:
                decoded = self.infer("sam3", bucket, tensors.SEGMENTS)
            segments = {name: value[0] for name, value in decoded.items()}
        else:
            # More than one bucket holds: still one encoding, then bucket by bucket.
            wanted = dict.fromkeys((*tensors.FEATURES, self.box_map) if shown and self.box_map else tensors.FEATURES)
            encoded = self.infer("sam3_image_encoder", {tensors.IMAGE: image}, list(wanted))
            features = {name: encoded[name] for name in tensors.FEATURES}
            parts = []
            for start in range(0, len(unique), limit):
                bucket = self._bucket(texts[start : start + limit], mask[start : start + limit])
                here = unique[start : start + limit]
                if self.box_map and any(prompt.shown for prompt in here):
                    given = {tensors.FEATURES_PLAIN: encoded[self.box_map], **self._boxes(here), **bucket}
                    joined = self.infer("sam3_geometry_encoder", given, (tensors.PROMPT_FEATURES, tensors.PROMPT_MASK))
                    prompt = (joined[tensors.PROMPT_FEATURES], joined[tensors.PROMPT_MASK])
                    bucket = dict(zip((tensors.TEXT_FEATURES, tensors.TEXT_MASK), prompt, strict=True))
                decoded = self.infer("sam3_concept_decoder", {**features, **bucket}, tensors.SEGMENTS)
                parts.append({name: value[0] for name, value in decoded.items()})
            segments = {name: np.concatenate([part[name] for part in parts]) for name in tensors.SEGMENTS}
        if len(unique) < len(prompts):
            rows = [unique.index(prompt) for prompt in prompts]
            segments = {name: value[rows] for name, value in segments.items()}
        return segments

    def _text(self, ids: Array, mask: Array) -> Array:
        tokens = {tensors.INPUT_IDS: ids, tensors.ATTENTION_MASK: mask}
        return self.texts.get(ids, lambda: self.infer("sam3_text_encoder", tokens, (tensors.TEXT_FEATURES,))[tensors.TEXT_FEATURES][0])

    def _boxes(self, prompts: Sequence[Prompt]) -> Arrays:
        """`box_prompts` [1,N,M,4] and `box_labels` [1,N,M], N filled up as `_bucket` does."""
        size = next(bucket for bucket in self.buckets if bucket >= len(prompts))
        boxes = np.zeros((1, size, MAX_BOXES, 4), np.float32)
        labels = np.full((1, size, MAX_BOXES), NO_BOX, np.int32)
        for row in range(size):
            for column, (box, meant) in enumerate(prompts[min(row, len(prompts) - 1)].shown):
                boxes[0, row, column], labels[0, row, column] = box, int(meant)
        return {tensors.BOX_PROMPTS: boxes, tensors.BOX_LABELS: labels}

    def _bucket(self, texts: Sequence[Array], mask: Array) -> Arrays:
        """`text_features` [1,N,T,D] and `text_mask` [1,N,T], N filled up to a bucket by repeating the last prompt."""
        size = next(bucket for bucket in self.buckets if bucket >= len(texts))
        rows = [*range(len(texts)), *[len(texts) - 1] * (size - len(texts))]
        return {tensors.TEXT_FEATURES: np.stack([texts[row] for row in rows])[None], tensors.TEXT_MASK: mask[rows][None]}


def _prompts(concept: ConceptQuery) -> list[Prompt]:
    """What a concept asks the network for, in the order of `respray.contract.request.prompts_of`."""
    shown = (*((box, True) for box in concept.boxes), *((box, False) for box in concept.not_boxes))
    return [Prompt(words, shown) for words in concept.prompts]


def handed_on(photo: DecodedPhoto) -> Arrays:
    """The applier's tensors of a photo."""
    alpha: Arrays = {} if photo.alpha is None else {tensors.ALPHA: photo.alpha}
    return {tensors.PHOTO: photo.rgb, **alpha, tensors.FACTS: from_bytes(photo.facts.model_dump_json().encode())}


def _with_files(results: Arrays, more: list[bytes]) -> Arrays:
    """The applier's answer with files behind its own."""
    if not more:
        return results
    data, sizes = pack(more)
    files = cast(UInt8Vector, results[tensors.FILES])
    before = results[tensors.FILE_SIZES]
    if not before.any():
        return {**results, tensors.FILES: data, tensors.FILE_SIZES: sizes}
    return {**results, tensors.FILES: np.concatenate([files, data]), tensors.FILE_SIZES: np.concatenate([before, sizes])}


class _Clock:
    """Seconds per stage; no stage begins for a client that has gone away."""

    def __init__(self, cancelled: Cancelled) -> None:
        self._cancelled = cancelled
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if self._cancelled():
            raise InterruptedError(f"The client cancelled the request before stage '{name}'.")
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
