"""Segments are kept: a second look at the same photo asks nothing of SAM3, in any process, with the same bytes; by Triton's counters."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import NotFound
from orchestrator.photos.service import PhotoService
from orchestrator.photos.types import PreviewQuery, SegmentsQuery
from orchestrator.storage.base import Expect
from orchestrator.worker.backend import TritonBackend
from orchestrator.worker.kept_segments import MAGIC, Kept, KeptSegments
from orchestrator.worker.worker import Worker
from respray.contract.request import ConceptQuery, PhotoRequest
from respray.contract.segments_file import SegmentsHead, read_segments, write_segments
from respray.triton.client import PipelineClient
from respray.triton.statistics import difference
from tests.orchestrator.support import palette_job, tiny_worker
from tests.triton.photos import jpeg, mask

pytestmark = pytest.mark.server
USER = "u_abc"
WALL = {"Wall": {"action": "recolor", "value": "#7C9082"}}
FLOOR = {"Floor": {"action": "recolor", "value": "#806040"}}


@contextlib.asynccontextmanager
async def worker_on(root: Path, url: str) -> AsyncIterator[Worker]:
    backend = TritonBackend(url, 60.0)
    async with tiny_worker(root, backend) as worker:
        yield worker
        await worker.kept.close()
    await backend.close()


async def encodings(url: str, work: Any) -> tuple[Any, int, int]:
    """What `work` gives, and how often the image encoder ran and how many photos the decoder took meanwhile."""
    async with PipelineClient(url) as client:
        before = await client.statistics()
        result = await work
        added = difference(await client.statistics(), before)
        return result, added["sam3_image_encoder"].inferences, added["sam3_concept_decoder"].inferences


def job(root: Path, name: str, concepts: dict[str, Any], photo: bytes, **options: Any) -> dict[str, Any]:
    folder = root / "inputs" / USER / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "0.jpg").write_bytes(photo)
    return palette_job(name, 1, preset=None, concepts=concepts, options={"threshold": 0.06, **options})


async def do(root: Path, url: str, message: dict[str, Any]) -> tuple[bytes, int]:
    """Run a job in a worker of its own; the picture, and how often the encoder ran."""
    async with worker_on(root, url) as worker:
        result, encoded, _ = await encodings(url, worker.start(message, final=True).finished())
        assert result.ok, result.error
    return (root / f"outputs/{USER}/{message['job_id']}/0_result.png").read_bytes(), encoded


def entry(root: Path) -> Path:
    (path,) = (root / "segments" / USER).rglob("found.bin")
    return path


def test_another_palette_for_the_same_photo_encodes_nothing_and_gives_the_same_bytes(tmp_path: Path, triton_url: str) -> None:
    async def run() -> None:
        photo = jpeg(11)
        concepts = {**WALL, **FLOOR}
        first, encoded = await do(tmp_path, triton_url, job(tmp_path, "one", concepts, photo))
        assert encoded == 1
        again, encoded = await do(tmp_path, triton_url, job(tmp_path, "two", concepts, photo))
        assert (again, encoded) == (first, 0)
        fresh, encoded = await do(tmp_path, triton_url, job(tmp_path, "three", concepts, photo, reuse=False))
        assert (fresh, encoded) == (first, 1)
        # A concept more is segmented, and both are there then.
        _, encoded = await do(tmp_path, triton_url, job(tmp_path, "four", {**concepts, "sofa": WALL["Wall"]}, photo))
        _, later = await do(tmp_path, triton_url, job(tmp_path, "five", {"sofa": WALL["Wall"], **FLOOR}, photo))
        assert (encoded, later) == (1, 0)
        # A threshold below what was kept misses where instances were left out, and is kept for the next one.
        path = entry(tmp_path)
        async with worker_on(tmp_path, triton_url) as worker:
            kept = await worker.kept.read_digest(USER, path.parent.parent.name, path.parent.name)
        floors = {prompt: read_segments(data)[0].floor for prompt, data in kept.files.items()}
        prompt = max(floors, key=lambda name: floors[name])
        edits = {prompt: WALL["Wall"]}
        _, lower = await do(tmp_path, triton_url, job(tmp_path, "six", edits, photo, threshold=0.0))
        _, known = await do(tmp_path, triton_url, job(tmp_path, "seven", edits, photo, threshold=0.0))
        assert floors[prompt] == 0.05 and (lower, known) == (1, 0)

    asyncio.run(run())


def hostile(data: bytes, user: str, photo: str, model: str) -> dict[str, bytes]:
    """Objects of which nothing may be used, by what is wrong with them."""
    end = data.find(b"\n") + 1
    line, file = data[:end], data[end:]
    head, packed = read_segments(file)

    def of(file: bytes, **fields: Any) -> bytes:
        line = Kept(**{"user": user, "photo": photo, "model": model, **fields})
        text = f'{{"user":"{line.user}","photo":"{line.photo}","model":"{line.model}","sizes":[{len(file)}]}}'
        return MAGIC + text.encode() + b"\n" + file

    def remade(maps: bytes = bytes(packed), **fields: Any) -> bytes:
        return of(write_segments(SegmentsHead.model_construct(**{**head.model_dump(), **fields}), maps))

    import zlib

    raw = zlib.decompress(bytes(packed))
    flipped = bytearray(data)
    flipped[-20] ^= 1
    other = "0" * 64
    return {
        "empty": b"",
        "truncated": data[:-9],
        "half": data[: len(data) // 2],
        "one bit": bytes(flipped),
        "no newline": line[:-1],
        "pickle": b"\x80\x04\x95\x0e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
        "html": b"<html>404</html>",
        "another user": of(file, user="u_other"),
        "another photo around": of(file, photo=other),
        "another photo within": remade(photo=other),
        "another model within": remade(model=other),
        "older format": remade(format=0),
        "bomb": remade(zlib.compress(bytes(200 << 20))),
        "too few pixels": remade(zlib.compress(raw[:-1])),
        "more behind": remade(bytes(packed) + b"more"),
        "no zlib": remade(b"nonsense"),
        "another size": remade(size=60),
        "huge size": remade(size=10**9),
        "NaN score": remade(scores=[float("nan")] * len(head.scores)),
        "NaN presence": remade(presence=float("nan")),
        "score above one": remade(scores=[7.0] * len(head.scores)),
        "more scores than boxes": remade(scores=[*head.scores, 0.5]),
        "more instances than the model has": remade(scores=[0.5] * 200, boxes=[(0.0, 0.0, 1.0, 1.0)] * 200),
        "negative sizes": line.replace(b"[", b"[-") + file,
        "years old": remade(made=1.0),
        "from the future": remade(made=1e12),
        "too large": data + bytes(17 << 20),
    }


def test_what_is_wrong_with_an_entry_means_that_it_is_made_again(tmp_path: Path, triton_url: str) -> None:
    async def run() -> None:
        photo = jpeg(12)
        first, _ = await do(tmp_path, triton_url, job(tmp_path, "first", WALL, photo))
        path = entry(tmp_path)
        good = path.read_bytes()
        digest, model = hashlib.sha256(photo).hexdigest(), path.parent.name
        # Its own files remade as they were are used: what is refused below is refused for what is wrong with it.
        head, packed = read_segments(good[good.find(b"\n") + 1 :])
        assert good.endswith(write_segments(head, bytes(packed)))
        unread = 0
        for number, (what, bad) in enumerate(hostile(good, USER, digest, model).items()):
            path.write_bytes(bad)
            async with worker_on(tmp_path, triton_url) as worker:
                read = await worker.kept.read_digest(USER, digest, model)
            # What a worker does not read is as what is not there, whatever is wrong with it: two such objects are shown to whole jobs.
            unread += not read.files
            if not read.files and what not in ("empty", "too large"):
                continue
            name = f"bad{number}"
            again, encoded = await do(tmp_path, triton_url, job(tmp_path, name, WALL, photo))
            assert (again == first, encoded) == (True, 1), what
            if what == "another size":
                _, encoded = await do(tmp_path, triton_url, job(tmp_path, f"{name}again", WALL, photo))
                assert encoded == 0, what
        assert unread > 10

    asyncio.run(run())


def test_another_users_entries_and_old_ones_are_not_read_and_prune_deletes_them(tmp_path: Path, triton_url: str) -> None:
    async def run() -> None:
        photo = jpeg(13)
        await do(tmp_path, triton_url, job(tmp_path, "first", WALL, photo))
        path = entry(tmp_path)
        folder = tmp_path / "inputs/u_other/theirs"
        folder.mkdir(parents=True)
        (folder / "0.jpg").write_bytes(photo)
        theirs = palette_job("theirs", 1, user="u_other", preset=None, concepts=WALL)
        async with worker_on(tmp_path, triton_url) as worker:
            _, encoded, _ = await encodings(triton_url, worker.start(theirs, final=True).finished())
            assert encoded == 1
            assert await worker.kept.prune() == (0, 2)
            later = KeptSegments(worker.storage, 30, clock=lambda: 4e9)
            kept = Kept(USER, path.parent.parent.name, path.parent.name)
            assert not (await later.read_digest(kept.user, kept.photo, kept.model)).files
            assert await later.prune() == (2, 2)
            assert not path.exists()

    asyncio.run(run())


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path, triton_url: str) -> None:
    async def run() -> None:
        photo = jpeg(14)
        await do(tmp_path, triton_url, job(tmp_path, "first", {**WALL, **FLOOR}, photo))
        path = entry(tmp_path)
        async with worker_on(tmp_path, triton_url) as worker:
            whole = await worker.kept.read_digest(USER, path.parent.parent.name, path.parent.name)
            path.unlink()
            for prompt, data in whole.files.items():
                worker.kept.write(replace(whole, files={}, stat=None), {prompt: data}, whole.model)
            await worker.kept.close()
            assert (await worker.kept.read_digest(whole.user, whole.photo, whole.model)).files == whole.files
            await worker.storage.write(whole.key, b"", "x", Expect.ANYTHING)

    asyncio.run(run())


def test_a_photo_is_segmented_once_and_previewed_often(tmp_path: Path, triton_url: str) -> None:
    async def run() -> None:
        async with worker_on(tmp_path, triton_url) as worker:
            service = PhotoService(worker.storage, worker.backend, worker.catalog, worker.kept)
            photo = jpeg(15, 1600, 1200)
            stored = await service.store(USER, photo)
            assert await service.store(USER, photo) == stored
            assert (stored.photo, stored.width, stored.height) == (hashlib.sha256(photo).hexdigest(), 1600, 1200)
            options = {"threshold": 0.0}
            query = SegmentsQuery.model_validate({"concepts": ["wall", "floor"], "options": options})
            found, encoded, _ = await encodings(triton_url, service.segments(USER, stored.photo, query))
            assert encoded == 1 and [one.name for one in found.concepts] == ["wall", "floor"] and not found.reused
            assert {picture.concept for picture in found.masks} == {one.name for one in found.concepts if one.found}
            for color in ("#7C9082", "#334455"):
                wanted = {"concepts": {"wall": {"action": "recolor", "value": color}}, "options": options}
                shown, encoded, _ = await encodings(triton_url, service.preview(USER, stored.photo, PreviewQuery.model_validate(wanted)))
                assert encoded == 0 and shown.media_type == "image/jpeg" and (shown.report.width, shown.report.height) == (1200, 900)
            tile = PreviewQuery.model_validate({**wanted, "long_side": 0, "crop": (0.25, 0.25, 0.5, 0.5), "format": "png"}, strict=False)
            part, encoded, _ = await encodings(triton_url, service.preview(USER, stored.photo, tile))
            assert encoded == 0 and part.report.width == 1600 and int.from_bytes(part.picture[16:20], "big") == 400
            own = {"wall": {"base64": base64.b64encode(mask()).decode()}}
            drawn = await service.preview(USER, stored.photo, PreviewQuery.model_validate({**wanted, "mask_keys": own}))
            assert drawn.report.concepts[0].source == "user"
        async with worker_on(tmp_path, triton_url) as worker:
            service = PhotoService(worker.storage, worker.backend, worker.catalog, worker.kept)
            again, encoded, _ = await encodings(triton_url, service.segments(USER, stored.photo, query))
            assert (again.masks, encoded, again.reused) == (found.masks, 0, ["wall", "floor"])
            for user, name in ((USER, "0" * 64), ("u_other", stored.photo), (USER, "../x")):
                with pytest.raises(NotFound):
                    await service.segments(user, name, query)

    asyncio.run(run())


def test_only_what_a_request_asks_for_travels_with_it() -> None:
    kept = Kept(USER, hashlib.sha256(b"photo").hexdigest(), "model", {"wall": b"w", "floor": b"f", "sofa": b"s"})
    request = PhotoRequest(concepts=[ConceptQuery(name="Floor", prompts=["floor"])], keep_segments=True)
    added, attachments = kept.added_to(request, [b"mask"])
    assert attachments == [b"mask", b"f"]
    assert [known.attachment for known in added.known] == [1]
