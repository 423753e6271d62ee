"""A photo that is worked on repeatedly, over HTTP."""

from __future__ import annotations

import base64
import io
import json
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.api.support import WALL, photo

pytestmark = pytest.mark.server


def test_a_photo_is_sent_once_and_looked_at_often(client: httpx.Client) -> None:
    data = photo(70, (320, 240))
    stored = client.post("/v1/photos", files={"photo": ("a.jpg", data)})
    assert stored.status_code == 201 and {k: stored.json()[k] for k in ("width", "height")} == {"width": 320, "height": 240}
    assert client.post("/v1/photos", content=data, headers={"Content-Type": "image/jpeg"}).json() == stored.json()
    name = stored.json()["photo"]
    original = client.get(f"/v1/files/photos/local/{name}/original")
    assert original.content == data and original.headers["content-type"] == "image/jpeg"

    found = client.post(f"/v1/photos/{name}/segments", json={"concepts": ["Wall"], "preset": "interior"})
    assert found.status_code == 200, found.text
    assert [concept["name"] for concept in found.json()["concepts"]] == ["Wall"]
    for mask in found.json()["masks"]:
        assert Image.open(io.BytesIO(base64.b64decode(mask["picture"].partition(",")[2]))).format == "PNG"
    assert client.post(f"/v1/photos/{name}/segments", json={"concepts": ["Wall"], "preset": "interior"}).json()["reused"]

    preview = client.post(f"/v1/photos/{name}/preview", json={**WALL, "format": "png", "long_side": 160})
    assert preview.status_code == 200, preview.text
    assert Image.open(io.BytesIO(preview.content)).size == (160, 120) and preview.headers["content-type"] == "image/png"
    assert json.loads(preview.headers["respray-report"])["outputs"][0]["edits"][0]["concept"] == "Wall"


def test_a_preview_of_a_cut_out_is_of_what_is_seen_of_it(client: httpx.Client) -> None:
    """On white paper the copy would have a white wall beside the photo's."""
    room = Image.open(io.BytesIO(photo(73, (320, 240)))).convert("RGBA")
    room.paste((255, 0, 255, 0), (0, 0, 160, 240))
    out = io.BytesIO()
    room.save(out, "PNG")
    name = client.post("/v1/photos", files={"photo": ("a.png", out.getvalue())}).json()["photo"]
    whole = io.BytesIO()
    Image.new("L", (1, 1), 255).save(whole, "PNG")
    query = {**WALL, "long_side": 160, "mask_keys": {"Wall": {"base64": base64.b64encode(whole.getvalue()).decode()}}}
    picture = Image.open(io.BytesIO(client.post(f"/v1/photos/{name}/preview", json={**query, "format": "png"}).content))
    assert picture.mode == "RGBA" and picture.getchannel("A").crop((0, 0, 78, 120)).getextrema() == (0, 0)
    shown = client.post(f"/v1/photos/{name}/preview", json={**query, "format": "jpeg"})
    assert np.asarray(Image.open(io.BytesIO(shown.content)))[:, :70].min() > 240
    report = json.loads(shown.headers["respray-report"])
    assert report["outputs"][0]["edits"][0]["coverage"] < 0.55 and not any("transparency" in text for text in report["warnings"])


def test_a_preview_of_two_colours_on_two_walls(client: httpx.Client) -> None:
    name = client.post("/v1/photos", files={"photo": ("a.jpg", photo(72, (320, 240)))}).json()["photo"]
    mask = Image.new("L", (32, 24))
    mask.paste(255, (2, 2, 14, 22))
    mask.paste(255, (18, 2, 30, 22))
    png = io.BytesIO()
    mask.save(png, "PNG")
    edits = [{"action": "recolor", "value": color, "at": [[x, 0.5]]} for color, x in (("#22304A", 0.25), ("#A03A2E", 0.75))]
    query = {"concepts": {"Wall": edits}, "mask_keys": {"Wall": {"base64": base64.b64encode(png.getvalue()).decode()}}, "format": "png"}
    preview = client.post(f"/v1/photos/{name}/preview", json=query)
    assert preview.status_code == 200, preview.text
    picture = Image.open(io.BytesIO(preview.content)).convert("RGB")
    left, right = (picture.getpixel((x, 60)) for x in (80, 240))
    assert left[2] > left[0] and right[0] > right[2]  # type: ignore[index]
    told = json.loads(preview.headers["respray-report"])["outputs"][0]["edits"]
    assert [(edit["edit"], edit["requested"]) for edit in told] == [(0, "#22304A"), (1, "#A03A2E")]


