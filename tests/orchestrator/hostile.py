"""Messages and files that lie, overflow, or are simply broken. `python -m tests.orchestrator.hostile` prints their names."""

# ruff: noqa: E501 (tables of broken things)
from __future__ import annotations

import copy
import io
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image

from tests.orchestrator.support import palette_job, photo, rule_job

BAD_KEYS = (
    "", "/", ".", "..", "../x.jpg", "inputs/u_abc/job_1/../../x.jpg", "inputs/u_abc/job_1/..", "inputs/u_abc/job_1/./0.jpg", "/etc/passwd",
    "/inputs/u_abc/job_1/0.jpg", "inputs/u_abc/job_1/", "inputs/u_abc/job_1//0.jpg", "inputs\\u_abc\\job_1\\0.jpg", "inputs/u_abc/job_1/\x000.jpg",
    "inputs/u_abc/job_1/0.jpg\n", "inputs/other/job_1/0.jpg", "inputs/u_abc/job_2/0.jpg", "inputs/u_abc/job_10/0.jpg", "inputs/u_abc/job_1",
    "outputs/u_abc/job_1/0.jpg" + "x" * 1100, "s3://bucket/0.jpg", "http://host/0.jpg", "file:///etc/passwd", "C:/0.jpg", "inputs/u_abc/job_1/%2e%2e/0.jpg",
    "inputs/u_abc/job_1/%2E%2E%2Fx.jpg", "inputs/u_abc/job_1/a%00.jpg", "INPUTS/u_abc/job_1/0.jpg", " inputs/u_abc/job_1/0.jpg", "inputs/u_abc/job_1/\u202e0.jpg",
    "masks/u_abc/job_1/0.png", "callbacks-owed/u_abc/job_1.json", "failed/u_abc/job_1.json", "models/sam3/model.onnx", "~/0.jpg",
)  # fmt: skip
BAD_IDS = ("", "..", "a/b", "../a", "a\\b", "a\x00", "a b", "a\n", "-a", ".a", "a..b", "x" * 129, "ä", "a?b", "a#b", "a%2fb")
WRONG_TYPES: tuple[Any, ...] = (None, 0, 1, -1, 1.5, True, "", "x", [], {}, [[]], {"a": 1}, 10**30)
BAD_DIRECTIONS: tuple[Any, ...] = ("up", "", True, [], {}, 361, 1e400, "90")
BAD_SHEENS: tuple[Any, ...] = ("shiny", "", 1, True, [], "Matte")
BAD_QUADS: tuple[Any, ...] = (
    "x", {}, 1, [], [[0.2, 0.5]], [[0.2, 0.5]] * 4, [0.1, 0.2, 0.3, 0.4], [[0.2, 0.5], [0.5, 0.5], [0.6, 0.9]], [[0.2, 0.5, 1]] * 4,
    [[0.2, 0.5], [0.6, 0.9], [0.5, 0.5], [0.1, 0.9]], [[0.1, 0.9], [0.6, 0.9], [0.5, 0.5], [0.2, 0.5]], [[0.1, 0.1], [0.4, 0.4], [0.6, 0.6], [0.9, 0.9]],
    [[0.2, 0.2], [0.8, 0.2], [0.3, 0.3], [0.2, 0.8]], [[0.2, 0.5], [0.5, 0.5], [0.6, 2.1], [0.1, 0.9]], [["0.2", 0.5], [0.5, 0.5], [0.6, 0.9], [0.1, 0.9]],
    [[0.2, 0.5], [0.5, 0.5], [0.6, 0.9], [0.1, 1e400]], [[True, 0.5], [0.5, 0.5], [0.6, 0.9], [0.1, 0.9]], [[0.2, 0.5], [0.200001, 0.5], [0.2, 0.500001], [0.2, 0.5]],
)  # fmt: skip
BAD_RULES: tuple[Any, ...] = (
    {"action": "paint", "value": "oak_a"}, {"action": "recolor"}, {"action": "recolor", "value": None}, {"action": "recolor", "value": "oak_zzz"},
    {"action": "recolor", "value": "#12345"}, {"action": "recolor", "value": "#1234567"}, {"action": "recolor", "value": "#GGGGGG"},
    {"action": "recolor", "value": "rgb(1,2,3)"}, {"action": "recolor", "value": 7}, {"action": "recolor", "value": ["#112233"]},
    {"action": "recolor", "value": {"color": "#112233", "strength": 2}}, {"action": "recolor", "value": {"color": "#112233", "strength": "1"}},
    {"action": "recolor", "value": {"color": "#112233", "gloss": 1}}, {"action": "recolor", "value": {"strength": 1}}, {"action": "tone", "value": {}},
    {"action": "tone", "value": {"brightness": 2}}, {"action": "tone", "value": {"brightness": -1.01}}, {"action": "tone", "value": {"hue": 0.1}},
    {"action": "tone", "value": "brighter"}, {"action": "texture", "value": "marble_zzz"}, {"action": "texture", "value": {}},
    {"action": "texture", "value": {"texture_key": "../x.png"}}, {"action": "texture", "value": {"texture_key": "inputs/other/job_1/t.png"}},
    {"action": "texture", "value": {"texture_key": 1}}, {"action": "texture", "value": {"texture_key": "inputs/u_abc/job_1/t.png", "scale": 0}},
    {"action": "texture", "value": {"texture_key": "inputs/u_abc/job_1/t.png", "scale": 1e9}}, {"action": "remove", "value": "shred"},
    *({"action": "texture", "value": {"texture": "oak_planks", "direction": value}} for value in BAD_DIRECTIONS),
    *({"action": "texture", "value": {"texture": "carpet", "quad": value}} for value in BAD_QUADS),
    {"action": "texture", "value": {"texture": "carpet", "quad": [[0.2, 0.5], [0.5, 0.5], [0.6, 0.9], [0.1, 0.9]], "scale": 2}},
    *({"action": "recolor", "value": {"color": "#112233", "sheen": value}} for value in BAD_SHEENS),
    {"action": "remove", "value": {"mode": "inpaint", "color": "#112233"}}, {"action": "remove", "value": {"mode": "background"}}, {"action": "remove"},
    {"action": "remove", "value": True}, {"value": "oak_a"}, {}, {"action": "recolor", "type": "recolor", "value": "oak_a"},
    {"action": "recolor", "value": "oak_a", "params": {"color": "#112233"}}, {"action": "recolor", "value": "oak_a", "extra": 1}, "recolor", 5, None, [],
    {"action": "__class__", "value": "x"}, {"action": "recolor", "value": "x" * 5000},
)  # fmt: skip


