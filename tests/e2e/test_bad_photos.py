"""One job with good, odd and broken photos: the good ones come out, the bad ones say why, and nobody else suffers."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from respray.demo.callback_receiver import CallbackReceiver
from tests.e2e.cli import Run, respray

SIZE = (240, 160)  # width, height


def room() -> Image.Image:
    """A plain lit wall over a floor: enough for every format to carry."""
    width, height = SIZE
    light = np.linspace(0.6, 1.0, width)[None, :, None]
    picture = np.full((height, width, 3), (190, 180, 165), np.float64)
    picture[height * 5 // 8 :] = (120, 80, 50)
    return Image.fromarray((picture * light).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rotated_jpeg() -> bytes:
    """Stored lying on its side with the EXIF tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(room().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)


def png_16_bit() -> bytes:
    deep = np.asarray(room()).astype(np.uint16) * 257
    return cv2.imencode(".png", deep[..., ::-1])[1].tobytes()


def bomb_png() -> bytes:
    """A valid header of a 40,000 x 40,000 PNG with a few rows' worth of zeros: 4.8 GB once decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")


def animated_gif() -> bytes:
    frames = [room(), room().transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)


GOOD: dict[str, Callable[[], bytes]] = {
    "plain.jpg": lambda: encoded(room(), "JPEG", quality=95),
    "rotated.jpg": rotated_jpeg,
    "deep.png": png_16_bit,
    "print.jpg": lambda: encoded(room().convert("CMYK"), "JPEG", quality=95),
    "indexed.png": lambda: encoded(room().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    "grey.png": lambda: encoded(room().convert("L"), "PNG"),
    "cutout.png": lambda: encoded(room().convert("RGBA"), "PNG"),
    "animated.gif": animated_gif,
}
BAD: dict[str, tuple[Callable[[], bytes] | None, str]] = {
    "missing.jpg": (None, "missing.jpg"),
    "empty.jpg": (lambda: b"", "empty"),
    "cut.jpg": (lambda: encoded(room(), "JPEG", quality=95)[:900], ""),
    "text.jpg": (lambda: b"<html>404 not found</html>" * 40, "JPEG"),
    "huge.png": (bomb_png, "1600 megapixels"),
}
NAMES = [*GOOD, *BAD]
PREFIX = "inputs/u/mixed/"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> tuple[Run, Path, list[dict[str, Any]]]:
    """The run, its storage, and the callbacks that arrived."""
    store = tmp_path_factory.mktemp("mixed")
    (store / PREFIX).mkdir(parents=True)
    makers = {**GOOD, **{name: maker for name, (maker, _) in BAD.items()}}
    for name, maker in makers.items():
        if maker is not None:
            (store / PREFIX / name).write_bytes(maker())
    # User masks, so that the outcome does not hang on what the demo model finds in so plain a picture.
    mask = Image.new("L", SIZE)
    mask.paste(255, (0, 0, SIZE[0], SIZE[1] * 5 // 8))
    mask.save(store / PREFIX / "wall.png")
    items = [
        {
            "idx": idx,
            "input_key": PREFIX + name,
            "output_key": f"outputs/u/mixed/{idx}_result.png",
            "preview_key": f"previews/u/mixed/{idx}_thumb.jpg",
            "mask_keys": {"Wall": f"{PREFIX}wall.png"},
        }
        for idx, name in enumerate(NAMES)
    ]
    with CallbackReceiver() as receiver:
        job = {
            "job_id": "mixed",
            "user_id": "u",
            "preset": "interior",
            "concepts": {"Wall": {"action": "recolor", "value": "#5E7F8C"}},
            "protect": [],
            "items": items,
            "callback_url": f"http://{receiver.host}/jobs/mixed/callback",
            "idempotency_prefix": "mixed",
            "batch_concurrency": 4,
        }
        (store / "job.json").write_text(json.dumps(job))
        run = respray(
            "run",
            "job.json",
            "--store",
            store,
            "--triton-url",
            triton_url,
            cwd=store,
            GPU_CALLBACK_SECRET=receiver.secret,
            CALLBACK_ALLOW_HOSTS=receiver.host,
        )
        return run, store, sorted(receiver.received, key=lambda body: body["idx"])


@pytest.mark.parametrize("name", GOOD)
def test_an_odd_but_valid_photo_is_edited(mixed: tuple[Run, Path, Any], name: str) -> None:
    run, store, _ = mixed
    event = run.item(NAMES.index(name))
    assert event["status"] == "completed", event["error"]
    result = cv2.imread(str(store / event["output_key"]))
    assert result.shape[:2] == (SIZE[1], SIZE[0]), "upright and of the photo's own size"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_photo_fails_alone_and_says_why(mixed: tuple[Run, Path, Any], name: str) -> None:
    run, store, _ = mixed
    event = run.item(NAMES.index(name))
    assert event["status"] == "failed"
    assert BAD[name][1].lower() in event["error"].lower()
    assert "Traceback" not in event["error"]
    assert not (store / f"outputs/u/mixed/{event['idx']}_result.png").exists()


def test_callback_and_manifest_tell_the_same_story(mixed: tuple[Run, Path, list[dict[str, Any]]]) -> None:
    run, store, callbacks = mixed
    assert [body["idx"] for body in callbacks] == list(range(len(NAMES)))
    manifest = json.loads((store / "outputs/u/mixed/manifest.json").read_text())
    for body, item in zip(callbacks, manifest["items"], strict=True):
        event = run.item(body["idx"])
        assert (body["status"], body["error"]) == (item["status"], item["error"]) == (event["status"], event["error"])


def test_the_exit_code_and_finish_event_count_the_failures(mixed: tuple[Run, Path, Any]) -> None:
    run, _, _ = mixed
    (finish,) = run.of("finish")
    assert run.code == 1
    assert (finish["status"], finish["completed"], finish["failed"]) == ("failed", len(GOOD), len(BAD))


def test_a_job_that_is_no_job_ends_at_once_and_lists_what_exists(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(
        json.dumps(
            {
                "job_id": "x",
                "user_id": "u",
                "preset": "garden",
                "concepts": {"Wall": {"action": "recolor", "value": "#FFFFFF"}},
                "items": [
                    {"idx": 0, "input_key": "inputs/u/x/0.jpg", "output_key": "outputs/u/x/0.png", "preview_key": "previews/u/x/0.jpg"}
                ],
                "callback_url": "https://example.com/callback",
            }
        )
    )
    # Nothing listens there: had the command asked for the server first, the error would be about the server.
    run = respray("run", "job.json", "--store", tmp_path, "--triton-url", "127.0.0.1:1", cwd=tmp_path, timeout=120)
    assert run.code == 1
    (finish,) = run.of("finish")
    assert finish["status"] == "failed"
    assert "garden" in finish["error"] and "interior" in finish["error"] and "seller" in finish["error"]
    assert "Traceback" not in run.logs
