"""Hostile messages and files: none crashes the worker, none reaches the pipeline, each gets a clear error."""

# ruff: noqa: E501 (sentences are compared whole)
from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import JobError
from orchestrator.jobs import keys
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from tests.orchestrator import hostile
from tests.orchestrator.support import TinyPipeline, palette_job, photo, rule_job, tiny_worker

CATALOG = load_catalog()


def test_every_hostile_message_is_refused_with_a_reason(tmp_path: Path) -> None:
    """Through a whole worker: one after the other, and a good job at the end shows that it still works."""
    corpus = list(hostile.messages())
    assert len(corpus) >= 200
    pipeline, events, wrong = TinyPipeline(), list[dict[str, Any]](), list[tuple[str, str]]()

    async def work() -> None:
        async with tiny_worker(tmp_path, pipeline, events=events) as worker:
            for name, message in corpus:
                result = await worker.start(message).finished()
                error = result.error or ""
                if not result.dead or not 15 < len(error) < 6000 or "Traceback" in error or "pydantic" in error:
                    wrong.append((name, error))
            assert not wrong, wrong
            assert pipeline.calls == 0
            folder = tmp_path / "inputs/u_abc/job_1"
            folder.mkdir(parents=True)
            (folder / "0.jpg").write_bytes(photo())
            assert (await worker.start(palette_job(count=1)).finished()).ok

    asyncio.run(work())
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"inputs", "outputs", "previews", "failed"}


def test_every_hostile_file_fails_its_own_item_and_never_reaches_the_pipeline(tmp_path: Path) -> None:
    corpus = list(hostile.files())
    assert len(corpus) >= 60
    folder = tmp_path / "inputs/u_abc/job_1"
    folder.mkdir(parents=True)
    for index, (_, data) in enumerate([*corpus, ("good", photo())]):
        (folder / f"{index}.jpg").write_bytes(data)
    pipeline, events = TinyPipeline(), list[dict[str, Any]]()

    async def work() -> Any:
        async with tiny_worker(tmp_path, pipeline, events=events) as worker:
            return await worker.start(palette_job(count=len(corpus) + 1)).finished()

    result = asyncio.run(work())
    reached = [corpus[e["idx"]][0] for e in events if e["event"] == "item" and e["status"] == "completed" and e["idx"] < len(corpus)]
    assert not reached and pipeline.calls == 1 and result.completed == 1
    for event in (e for e in events if e["event"] == "item" and e["status"] == "failed"):
        assert event["error"].startswith(f"inputs/u_abc/job_1/{event['idx']}.jpg: ") and len(event["error"]) > 50, event