def messages() -> Iterator[tuple[str, Any]]:
    """(name, message): texts, bytes and objects, none of them a job."""
    yield from _broken_texts()
    yield from _wrong_fields()
    yield from _bad_keys()
    yield from _bad_looks()
    yield from _bad_parts()
    yield from _bad_rules()
    yield from _too_much()
    yield from _rule_jobs()


def _broken_texts() -> Iterator[tuple[str, Any]]:
    texts: dict[str, str | bytes] = {
        "empty": "", "blank": "   ", "brace": "{", "half": json.dumps(palette_job())[:-5], "null": "null", "number": "42", "string": '"job"', "list": "[]",
        "list of jobs": json.dumps([palette_job()]), "xml": "<job/>", "not utf-8": b"\xff\xfe{}", "utf-16": json.dumps(palette_job()).encode("utf-16"),
        "bom": b"\xef\xbb\xbf{}", "nul bytes": b"\x00" * 100, "nan": '{"job_id": NaN}', "infinity": '{"job_id": -Infinity}', "comment": "{} // job",
        "single quotes": "{'job_id': 'a'}", "deep lists": "[" * 100_000, "deep objects": '{"a":' * 50_000 + "1" + "}" * 50_000, "deep but valid": '{"a":' * 50 + "1" + "}" * 50,
        "large": '{"a": "' + "x" * (2 << 20) + '"}', "huge number": '{"job_id": 1' + "0" * 5000 + "}", "lone surrogate": '{"job_id": "\\ud800"}',
        "twice": '{"job_id": "a", "job_id": "b"}', "empty object": "{}", "pickle": b"\x80\x04\x95\x0b\x00\x00\x00", "gzip": b"\x1f\x8b\x08\x00", "prototype": '{"__proto__": {}}',
    }  # fmt: skip
    yield from ((f"text: {name}", text) for name, text in texts.items())


