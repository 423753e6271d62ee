"""Photos and masks from links and from the message, results to links, links to results: against a real server and a real S3."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.errors import AddressRefused, JobError, LinkRefused, LinkUnavailable
from orchestrator.jobs import limits
from orchestrator.jobs.hidden import hide
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.net.address_policy import AddressPolicy, PinnedTransport
from orchestrator.net.links import LinkClient, LinkOptions
from orchestrator.storage.bucket_client import S3Options
from orchestrator.storage.s3 import S3Storage
from orchestrator.worker.downloads import USUAL_LINK_BYTES
from orchestrator.worker.handle import JobFailed, JobResult
from respray.observe.logs import OURS
from tests.faults.processes import ACCESS, BUCKET, SECRET, S3Server
from tests.faults.receiver import Receiver
from tests.orchestrator.link_server import TOKEN, LinkServer
from tests.orchestrator.support import TinyPipeline, palette_job, photo, put_photos, rule_job, tiny_worker

CATALOG = load_catalog()


@pytest.fixture
def server() -> Iterator[LinkServer]:
    served = LinkServer()
    yield served
    served.close()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def item(**fields: Any) -> dict[str, Any]:
    """A palette job of one photo whose item has these fields; without others, its photo and result are keys."""
    entry: dict[str, Any] = {"idx": 0}
    if not any(name.startswith("input_") for name in fields):
        entry["input_key"] = "inputs/u_abc/job_1/0.jpg"
    if not any(name.startswith("output_") for name in fields):
        entry["output_key"] = "outputs/u_abc/job_1/0.png"
    return palette_job(items=[entry | fields])


def work(root: Path, message: Any, server: LinkServer | None = None, *, timeout: float = 5.0, final: bool = True, **more: Any) -> JobResult:
    async def run() -> JobResult:
        allow = server.host if server else ""
        async with tiny_worker(root, allow_links=allow, link_timeout=timeout, **more) as worker:
            return await worker.start(message, final=final).finished()

    return asyncio.run(run())


def record(root: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((root / "outputs/u_abc/job_1/manifest/0.json").read_text())
    return data


class Seeing(TinyPipeline):
    """Keeps what it was sent."""

    async def infer(self, photo: bytes, request: Any, attachments: Any) -> Any:
        self.photo, self.attachments = photo, list(attachments)
        return await super().infer(photo, request, attachments)


def test_everything_by_link_and_in_the_message_and_no_link_is_kept(
    tmp_path: Path, server: LinkServer, caplog: pytest.LogCaptureFixture
) -> None:
    for name in OURS:  # as `set_up_logging` does with LOG_LEVEL=DEBUG
        caplog.set_level(logging.DEBUG, logger=name)
    masks = {
        "Floor": {"url": server.link("/7.png")},
        "Wall": {"base64": "DATA:image/jpeg;Base64," + encoded(photo(8, (4, 3)))},
    }  # of any size
    message = item(
        input_url=server.link("/inside.jpg").replace("http", "HTTP", 1),  # a scheme has no case
        mask_keys=masks,
        output_url=server.link("/put/result.png"),
        preview_url=server.link("/put/preview"),
    )
    seeing, events = Seeing(), list[dict[str, Any]]()
    result = work(tmp_path, message, server, pipeline=seeing, events=events)
    assert result.ok and seeing.photo == photo(0) and seeing.attachments == [photo(7), photo(8, (4, 3))]
    headers, body = server.stored["/put/result.png"]
    assert (headers["Content-Type"], int(headers["Content-Length"])) == ("image/png", len(body))
    assert server.stored["/put/preview"][0]["Content-Type"] == "image/jpeg"
    kept = record(tmp_path)
    assert kept["output_key"] is None and kept["output_url"] == f"http://{server.host}/put/result.png"
    assert [file["sent"] for file in kept["files"]] == [True, True]
    everything = [json.dumps(events), caplog.text, *(p.read_text() for p in tmp_path.rglob("*.json"))]
    assert not [text for text in everything if TOKEN in text]


def test_a_photo_in_the_message_of_either_format(tmp_path: Path, server: LinkServer) -> None:
    assert work(tmp_path, item(input_base64=encoded(photo(3)))).ok
    message = rule_job(count=2, items=[{"idx": 0, "input_base64": encoded(photo(1))}, {"idx": 1, "input_url": server.link("/2.jpg")}])
    assert work(tmp_path, message, server).completed == 2


REFUSALS = [
    ("/missing.jpg", "answered 404 to GET"),
    ("/expired.jpg", "answered 403; the link may have expired"),
    ("/page.jpg", "not an image that can be read here"),
    ("/empty.jpg", "the file is empty"),
    ("/zipped.jpg", "Content-Encoding 'gzip'"),
    ("/away.jpg", "redirects to another server, http://127.0.0.1:1/;"),
    ("/round.jpg", "redirects more than 3 times"),
    ("/huge.jpg", "at most 134 MB are accepted"),
    ("/endless.jpg", "has more than 134 MB"),
]


@pytest.mark.parametrize(("path", "said"), REFUSALS)
def test_a_link_that_holds_no_photo_is_refused_in_a_sentence(tmp_path: Path, server: LinkServer, path: str, said: str) -> None:
    result = work(tmp_path, item(input_url=server.link(path)), server, final=False)
    assert result.status == "failed" and said in str(result.error) and f"http://{server.host}{path}" in str(result.error)
    assert TOKEN not in str(result.error) and record(tmp_path)["error_code"] == "photo"


def test_only_listed_hosts_may_be_private_or_speak_http(tmp_path: Path, server: LinkServer) -> None:
    refused = work(tmp_path, item(input_url=server.link("/0.jpg")), final=False)
    assert "is not in INPUT_ALLOW_HOSTS" in str(refused.error)
    refused = work(tmp_path, item(input_url="https://localhost/0.jpg"), final=False)
    assert "is not public; list it in INPUT_ALLOW_HOSTS" in str(refused.error)
    put_photos(tmp_path, "job_1", 1)
    refused = work(tmp_path, item(output_url=server.link("/0.png")), final=False)
    assert "is not in INPUT_ALLOW_HOSTS" in str(refused.error) and not server.seen


def test_a_public_name_with_a_private_address_is_refused() -> None:
    async def resolver(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "169.254.169.254"]

    async def get() -> None:
        policy = AddressPolicy(setting="INPUT_ALLOW_HOSTS", subject="link")
        client = LinkClient(policy, transport=PinnedTransport(policy, resolver))
        try:
            await client.get("https://photos.example/latest/meta-data?sig=abc", 1000)
        finally:
            await client.close()

    with pytest.raises(AddressRefused, match=r"^https://photos.example/latest/meta-data: .*169.254.169.254, which is not public"):
        asyncio.run(get())


def test_a_server_with_a_bad_moment_is_asked_again(tmp_path: Path, server: LinkServer) -> None:
    message = item(input_url=server.link("/busy.jpg"), output_url=server.link("/put-busy.png"))
    assert work(tmp_path, message, server, final=False).ok
    assert (server.count("/busy.jpg"), server.count("/put-busy.png")) == (2, 2)


def test_time_is_counted_over_the_whole_link_and_the_job_is_tried_again(tmp_path: Path, server: LinkServer) -> None:
    message = item(input_url=server.link("/trickle.jpg"))
    with pytest.raises(JobFailed, match=r"trickle.jpg: not done within 0.5 s"):
        work(tmp_path, message, server, timeout=0.5, final=False)
    assert work(tmp_path, message, server, timeout=0.5).status == "failed"
    assert record(tmp_path)["error_code"] == "link_unavailable"
    letter = (tmp_path / "failed/u_abc/job_1.json").read_text()
    assert TOKEN not in letter and "/trickle.jpg?***" in letter


def test_a_file_that_is_larger_than_most_waits_for_room_and_is_read_whole(tmp_path: Path, server: LinkServer) -> None:
    """A photo, and a mask that several photos share."""
    mask, count = {"Floor": {"url": server.link("/padded_mask.jpg")}}, 3
    items = [{"idx": i, "input_url": server.link(f"/{i}.jpg"), "output_key": f"outputs/u_abc/job_1/{i}.png", "mask_keys": mask}
             for i in range(count)]  # fmt: skip
    items[0]["input_url"] = server.link("/padded.jpg")
    seeing = Seeing()
    assert work(tmp_path, palette_job(items=items), server, pipeline=seeing, concurrency=1).completed == count
    assert len(seeing.attachments[0]) > USUAL_LINK_BYTES and server.count("/padded.jpg") == 2


def test_an_upload_that_is_refused_says_so(tmp_path: Path, server: LinkServer) -> None:
    put_photos(tmp_path, "job_1", 1)
    result = work(tmp_path, item(output_url=server.link("/put-expired.png")), server, final=False)
    assert "put-expired.png: answered 403" in str(result.error) and "Content-Type" in str(result.error)
    assert record(tmp_path)["error_code"] == "link" and server.count("/put-expired.png") == 1


def test_what_is_done_is_neither_read_nor_sent_again_until_a_fresh_link_asks_for_it(tmp_path: Path, server: LinkServer) -> None:
    message = item(input_url=server.link("/1.jpg"), output_url=server.link("/out.png"))
    for _ in range(2):
        assert work(tmp_path, message, server).ok
    assert [seen[0] for seen in server.seen] == ["GET", "PUT"]
    assert work(tmp_path, item(input_url=server.link("/1.jpg"), output_url=server.link("/out.png", "&fresh=1")), server).ok
    assert [seen[0] for seen in server.seen] == ["GET", "PUT"] * 2


LOOKS = [
    {"name": name, "concepts": {"Wall": {"action": "recolor", "value": color}}} for name, color in (("a", "#112233"), ("b|c", "#445566"))
]


def looks_item(**fields: Any) -> dict[str, Any]:
    """A job of two looks, whose results go to links."""
    message = item(**fields)
    return {name: value for name, value in message.items() if name not in ("concepts", "protect")} | {"looks": LOOKS}


@pytest.mark.parametrize("map_of_links", [True, False])
def test_each_look_has_a_link(tmp_path: Path, server: LinkServer, map_of_links: bool) -> None:
    paths = {"a": "/put/a/0.png", "b|c": "/put/b%7Cc/0.png"}
    output: Any = {name: server.link(path) for name, path in paths.items()} if map_of_links else server.link("/put/{look}/0.png")
    events = list[dict[str, Any]]()
    message = looks_item(input_url=server.link("/1.jpg"), output_url=output, preview_url=server.link("/put/{look}.jpg"))
    assert work(tmp_path, message, server, pipeline=TinyPipeline(), events=events).ok
    assert set(server.stored) == {*paths.values(), "/put/a.jpg"}  # this pipeline makes one preview
    kept = record(tmp_path)
    labels = {name: f"http://{server.host}{path}" for name, path in paths.items()}
    assert (kept["output_key"], kept["output_url"], kept["outputs"]) == (None, labels["a"], labels)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".png", ".jpg")]
    assert not [text for text in (json.dumps(events), *(p.read_text() for p in tmp_path.rglob("*.json"))) if TOKEN in text]
    assert TOKEN not in json.dumps(hide(message))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"output_url": f"https://a.example/0.png?{TOKEN}"}, "several looks; accepted is {look: link}, or a link with {look} in it"),
        ({"output_url": {"a": f"https://a.example/0.png?{TOKEN}"}}, "has no link for the look 'b|c'"),
        ({"output_url": {"a": "https://a.example/a.png", "b|c": "https://a.example/b.jpg"}}, "'https://a.example/b.jpg' is no png link"),
        (
            {"output_url": {"a": "https://a.example/a.png", "b|c": f"https://a.example/a.png?{TOKEN}", "d": "https://a.example/d"}},
            "'d' is no look",
        ),
        ({"output_url": {"a": "https://a.example/0.png", "b|c": "https://a.example/0.png"}}, "is written twice"),
        ({"output_url": {"a": f"ftp://a.example/?{TOKEN}", "b|c": 7}}, "output_url.a: must be a whole https:// URL"),
        ({"output_url": [f"https://a.example/0.png?{TOKEN}"]}, "input should be a valid string"),
        ({"output_url": "https://a.example/{look}.png", "preview_url": "https://a.example/{look}.png"}, "previews are JPEG"),
    ],
)
def test_links_that_do_not_fit_the_looks_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(JobError) as told:
        parse_job(looks_item(**fields), CATALOG)
    assert said in str(told.value) and TOKEN not in str(told.value)
    with pytest.raises(JobError, match="this job has no looks; accepted is one link"):
        parse_job(item(output_url="https://a.example/{look}.png"), CATALOG)


def test_azure_is_told_what_kind_of_blob_is_put(tmp_path: Path, server: LinkServer) -> None:
    """A shared access signature has `sv` and `sig`; without the header Azure answers 400. Nobody else gets it."""
    sas = server.link("/put/azure.png", "&sv=2024-11-04&sr=b&sp=cw&sig=x%2By%3D")
    assert work(tmp_path, item(input_url=server.link("/1.jpg"), output_url=sas, preview_url=server.link("/put/s3")), server).ok
    assert server.stored["/put/azure.png"][0]["x-ms-blob-type"] == "BlockBlob"
    assert "x-ms-blob-type" not in server.stored["/put/s3"][0]
    assert ("PUT", "/put/azure.png", sas.partition("?")[2]) in server.seen  # as it was signed


def test_an_upload_counts_however_long_the_body_of_its_answer_dawdles(server: LinkServer) -> None:
    async def put() -> None:
        client = LinkClient(AddressPolicy(frozenset({server.host})), LinkOptions(timeout=4.0))
        try:
            await client.put(server.link("/put-dawdling.png"), b"file", "image/png")
        finally:
            await client.close()

    asyncio.run(put())
    assert server.count("/put-dawdling.png") == 1


def test_the_client_closes_the_size_limit_by_itself(server: LinkServer) -> None:
    async def get(path: str) -> None:
        client = LinkClient(AddressPolicy(frozenset({server.host})), LinkOptions(timeout=2.0))
        try:
            await client.get(server.link(path), 100_000)
        finally:
            await client.close()

    with pytest.raises(LinkRefused, match=r"has more than 0 MB"):
        asyncio.run(get("/endless.jpg"))
    with pytest.raises(LinkUnavailable, match=r"down.jpg: answered 500"):
        asyncio.run(get("/down.jpg"))


WRONG = [
    ({"input_url": "https://a.example/1.jpg", "input_key": "inputs/u_abc/job_1/0.jpg"}, "has input_key and input_url; accepted is one of"),
    ({"input_url": None}, "input_key or input_url or input_base64 is missing"),
    ({"input_url": f"ftp://a.example/1.jpg?{TOKEN}"}, "must be a whole https:// URL, and begins with 'ftp'"),
    ({"input_url": f"https://me:{TOKEN}@a.example/1.jpg"}, "contains a user name or password"),
    ({"input_url": f"https://a.example/my photo.jpg?{TOKEN}"}, "percent-encode them"),
    ({"input_url": f"https://a.example/?{TOKEN}" + "x" * 9000}, f"must have at most {limits.MAX_LINK_CHARACTERS} characters"),
    ({"input_url": f"https://a.example:port/?{TOKEN}"}, "is no URL"),
    ({"input_base64": "AAAA*" + TOKEN}, "is not base64"),
    ({"input_base64": "data:image/png,AAAA"}, "begins with data: but not as"),
    ({"input_base64": ""}, "is empty; accepted is the base64 of an image file"),
    ({"input_base64": 7}, "items[0].input_base64: "),
    ({"output_url": f"https://a.example/put?{TOKEN}"}, "or options.format must be given"),
    ({"output_url": f"https://a.example/a.gif?{TOKEN}"}, "'https://a.example/a.gif' must have a path that ends in one of"),
    ({"output_url": "https://a.example/a.png", "preview_url": f"https://a.example/a.png?{TOKEN}"}, "previews are JPEG"),
    ({"output_url": f"https://a.example/p.jpg?{TOKEN}", "preview_url": f"https://a.example/p.jpg?{TOKEN}"}, "is written twice"),
    ({"mask_keys": {"Floor": {"url": "https://a.example/1", "base64": "AAAA"}}}, "items[0].mask_keys.Floor: has url and base64"),
    ({"mask_keys": {"Floor": 7}}, "items[0].mask_keys.Floor: must be a key"),
    ({"mask_keys": {"Floor": {"link": "x"}}}, "items[0].mask_keys.Floor.link: unknown field; accepted here: key, url, base64"),
]


@pytest.mark.parametrize(("fields", "said"), WRONG)
def test_wrong_sources_are_told_by_name_and_without_their_secrets(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(JobError) as told:
        parse_job(item(**fields), CATALOG)
    assert said in str(told.value) and TOKEN not in str(told.value)


def test_a_link_without_extension_writes_what_the_options_say() -> None:
    job = parse_job(item(output_url="https://a.example/put?x=1") | {"options": {"format": "webp"}}, CATALOG)
    assert job.items[0].targets[0].format == "webp" and "x=1" not in repr(job)


def test_a_message_of_many_small_things_stays_small_and_a_photo_may_be_large() -> None:
    big = encoded(b"\0" * (6 << 20))
    assert len(parse_job(json.dumps(item(input_base64=big)).replace("/", "\\/"), CATALOG).items) == 1
    with pytest.raises(JobError, match="MB beside its base64 files"):
        parse_job(json.dumps(item(input_base64=big) | {"note": ["a b"] * 200_000}), CATALOG)


def test_a_dead_letter_keeps_neither_pictures_nor_signatures(tmp_path: Path) -> None:
    message = item(input_base64=encoded(photo(1, (400, 400))), mask_keys={"Floor": {"url": f"https://a.example/m.png?{TOKEN}"}})
    for form in (message | {"preset": "castle"}, json.dumps(message | {"preset": "castle"}), json.dumps(message)[:-1]):
        work(tmp_path, form)
        letter = "".join(p.read_text() for p in (tmp_path / "failed").rglob("*.json"))
        assert TOKEN not in letter and encoded(photo(1, (400, 400)))[:300] not in letter and "https://a.example/m.png?***" in letter
        assert "left out>" in letter


def test_presigned_links_of_a_real_store(tmp_path: Path, s3_server: S3Server, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    for name in OURS:
        caplog.set_level(logging.DEBUG, logger=name)
    storage = S3Storage(S3Options(BUCKET, s3_server.url, ACCESS, SECRET, region="us-east-1"))
    storage.write("elsewhere/a.jpg", photo(5), "image/jpeg")
    storage.write("inputs/u_abc/job_1/1.jpg", photo(6), "image/jpeg")
    signed: Any = storage._bucket._boto.generate_presigned_url
    put = signed("put_object", Params={"Bucket": BUCKET, "Key": "elsewhere/a.png", "ContentType": "image/png"}, ExpiresIn=60)
    message = palette_job(
        items=[
            {"idx": 0, "input_url": storage.link("elsewhere/a.jpg", 60), "output_url": put},
            {"idx": 1, "input_key": "inputs/u_abc/job_1/1.jpg", "output_key": "outputs/u_abc/job_1/1.png",
             "preview_key": "previews/u_abc/job_1/1.jpg"},
        ],
        callback_url=f"{receiver.url}/x",
        options={"links": 300},
    )  # fmt: skip
    events = list[dict[str, Any]]()

    pipeline = TinyPipeline()

    async def run(message: dict[str, Any]) -> JobResult:
        host = s3_server.url.split("//")[1]
        async with tiny_worker(storage, pipeline, allow=receiver.host, allow_links=host, events=events) as worker:
            return await worker.start(message).finished()

    assert asyncio.run(run(message)).ok
    assert storage.read("elsewhere/a.png", 1000)[0].endswith(b":result")
    body = next(call.body for call in receiver.calls if call.body["idx"] == 1)
    assert httpx.get(body["output_url"]).content.endswith(b":result") and httpx.get(body["preview_url"]).content.endswith(b":preview")
    manifest = json.loads(storage.read("outputs/u_abc/job_1/manifest.json", 1 << 20)[0])
    assert httpx.get(manifest["items"][1]["output_url"]).status_code == 200
    assert manifest["items"][0]["output_url"] == put.split("?")[0]
    stored = storage.read("outputs/u_abc/job_1/manifest/1.json", 1 << 20)[0].decode()
    for text in (json.dumps(events), caplog.text, stored):
        assert "X-Amz-Signature" not in text and "X-Amz-Credential" not in text
    # What is done has links as the newest message wants them, and is not edited again for them.
    for seconds, signature in ((None, None), (60, "X-Amz-Expires=60")):
        assert asyncio.run(run(message | {"options": {"links": seconds}})).ok
        manifest = json.loads(storage.read("outputs/u_abc/job_1/manifest.json", 1 << 20)[0])
        link = manifest["items"][1]["output_url"]
        assert link is None if signature is None else signature in link
    assert (pipeline.calls, len(receiver.calls)) == (2, 2)


def test_a_folder_has_no_links_and_says_so(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 1)
    for options in ({}, {"links": 60}):
        assert work(tmp_path, palette_job(count=1, options=options)).ok
    assert record(tmp_path)["report"]["warnings"] == [
        "options.links has no effect: the results are in a folder, and only a bucket can sign links"
    ]