def test_boxes_are_shown_to_the_model_and_what_became_of_them_is_said(client: httpx.Client) -> None:
    name = client.post("/v1/photos", files={"photo": ("a.jpg", photo(72, (320, 240)))}).json()["photo"]
    query = {"concepts": ["Wall", "Floor"], "preset": "interior", "boxes": {"Wall": [[0.1, 0.1, 0.4, 0.4]]}}
    found = client.post(f"/v1/photos/{name}/segments", json=query)
    assert found.status_code == 200, found.text
    # The demo model was not trained for them.
    assert [warning for warning in found.json()["warnings"] if "the boxes of 'Wall' were not used" in warning]
    assert found.json()["concepts"][0]["found"] and found.json()["masks"]
    plain = client.post(f"/v1/photos/{name}/segments", json={"concepts": ["Wall"], "preset": "interior"}).json()
    assert plain["warnings"] == []


def test_a_preview_as_a_form_has_its_report_however_long_it_is(client: httpx.Client) -> None:
    name = client.post("/v1/photos", files={"photo": ("a.jpg", photo(73, (320, 240)))}).json()["photo"]
    many: dict[str, Any] = {
        "concepts": {f"thing {number} {'x' * 40}": {"action": "recolor", "value": "#7C9082"} for number in range(12)},
        "long_side": 160,
    }
    assert "respray-report" not in client.post(f"/v1/photos/{name}/preview", json=many).headers
    answer = client.post(f"/v1/photos/{name}/preview", json=many, headers={"Accept": "multipart/form-data"})
    form = message_from_bytes(f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode() + answer.content, policy=HTTP)
    report, picture = (part.get_content() for part in form.iter_parts())
    assert len(json.loads(report)["outputs"][0]["edits"]) == 12
    assert "light" in json.loads(report)
    assert Image.open(io.BytesIO(picture)).size == (160, 120)


def test_a_query_that_cannot_be_answered_says_why(client: httpx.Client) -> None:
    paint = {"concepts": {"Wall": {"action": "recolor", "value": "oak_a"}}}
    name = client.post("/v1/photos", files={"photo": ("a.jpg", photo(71))}).json()["photo"]
    for path, query, field, sentence in (
        ("segments", {"concepts": ["a"], "presets": "x"}, "presets", "unknown field; accepted here: concepts, preset"),
        ("segments", {"concepts": ["a"], "preset": "castle"}, "preset", "there are: interior"),
        ("segments", {"concepts": ["a"], "boxes": {"b": [[0, 0, 1, 1]]}}, "message", "accepted are those of the concepts 'a'"),
        ("segments", {"concepts": ["a"], "boxes": {"a": [[0.5, 0, 0.5, 1]]}}, "message", "has no area"),
        ("preview", {"concepts": {"Wall": {"action": "recolor", "value": "oak_aa"}}}, "concepts.Wall", "did you mean 'oak_a'?"),
        ("preview", {"concepts": {"Wall": [{"action": "tone"}, {"at": [[0, 2]]}]}}, "concepts.Wall[1].at[0][1]", "less than or equal to 1"),
        ("preview", {"concepts": {"Wall": []}}, "concepts.Wall", "at least 1 entry"),
        ("preview", {"concepts": {}, "long_side": -1}, "long_side", "greater than or equal to 0"),
        ("preview", {"mask_keys": {"Wall": {"base64": "?"}}}, "mask_keys.Wall.base64", "is not base64"),
        ("preview", paint | {"mask_keys": {"Wall": {"base64": "aGVsbG8="}}}, "mask_keys.Wall", "not an image"),
        ("preview", {"concepts": {"Wall": {"action": "remove", "value": "transparent"}}}, "format", "JPEG has none; accepted are png"),
    ):
        answer = client.post(f"/v1/photos/{name}/{path}", json=query)
        error = answer.json()["errors"][0]
        assert answer.status_code == 422 and error["field"] == field and sentence in error["message"], answer.text
    gone = client.post(f"/v1/photos/{'0' * 64}/preview", json=paint)
    assert gone.status_code == 404 and gone.json()["detail"] == f"there is no photo {'0' * 64}; send it again"