def _wrong_fields() -> Iterator[tuple[str, Any]]:
    for field in ("job_id", "user_id", "concepts", "items"):
        message = palette_job()
        del message[field]
        yield f"palette without {field}", message
        for value in WRONG_TYPES:
            if not (field == "job_id" and value == "x") and not (field == "user_id" and value == "x"):
                yield f"palette {field}={value!r}", palette_job() | {field: value}
    for value in BAD_IDS:
        yield f"job id {value!r}", palette_job() | {"job_id": value}
        yield f"user id {value!r}", palette_job() | {"user_id": value}
    for url in (
        "javascript:alert(1)",
        "ftp://host/",
        "host/path",
        "//host",
        "https://",
        "https://x/" + "y" * 3000,
        5,
        "file:///etc/passwd",
    ):
        yield f"callback url {str(url)[:30]!r}", palette_job() | {"callback_url": url}
    bad_options: tuple[Any, ...] = (
        {"threshold": 2}, {"threshold": -0.1}, {"threshold": "0.5"}, {"feather": -1}, {"feather": 1e9}, {"masks": "yes"}, {"masks": 1}, {"format": "gif"},
        {"format": "PNG"}, {"quality": 0}, {"quality": 101}, {"quality": 50.5}, {"max_megapixels": 0}, {"max_megapixels": 1e6}, {"preview_size": -1},
        {"preview_size": 100_000}, {"missing": "explode"}, {"unknown": 1}, [], "png", {"format": "jpeg"}, {"format": "webp"},
    )  # fmt: skip
    for options in bad_options:
        yield f"options {options!r}", palette_job() | {"options": options}
    yield "unknown preset", palette_job() | {"preset": "castle"}
    yield "preset path", palette_job() | {"preset": "../interior"}
    yield "unknown field", palette_job() | {"priority": 9}
    yield "both formats", palette_job() | {"imageCount": 1}
    yield "concurrency 0", palette_job() | {"batch_concurrency": 0}
    yield "concurrency 10000", palette_job() | {"batch_concurrency": 10_000}
    yield "protect a number", palette_job() | {"protect": [5]}
    yield "protect what is edited", palette_job() | {"protect": ["floor"]}
    yield (
        "same concept twice",
        palette_job()
        | {"concepts": {"Floor": {"action": "recolor", "value": "#112233"}, "floor": {"action": "recolor", "value": "#112233"}}},
    )
    yield "empty prefix", palette_job() | {"idempotency_prefix": ""}


def _bad_keys() -> Iterator[tuple[str, Any]]:
    for field in ("input_key", "output_key", "preview_key"):
        for key in BAD_KEYS:
            message = palette_job(count=1)
            message["items"][0][field] = key
            yield f"{field} {key[:40]!r}", message
    for key in ("outputs/u_abc/job_1/0.gif", "outputs/u_abc/job_1/0", "outputs/u_abc/job_1/0.png.exe", "outputs/u_abc/job_1/manifest.json"):
        message = palette_job(count=1)
        message["items"][0]["output_key"] = key
        yield f"output extension {key[-10:]}", message
    for mask_key in ("../m.png", "inputs/other/job_1/m.png", "masks/u_abc/job_1/m.png", 5):
        message = palette_job(count=1)
        message["items"][0]["mask_keys"] = {"Floor": mask_key}
        yield f"mask key {mask_key!r}", message
    for change in ({"idx": 0}, {"output_key": "outputs/u_abc/job_1/0_result.png"}, {"preview_key": "previews/u_abc/job_1/0_thumb.jpg"}):
        message = palette_job(count=2)
        message["items"][1] |= change
        yield f"two items with the same {next(iter(change))}", message
    for idx in (-1, 1.5, "0", True, None, 10**12):
        message = palette_job(count=1)
        message["items"][0]["idx"] = idx
        yield f"idx {idx!r}", message