def test_errors_name_the_field_and_what_is_accepted() -> None:
    for message, wanted in (
        (palette_job() | {"preset": "castle"}, "preset: unknown preset 'castle'; there are: interior, seller"),
        (palette_job() | {"concepts": {"Wall": {"action": "recolor", "value": "oak_aa"}}}, "concepts.Wall: unknown palette id 'oak_aa' (did you mean 'oak_a'?)"),
        (palette_job() | {"concepts": {"Wall": {"action": "paint", "value": 1}}}, "there are: recolor, remove, texture, tone"),
        (palette_job() | {"concepts": {"Wall": {}}}, "concepts.Wall: has no rule; accepted is 'action'"),
        (palette_job() | {"concepts": {"Wall": {"action": "texture", "value": {"texture": "marble", "scale": 1e-160}}}}, "concepts.Wall: scale: input should be greater than or equal to 0.001 (given: 1e-160)"),
        (palette_job() | {"concepts": {"Wall": {"action": "texture", "value": {"texture": "marble", "offset": [1e308, 0]}}}}, "concepts.Wall: offset[0]: input should be less than or equal to 1000"),
        (palette_job() | {"concepts": {"Floor": {"action": "texture", "value": {"texture": "carpet", "direction": "up"}}}}, "concepts.Floor: direction: must be 'along', 'across', or degrees from -360 to 360, not 'up'"),
        (palette_job() | {"concepts": {"Floor": {"action": "texture", "value": {"texture": "carpet", "quad": [[0, 0], [1, 1], [1, 0], [0, 1]]}}}}, "quad: must be the four corners of a convex quadrilateral, clockwise as the photo shows them, from the picture's top left one; at corner 2, [1, 1], it does not turn to the right"),
        (palette_job() | {"concepts": {"Floor": {"action": "texture", "value": {"texture": "carpet", "quad": [[0, 0], [1, 0], [1, 1], [0, 1]], "rotation": 5}}}}, "quad: says where the picture lies and how large it is; rotation cannot go with it"),
        (palette_job() | {"concepts": {"Wall": {"action": "recolor", "value": {"color": "#112233", "sheen": "shiny"}}}}, "concepts.Wall: sheen: input should be 'matte', 'satin' or 'gloss' (given: 'shiny')"),
        (palette_job() | {"colour": 1}, "colour: unknown field; accepted here: job_id, user_id, preset"),
        (rule_job(rules=[{"ruleId": "a", "concept": "sofa", "type": "recolor", "params": {"color": "#112233"}}]), "unknown concept 'sofa'; there are: floor, wall"),
        (rule_job(rules=[{"ruleId": "a", "concept": "wall", "type": "remove", "params": {"mode": "transparent"}}]), "set options.format to png or webp"),
    ):  # fmt: skip
        try:
            parse_job(message, CATALOG)
        except JobError as error:
            assert wanted in str(error), str(error)
        else:
            raise AssertionError(wanted)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from([*palette_job(), *rule_job(), "preset", "protect", "options", "callback_url", "batch_concurrency"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200), json_values.map(json.dumps)))
def test_anything_at_all_is_a_job_or_a_job_error(message: bytes | str) -> None:
    try:
        parse_job(message, CATALOG)
    except JobError as error:
        assert str(error)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([palette_job, rule_job]), st.dictionaries(FIELDS, json_values, min_size=1, max_size=3))
def test_a_job_with_fields_replaced_is_a_job_or_a_job_error(make: Any, changes: dict[str, Any]) -> None:
    try:
        job = parse_job(make() | changes, CATALOG)
    except JobError as error:
        assert str(error)
        return
    check_confined(job)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["input_key", "output_key", "preview_key"]), st.booleans())
def test_no_key_leaves_the_jobs_own_prefixes(text: str, field: str, prefixed: bool) -> None:
    message = palette_job(count=1)
    prefix = {"input_key": "inputs", "output_key": "outputs", "preview_key": "previews"}[field]
    message["items"][0][field] = (f"{prefix}/u_abc/job_1/" if prefixed else "") + text
    with contextlib.suppress(JobError):
        check_confined(parse_job(message, CATALOG))


def check_confined(job: Any) -> None:
    for item in job.items:
        names = [*item.keys_read, *(t.to.label for t in item.targets), *([item.preview.label] if item.preview else [])]
        names += [job.mask_key(item, concept.name, 1) for concept in item.request.concepts]
        for key, folder in ((key, key.split("/")[0]) for key in names):
            assert folder in ("inputs", "outputs", "previews", "masks")
            assert key.startswith(f"{folder}/{job.user_id}/{job.job_id}/")
            assert not {"", ".", ".."} & set(key.split("/")) and "\\" not in key and "\x00" not in key


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=64), min_size=1, max_size=16, unique=True))
def test_concept_names_in_keys_are_safe_distinct_and_stable(names: list[str]) -> None:
    slugs = keys.safe_names(names)
    assert len({slug.lower() for slug in slugs.values()}) == len(names)
    assert all(
        slug.replace("_", "").replace("-", "").isalnum() and slug.isascii() and len(slug) <= 80
        for slug in slugs.values()
        if slug.strip("_-")
    )
    assert slugs == keys.safe_names(list(reversed(names)))
