"""The hub's interface for one's own repositories, as its own client speaks it: create, preupload, LFS batch, commit, tree, resolve.

Paths and answers: https://huggingface.co/docs/hub/api, https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md, and the client's own
source (huggingface_hub 1.33: hf_api.py, _commit_api.py, lfs.py, file_download.py).
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote


@dataclass
class Repository:
    """One model repository: the files of its branch `main`, and how many commits it has seen."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    lfs: set[str] = field(default_factory=set)
    commits: int = 0

    @property
    def commit(self) -> str:
        return hashlib.sha1(b"%d" % self.commits, usedforsecurity=False).hexdigest()


class PrivateHub(http.server.ThreadingHTTPServer):
    """`tokens`: who may what (`read`, `write`). Large objects arrive by PUT, as LFS has it, and are checked against their SHA-256."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tokens = {"hf_writer": {"read", "write"}, "hf_reader": {"read"}}
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.uploads: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PrivateHub

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._route("HEAD")

    def do_GET(self) -> None:
        self._route("GET")

    def do_POST(self) -> None:
        self._route("POST")

    def do_PUT(self) -> None:
        self._route("PUT")

    def _send(self, status: int, content: bytes | dict[str, Any] | list[Any], headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _route(self, method: str) -> None:
        body = self._body()
        path = unquote(self.path.split("?")[0])
        if method == "PUT":  # presigned: no token comes along
            digest = path.rsplit("/", 1)[1]
            if hashlib.sha256(body).hexdigest() != digest:
                self._send(400, {"error": "sha256"})
                return
            self.server.objects[digest] = body
            self.server.uploads.append(digest)
            self._send(200, b"")
            return
        rights = self.server.tokens.get((self.headers.get("Authorization") or "").removeprefix("Bearer "), set())
        if path == "/api/repos/create":
            self._create(json.loads(body), rights)
            return
        name = "/".join(path.removeprefix("/api/models").strip("/").split("/")[:2]).removesuffix(".git")
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and "read" not in rights):
            self._refuse(401 if not rights else 404, "RepoNotFound")
        elif method == "POST" and "write" not in rights:
            self._send(403, {"error": "this token may only read"})
        elif path.endswith("/preupload/main"):
            files = [{"path": f["path"], "uploadMode": "lfs" if f["size"] > 10_000 else "regular", "shouldIgnore": False} for f in
                     json.loads(body)["files"]]  # fmt: skip
            self._send(200, {"files": files})
        elif path.endswith("/info/lfs/objects/batch"):
            self._send(200, {"transfer": "basic", "objects": [self._object(asked) for asked in json.loads(body)["objects"]]})
        elif path.endswith("/commit/main"):
            self._commit(name, repository, [json.loads(line) for line in body.splitlines()])
        elif "/tree/" in path:
            self._send(200, [self._entry(repository, file) for file in sorted(repository.files)])
        elif "/resolve/" in path:
            self._resolve(repository, path.split("/resolve/", 1)[1].split("/", 1)[1])
        else:
            entries = [self._entry(repository, file) for file in sorted(repository.files)]
            siblings = [{"rfilename": entry["path"], "blobId": entry["oid"], **entry} for entry in entries]
            facts = {"id": name, "modelId": name, "sha": repository.commit, "private": repository.private, "tags": [], "siblings": siblings}
            self._send(200, facts)

    def _create(self, asked: dict[str, Any], rights: set[str]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if "write" not in rights:
            self._send(403 if rights else 401, {"error": "no right to create"})
        elif name in self.server.repositories:
            self._send(409, {"error": "You already created this model repo", "url": f"{self.server.url}/{name}"})
        else:
            private = asked.get("private", False) or asked.get("visibility") == "private"
            self.server.repositories[name] = Repository(private)
            self._send(200, {"url": f"{self.server.url}/{name}"})

    def _object(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["oid"] in self.server.objects:
            return dict(asked)
        return {**asked, "actions": {"upload": {"href": f"{self.server.url}/lfs/{asked['oid']}"}}}

    def _commit(self, name: str, repository: Repository, lines: list[dict[str, Any]]) -> None:
        files, lfs = dict(repository.files), set(repository.lfs)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
                lfs.add(value["path"])
            elif line["key"] == "deletedFile":
                files.pop(value["path"])
        repository.files, repository.lfs, repository.commits = files, lfs, repository.commits + 1
        self._send(200, {"commitUrl": f"{self.server.url}/{name}/commit/{repository.commit}", "commitOid": repository.commit})

    @staticmethod
    def _entry(repository: Repository, path: str) -> dict[str, Any]:
        content = repository.files[path]
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_blob(content)}
        if path in repository.lfs:
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "sha256": hashlib.sha256(content).hexdigest(),
                            "size": len(content), "pointerSize": 130}  # fmt: skip
        return entry

    def _resolve(self, repository: Repository, path: str) -> None:
        content = repository.files.get(path)
        if content is None:
            self._refuse(404, "EntryNotFound")
            return
        etag = hashlib.sha256(content).hexdigest() if path in repository.lfs else git_blob(content)
        self._send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": repository.commit, "Content-Type": "application/octet-stream"})


def git_blob(content: bytes) -> str:
    """The id that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