def _bad_looks() -> Iterator[tuple[str, Any]]:
    concepts = {"Wall": {"action": "recolor", "value": "oak_a"}}
    one = {"name": "calm", "concepts": concepts}
    clear = {"name": "clear", "concepts": {"Wall": {"action": "remove", "value": "transparent"}}}
    changes: dict[str, Any] = {
        "concepts too": {"concepts": concepts}, "none": {"looks": []}, "no list": {"looks": one}, "no look": {"looks": [None]},
        "33": {"looks": [one | {"name": f"n{number}"} for number in range(33)]},
        "one name twice": {"looks": [one, one]}, "no name": {"looks": [{"concepts": concepts}]},
        "a long name": {"looks": [one | {"name": "x" * 65}]}, "unknown field": {"looks": [one | {"colour": 1}]},
        "no concepts": {"looks": [{"name": "calm", "concepts": {}}]}, "no preset": {"preset": "castle"},
        "one concept twice": {"looks": [{"name": "calm", "concepts": concepts | {"wall": concepts["Wall"]}}]},
        "edits what it protects": {"looks": [one | {"protect": ["wall"]}]}, "edits what the job protects": {"protect": ["wall"]},
        "an unknown colour": {"looks": [{"name": "calm", "concepts": {"Wall": {"action": "recolor", "value": "oak_z"}}}]},
        "transparent JPEG": {"looks": [one, clear], "options": {"format": "jpeg"}},
        "too many concepts": {"looks": [{"name": f"n{a}", "concepts": {f"c{a}_{b}": concepts["Wall"] for b in range(16)}} for a in range(3)]},
    }  # fmt: skip
    for name in ("../x", "a/b", "", "..", "{look}", "manifest/0", 5, None):
        changes[f"name {name!r}"] = {"looks": [one | {"name": name}]}
    for what, change in changes.items():
        message = palette_job(count=1)
        del message["concepts"], message["items"][0]["output_key"]
        yield f"looks: {what}", message | {"looks": [one]} | change
    for field, key in {
        "output_key": ["outputs/u_abc/job_1/0.gif", "outputs/other/job_1/{look}/0.png", "outputs/u_abc/job_1/../{look}.png"],
        "preview_key": ["previews/u_abc/job_1/{look}.png", "previews/other/{look}/0.jpg"],
    }.items():
        for value in key:
            message = palette_job(count=1)
            del message["concepts"]
            message["items"][0][field] = value
            yield f"looks: {field} {value}", message | {"looks": [one]}
    message = palette_job(count=2)
    del message["concepts"]
    for item in message["items"]:
        item["output_key"] = "outputs/u_abc/job_1/{look}.png"
    yield "looks: two photos with one key", message | {"looks": [one]}
    message = palette_job(count=1)
    del message["items"][0]["output_key"]
    yield "no output_key without looks", message


def _bad_parts() -> Iterator[tuple[str, Any]]:
    edit = {"action": "recolor", "value": "oak_a"}
    points: tuple[Any, ...] = (
        [[1.01, 0.5]], [[0.5, -1e-9]], [["0.5", 0.5]], [[True, 0.5]], [[0.5]], [[0.5, 0.5, 0.5]], [0.5, 0.5], [[None, 0]], {"x": 0.5}, "0.5,0.5",
        [{"x": 0, "y": 0}], [[0.5, 0.5]] * 65, [[1e400, 0.5]], [[[0.5], 0.5]],
    )  # fmt: skip
    changes: list[dict[str, Any]] = [{name: value} for name in ("at", "not_at") for value in points]
    numbers: tuple[Any, ...] = (0, -1, 257, 1.5, True, "some", "1", [], {})
    changes += [{"instances": value} for value in numbers]
    for change in changes:
        yield f"parts: {change}"[:90], palette_job(count=1, concepts={"Wall": edit | change})
        rule = {"ruleId": "r1", "concept": "wall", "type": "recolor", "params": {"color": "#FF5733"}}
        yield f"parts of a rule: {change}"[:90], rule_job(rules=[rule | change])


