"""A small Hugging Face Hub on loopback: the protocol as the real client speaks it, kept in memory.

It keeps commits, serves pinned revisions, and fails on demand. Standard library only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_loopbackloopbackloopback"
_KINDS = {"model": "models", "dataset": "datasets", "space": "spaces"}


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Commit:
    oid: str
    message: str
    description: str
    files: dict[str, bytes]


@dataclass
class Repo:
    """One repository. ``lfs`` names the files that are stored as LFS objects."""

    kind: str
    name: str
    private: bool = False
    sdk: str | None = None
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes | None], message="", description="") -> str:
        """Add a commit that changes these files (None deletes); returns its 40 hex digits."""
        now = {**self.files, **files} if self.commits else dict(files)
        now = {path: content for path, content in now.items() if content is not None}
        content = [(path, sha256(content)) for path, content in sorted(now.items())]
        oid = hashlib.sha1(
            f"{self.kind}{self.name}{len(self.commits)}{content}".encode()
        ).hexdigest()
        self.commits.append(Commit(oid, message, description, now))
        return oid

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1].files

    @property
    def head(self) -> str:
        return self.commits[-1].oid

    def at(self, revision: str) -> Commit | None:
        revision = self.head if revision == "main" else self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit.oid == revision), None)


@dataclass
class Fault:
    """What goes wrong with requests whose method and path (a regular expression) match.

    status: answer with it. cut: close the connection after that many bytes of the body, sent or
    received; 0 is before any answer. corrupt: flip one bit of what is sent. headers: send these
    too. action: do this first. times: how often.
    """

    method: str
    path: str
    status: int | None = None
    cut: int | None = None
    corrupt: bool = False
    action: Callable[[], object] | None = None
    times: int = 10**9
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "injected"


class HubServer:
    """``url`` is what ``HF_ENDPOINT`` should be; ``repos`` by (kind, "user/name")."""

    def __init__(self) -> None:
        self.reset()
        server = self

        class Handler(_Handler):
            hub = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def reset(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.tokens_seen: set[str | None] = set()

    def repo(self, name: str, kind: str = "model", **kwargs) -> Repo:
        """A new repository with one commit, as the Hub makes them."""
        repo = self.repos[kind, name] = Repo(kind, name, **kwargs)
        repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"}, "initial commit")
        return repo

    def fail(self, method: str, path: str, **kwargs) -> None:
        self.faults.append(Fault(method, path, **kwargs))

    def asked(self, method: str, path: str) -> int:
        """How many requests there were of a method and a path (a regular expression)."""
        return sum(m == method and bool(re.search(path, p)) for m, p in self.requests)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def _answer(self) -> None:
        self.path_only = unquote(urlsplit(self.path).path)
        self.query = parse_qs(urlsplit(self.path).query)
        self.hub.requests.append((self.command, self.path_only))
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.hub.tokens_seen.add(self.token)
        self.fault = self._fault()
        if self.fault and self.fault.action:
            self.fault.action()
        length = int(self.headers.get("Content-Length") or 0)
        cut = self.fault.cut if self.fault else None
        if cut == 0 or (cut and self.command in ("POST", "PUT")):
            self.rfile.read(min(cut, length))
            return self._hang_up()
        self.body = self.rfile.read(length)
        if self.fault and self.fault.status:
            return self._json({"error": self.fault.message}, self.fault.status)
        for method, pattern, handle in _ROUTES:
            if self.command == method and (match := re.fullmatch(pattern, self.path_only)):
                return handle(self, *match.groups())
        return self._json({"error": f"no route {self.command} {self.path_only}"}, 501)

    def _fault(self) -> Fault | None:
        for fault in self.hub.faults:
            hit = fault.method == self.command and re.search(fault.path, self.path_only)
            if hit and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    # ------------------------------------------------------------ answers

    def _json(self, value: object, status: int = 200, headers: dict | None = None) -> None:
        headers = {"Content-Type": "application/json", **(headers or {})}
        self._send(json.dumps(value).encode(), status, headers)

    def _send(self, content: bytes, status: int, headers: dict) -> None:
        more = self.fault.headers if self.fault else {}
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers, **more}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fault and self.fault.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if self.fault and self.fault.cut:
            self.wfile.write(content[: self.fault.cut])
            self.wfile.flush()
            return self._hang_up()
        self.wfile.write(content)

    def _missing(self, code: str) -> None:
        self._json({"error": "not found"}, 404, {"X-Error-Code": code})

    def _find(self, kind: str, name: str, *, write: bool = False) -> Repo | None:
        """The repository, or None after an error was sent."""
        if self.token not in (None, TOKEN) or (write and self.token is None):
            message = "Invalid credentials in Authorization header"
            self._json({"error": message}, 401, {"X-Error-Message": message})
            return None
        repo = self.hub.repos.get((kind, name))
        if repo is None or (repo.private and self.token is None):
            # The Hub does not tell strangers whether a private repository exists.
            status = 404 if self.token else 401
            self._json({"error": "Repository not found"}, status, {"X-Error-Code": "RepoNotFound"})
            return None
        return repo

    # ------------------------------------------------------------ repositories

    def create(self) -> None:
        wanted = json.loads(self.body)
        if self.token != TOKEN:
            message = "Invalid credentials in Authorization header"
            return self._json({"error": message}, 401, {"X-Error-Message": message})
        kind, name = wanted.get("type", "model"), f"{wanted['organization']}/{wanted['name']}"
        url = f"{self.hub.url}/{'' if kind == 'model' else kind + 's/'}{name}"
        if (kind, name) in self.hub.repos:
            return self._json({"error": "You already created this repo", "url": url}, 409)
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.hub.repo(name, kind, private=bool(private), sdk=wanted.get("sdk"))
        return self._json({"url": url})

    def validate(self) -> None:
        text = json.loads(self.body)["content"]
        errors = [] if text.startswith("---\n") else [{"message": "no front matter"}]
        self._json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def info(self, kinds: str, name: str, revision: str = "main") -> None:
        if (repo := self._find(kinds.removesuffix("s"), name)) is None:
            return
        if (commit := repo.at(revision)) is None:
            return self._missing("RevisionNotFound")
        siblings = [{"rfilename": path} for path in commit.files]
        self._json(
            {
                "id": name,
                "sha": commit.oid,
                "private": repo.private,
                "tags": [],
                "siblings": siblings,
            }
        )

    def tree(self, kinds: str, name: str, revision: str) -> None:
        if (repo := self._find(kinds.removesuffix("s"), name)) is None:
            return
        if (commit := repo.at(revision)) is None:
            return self._missing("RevisionNotFound")
        entries = []
        for path, content in commit.files.items():
            entry = {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
            if _is_lfs(path):
                about = {"oid": sha256(content), "size": len(content), "pointerSize": 130}
                entry |= {"oid": git_sha1(sha256(content).encode()), "lfs": about}
            entries.append(entry)
        self._json(entries)

    # ------------------------------------------------------------ files

    def resolve(self, kinds: str | None, name: str, revision: str, path: str) -> None:
        if (repo := self._find((kinds or "models/").removesuffix("s/"), name)) is None:
            return
        if (commit := repo.at(revision)) is None:
            return self._missing("RevisionNotFound")
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if path not in commit.files:
            missing = {"X-Error-Code": "EntryNotFound", **headers}
            return self._json({"error": "Entry not found"}, 404, missing)
        content = commit.files[path]
        if _is_lfs(path):
            headers |= {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
            headers["ETag"] = f'"{sha256(content)}"'
        else:
            headers["ETag"] = f'"{git_sha1(content)}"'
        status = 200
        if wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        self._send(content, status, headers)

    # ------------------------------------------------------------ commits

    def preupload(self, kinds: str, name: str, revision: str) -> None:
        if (repo := self._find(kinds.removesuffix("s"), name, write=True)) is None:
            return
        answers = []
        for wanted in json.loads(self.body)["files"]:
            path = wanted["path"]
            there = repo.files.get(path)
            oid = None
            if there is not None:
                oid = sha256(there) if _is_lfs(path) else git_sha1(there)
            mode = "lfs" if _is_lfs(path) else "regular"
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._json({"files": answers})

    def lfs_batch(self, name: str) -> None:
        answers = []
        for wanted in json.loads(self.body)["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.objects:
                answer["actions"] = {
                    "upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}"},
                    "verify": {"href": f"{self.hub.url}/lfs-verify"},
                }
            answers.append(answer)
        self._json({"transfer": "basic", "objects": answers})

    def lfs_put(self, oid: str) -> None:
        if sha256(self.body) != oid:
            return self._json({"error": "checksum mismatch"}, 400)
        self.hub.objects[oid] = self.body
        return self._send(b"", 200, {})

    def lfs_verify(self) -> None:
        stored = self.hub.objects.get(json.loads(self.body)["oid"])
        self._json({}, 200 if stored is not None else 404)

    def commit(self, kinds: str, name: str, revision: str) -> None:
        if (repo := self._find(kinds.removesuffix("s"), name, write=True)) is None:
            return
        header, files = {}, {}
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                header = value
            elif item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif item["key"] == "deletedFile":
                files[value["path"]] = None
            else:
                return self._json({"error": f"unknown key {item['key']}"}, 400)
        if header.get("parentCommit", repo.head) != repo.head:
            return self._json({"error": "A commit has happened since. Please refresh."}, 412)
        oid = repo.commit(files, header["summary"], header["description"])
        return self._json({"commitOid": oid, "commitUrl": f"{self.hub.url}/{name}/commit/{oid}"})


def _is_lfs(path: str) -> bool:
    return path.endswith(".safetensors")


_ID = r"([\w.-]+/[\w.-]+)"
_ROUTES = [
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("GET", f"/api/({'|'.join(_KINDS.values())})/{_ID}", _Handler.info),
    ("GET", rf"/api/(\w+)/{_ID}/revision/(.+)", _Handler.info),
    ("GET", rf"/api/(\w+)/{_ID}/tree/([^/]+)", _Handler.tree),
    ("POST", rf"/api/(\w+)/{_ID}/preupload/(.+)", _Handler.preupload),
    ("POST", rf"/api/(\w+)/{_ID}/commit/(.+)", _Handler.commit),
    ("POST", rf"/(?:spaces/|datasets/)?{_ID}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("PUT", r"/lfs/(\w+)", _Handler.lfs_put),
    ("POST", "/lfs-verify", _Handler.lfs_verify),
    ("HEAD", rf"/(spaces/|datasets/)?{_ID}/resolve/([^/]+)/(.+)", _Handler.resolve),
    ("GET", rf"/(spaces/|datasets/)?{_ID}/resolve/([^/]+)/(.+)", _Handler.resolve),
]