def _bad_rules() -> Iterator[tuple[str, Any]]:
    for rule in BAD_RULES:
        yield f"rule {str(rule)[:60]}", palette_job() | {"concepts": {"Floor": rule}}
    for name in ("", " ", "x" * 65, "a\x00b", "a\nb", "\u202e"):
        yield f"concept name {name[:10]!r}", palette_job() | {"concepts": {name: {"action": "recolor", "value": "#112233"}}}
    transparent = palette_job(count=1) | {"concepts": {"Floor": {"action": "remove", "value": "transparent"}}}
    transparent["items"][0]["output_key"] = "outputs/u_abc/job_1/0.jpg"
    yield "transparent JPEG", transparent


def _too_much() -> Iterator[tuple[str, Any]]:
    yield "1001 items", palette_job(count=1001)
    yield "17 concepts", palette_job() | {"concepts": {f"c{i}": {"action": "recolor", "value": "#112233"} for i in range(17)}}
    yield "17 protected", palette_job() | {"protect": [f"c{i}" for i in range(17)]}
    yield "no items", palette_job() | {"items": []}
    yield "no concepts", palette_job() | {"concepts": {}}


def _rule_jobs() -> Iterator[tuple[str, Any]]:
    for field in ("userId", "jobId", "concepts", "rules", "imageCount"):
        message = rule_job()
        del message[field]
        yield f"rule job without {field}", message
    changes: dict[str, Any] = {
        "imageCount 0": {"imageCount": 0}, "imageCount -1": {"imageCount": -1}, "imageCount 1e6": {"imageCount": 10**6}, "imageCount text": {"imageCount": "2"},
        "imageCount 1.5": {"imageCount": 1.5}, "no rules": {"rules": []}, "no concepts": {"concepts": []}, "concepts a dict": {"concepts": {"wall": {}}},
        "unknown field": {"callback": "x"}, "jobId path": {"jobId": "../x"}, "userId slash": {"userId": "a/b"}, "unknown preset": {"preset": "castle"},
        "33 rules": {"rules": [{"ruleId": f"r{i}", "concept": "wall", "type": "recolor", "params": {"color": "#112233"}} for i in range(33)]},
        "items beyond imageCount": {"items": [{"idx": 9}]}, "items twice": {"items": [{"idx": 0}, {"idx": 0}]},
        "item with a foreign mask": {"items": [{"idx": 0, "mask_keys": {"wall": "inputs/other/job_r/m.png"}}]}, "concept twice": {"concepts": ["wall", "Wall"]},
    }  # fmt: skip
    yield from ((f"rule job: {name}", rule_job() | change) for name, change in changes.items())
    wrong: tuple[dict[str, Any], ...] = (
        {"ruleId": "../x"}, {"ruleId": ""}, {"ruleId": "a/b"}, {"ruleId": "x" * 65}, {"concept": "sofa"}, {"concept": ""}, {"type": "paint"}, {"params": {}},
        {"params": {"color": "red"}}, {"type": "remove", "params": "transparent"}, {"type": "texture", "params": {"texture": "nope"}}, {"extra": 1}, {"ruleId": "r2"},
    )  # fmt: skip
    for change in wrong:
        message = copy.deepcopy(rule_job())
        message["rules"][0] |= change
        yield f"rule {change!r}", message


def files() -> Iterator[tuple[str, bytes]]:
    """(name, content): files that must be refused by their header, before anything is decoded or sent to Triton."""
    jpeg, png = photo(), _png(16, 16)
    broken: dict[str, bytes] = {
        "empty": b"", "one byte": b"\xff", "text": b"hello", "html": b"<html><body>404</body></html>", "xml": b'<?xml version="1.0"?>', "json": b"{}", "zeros": bytes(4096),
        "ones": b"\xff" * 4096, "pdf": b"%PDF-1.7\n", "elf": b"\x7fELF" + bytes(100), "zip": b"PK\x03\x04" + bytes(100), "gzip": b"\x1f\x8b" + bytes(100), "mp4": bytes(4) + b"ftypisom" + bytes(100),
        "wav": b"RIFF" + bytes(4) + b"WAVEfmt ", "avi": b"RIFF" + bytes(4) + b"AVI ", "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>', "ps": b"%!PS-Adobe-3.0 EPSF-3.0\n", "ico": b"\x00\x00\x01\x00" + bytes(60),
        "psd": b"8BPS" + bytes(60), "exr": b"v/1\x01" + bytes(60), "hdr": b"#?RADIANCE\n", "pcx": b"\x0a\x05\x01\x08" + bytes(124), "tga": b"\x00\x00\x02" + bytes(20), "xpm": b"/* XPM */", "fits": b"SIMPLE  =" + bytes(80),
        "jpeg 2 bytes": jpeg[:2], "jpeg 10 bytes": jpeg[:10], "jpeg 20 bytes": jpeg[:20], "jpeg without frame": jpeg[:2] + b"\xff\xd9", "jpeg marker soup": b"\xff\xd8" + b"\xff\xe0" * 500,
        "jpeg endless segment": b"\xff\xd8\xff\xe1\xff\xff" + bytes(100), "jpeg after junk": b"junk" + jpeg, "png 8 bytes": png[:8], "png 12 bytes": png[:12], "png 20 bytes": png[:20],
        "png bad signature": b"\x89PNX" + png[4:], "png swapped": png[:12] + b"TDAT" + png[16:], "gif header": b"GIF89a", "gif zero": b"GIF89a" + bytes(7), "bmp header": b"BM", "bmp short": b"BM" + bytes(20),
        "webp header": b"RIFF\x00\x00\x00\x00WEBP", "webp chunk": b"RIFF\x10\x00\x00\x00WEBPVP8 " + bytes(4), "tiff header": b"II*\x00", "tiff far ifd": b"II*\x00\xff\xff\xff\x7f", "tiff loop": b"II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00",
        "bigtiff": b"II+\x00\x08\x00\x00\x00" + bytes(8), "heic": bytes(4) + b"ftypheic" + bytes(100), "avif": bytes(4) + b"ftypavif" + bytes(100), "jxl": b"\xff\x0a" + bytes(100), "jp2": b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(50),
    }  # fmt: skip
    yield from broken.items()
    for width, height in (
        (40_000, 40_000),
        (100_000, 1_000),
        (2**31 - 1, 2**31 - 1),
        (65_500, 65_500),
        (0, 10),
        (10, 0),
        (1, 1),
        (7, 100_000),
        (1, 2**30),
    ):
        yield f"png {width} x {height}", _png(width, height, pixels=False)
    for width, height in ((65_535, 65_535), (1, 65_535), (0, 0)):
        yield f"jpeg {width} x {height}", _jpeg_of_size(width, height)
    frames = [Image.new("RGB", (16, 16), (i * 40, 0, 0)) for i in range(4)]
    for kind in ("WEBP", "PNG"):
        out = io.BytesIO()
        frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=100)
        yield f"animated {kind.lower()}", out.getvalue()


def _png(width: int, height: int, pixels: bool = True) -> bytes:
    """A PNG that says to be this large; without `pixels` it holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress((b"\x00" + b"\x80" * width * 3) * height) if pixels else zlib.compress(b"\x00" * 64)
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _jpeg_of_size(width: int, height: int) -> bytes:
    data = bytearray(photo())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


if __name__ == "__main__":
    for title, source in (("messages", messages()), ("files", files())):
        names = [name for name, _ in source]
        print(f"{len(names)} {title}")
        print("\n".join(f"  {name}" for name in names))
