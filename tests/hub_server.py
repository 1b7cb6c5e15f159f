"""A small Hub for the tests: what `huggingface_hub` needs to create, upload, list and download repositories.

It keeps everything in memory and can be told to fail, to see what an unsteady network does:

    with HubServer() as hub:
        hub.fail("PUT", "/lfs/", times=2)  # answer 503 twice
        hub.fail("POST", "/commit/", how="drop")  # close the connection without an answer
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
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml


TOKEN = "hf_dummy"
USER = "tester"
ORGANISATION = "my-lab"  # that the user belongs to
# As on the Hub: .gitattributes of a new repository, and which files are stored as large ones.
NEW_REPO = {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}
LARGE_SUFFIXES = (".safetensors", ".parquet", ".npz", ".bin", ".arrow")
LARGE_SIZE = 10_000_000
PREFIXES = {"": "model", "datasets/": "dataset", "spaces/": "space"}


@dataclass
class Commit:
    """A state of a repository."""

    oid: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repo:
    """Branches and pull requests (`refs/pr/1`), each a list of commits."""

    repo_type: str
    repo_id: str
    private: bool
    refs: dict[str, list[Commit]] = field(default_factory=dict)

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """The files at the head of a branch."""
        return self.refs[revision][-1].files


@dataclass
class _Failure:
    method: str
    part: str
    times: int
    how: str
    skip: int


class HubServer:
    """Starts on a free port; a context manager.

    Attributes:
        url: The endpoint, for `HF_ENDPOINT` or `HfApi(endpoint=)`.
        repos: `(type, id) -> Repo`.
        requests: `"METHOD /path"` of every request, in order.
    """

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.large_files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.failures: list[_Failure] = []
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> HubServer:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def fail(self, method: str, part: str, times: int = 1, how: str = "503", skip: int = 0) -> None:
        """Makes the next `times` requests fail whose path contains `part`, after `skip` good ones.

        `how`: a status code; `"drop"` closes the connection without doing anything; `"late"` does what is asked and
        then closes the connection without an answer.
        """
        self.failures.append(_Failure(method, part, times, how, skip))

    def environment(self, home: Any) -> dict[str, str]:
        """Variables for a fresh interpreter that uses this server, with caches below `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": f"{home}/hf",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
        }

    def create(self, repo_id: str, repo_type: str = "model", private: bool = False) -> Repo:
        """A new repository that holds what the Hub puts there."""
        repo = Repo(repo_type, repo_id, private)
        repo.refs["main"] = [Commit(_commit_oid(repo_id, "", 0), "initial commit", dict(NEW_REPO))]
        self.repos[(repo_type, repo_id)] = repo
        return repo

    def failure_for(self, method: str, path: str) -> str | None:
        """How this request is to fail, or None."""
        for failure in self.failures:
            if failure.method == method and failure.part in path and failure.times > 0:
                if failure.skip > 0:
                    failure.skip -= 1
                    continue
                failure.times -= 1
                return failure.how
        return None


def _commit_oid(*what: object) -> str:
    return hashlib.sha1(repr(what).encode()).hexdigest()


def blob_oid(content: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _is_large(path: str, content: bytes) -> bool:
    return path.endswith(LARGE_SUFFIXES) or len(content) > LARGE_SIZE


class _Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str = "", message: str = "", body: Any = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.body = status, code, message, body


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: no 40 ms between them

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self) -> None:
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        self.content = self._read_body()
        path = url.path
        with self.hub.lock:
            self.hub.requests.append(f"{self.command} {unquote(path)}")
            how = self.hub.failure_for(self.command, path)
            if how == "drop":
                self.close_connection = True
                return
            if how not in (None, "late"):
                self._send(int(how), {"error": "the test asked for this failure"})
                return
            try:
                answer = self._dispatch(path)
            except _Refused as refused:
                headers = {"X-Error-Code": refused.code, "X-Error-Message": refused.message}
                body = refused.body if refused.body is not None else {"error": refused.message}
                answer = (refused.status, body, {name: value for name, value in headers.items() if value})
            if how == "late":
                self.close_connection = True
                return
        self._send(*answer)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        headers = {"Content-Length": str(len(content)), "Content-Type": kind, **(headers or {})}
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # --- what is asked

    def _dispatch(self, path: str) -> tuple[int, Any, dict[str, str]]:
        for method, pattern, function in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and (self.command == method or (method == "GET" and self.command == "HEAD")):
                answer = function(self, **{name: unquote(value or "") for name, value in match.groupdict().items()})
                return answer if isinstance(answer, tuple) else (200, answer, {})
        raise _Refused(404, "", f"no such endpoint: {self.command} {path}")

    def _json(self) -> dict[str, Any]:
        return json.loads(self.content or b"{}")

    def _is_owner(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _need_owner(self) -> None:
        if not self._is_owner():
            raise _Refused(401, "", "Invalid username or password.")

    def _repo(self, kind: str, repo_id: str) -> Repo:
        repo = self.hub.repos.get((kind, repo_id))
        if repo is None or (repo.private and not self._is_owner()):
            raise _Refused(404 if self._is_owner() else 401, "RepoNotFound", "Repository not found")
        return repo

    def _commit(self, repo: Repo, revision: str) -> Commit:
        if revision in repo.refs:
            return repo.refs[revision][-1]
        for commit in (commit for commits in repo.refs.values() for commit in commits):
            if commit.oid == revision:
                return commit
        raise _Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def whoami(self) -> Any:
        self._need_owner()
        return {"name": USER, "type": "user", "orgs": [], "auth": {"accessToken": {"role": "write"}}}

    def create_repo(self) -> Any:
        self._need_owner()
        asked = self._json()
        kind, repo_id = asked.get("type", "model"), f"{asked.get('organization') or USER}/{asked['name']}"
        url = f"{self.hub.url}/{ {'model': '', 'dataset': 'datasets/', 'space': 'spaces/'}[kind] }{repo_id}"
        if repo_id.split("/")[0] not in (USER, ORGANISATION):
            raise _Refused(403, "", f"You don't have the rights to create a {kind} under the namespace")
        if (kind, repo_id) in self.hub.repos:
            message = f"You already created this {kind} repo"
            raise _Refused(409, "", message, {"error": message, "url": url})
        self.hub.create(repo_id, kind, asked.get("visibility") == "private" or bool(asked.get("private")))
        return {"url": url, "name": repo_id, "id": repo_id}

    def validate_yaml(self) -> Any:
        match = re.match(r"---\n(.*?)\n---", self._json()["content"], re.DOTALL)
        try:
            metadata = yaml.safe_load(match[1]) if match else {}
        except yaml.YAMLError as error:
            errors = [{"message": str(error)}]
            raise _Refused(400, "", "Invalid metadata", {"errors": errors, "warnings": []}) from error
        missing = [] if metadata else [{"message": "empty or missing yaml metadata in repo card"}]
        return {"errors": [], "warnings": missing}

    def preupload(self, kind: str, repo_id: str, revision: str) -> Any:
        self._need_owner()
        files = self._commit(self._repo(kind, repo_id), revision).files
        answers = []
        for asked in self._json()["files"]:
            path = asked["path"]
            is_large = path.endswith(LARGE_SUFFIXES) or asked["size"] > LARGE_SIZE
            old = files.get(path)
            known = None if old is None else hashlib.sha256(old).hexdigest() if is_large else blob_oid(old)
            mode = "lfs" if is_large else "regular"
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": known})
        return {"files": answers}

    def large_file_batch(self, prefix: str, repo_id: str) -> Any:
        self._need_owner()
        self._repo(PREFIXES[prefix], repo_id)
        objects = []
        for asked in self._json()["objects"]:
            answer: dict[str, Any] = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.hub.large_files:
                answer["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{asked['oid']}"}}
            objects.append(answer)
        return {"transfer": "basic", "objects": objects}

    def put_large_file(self, oid: str) -> Any:
        if hashlib.sha256(self.content).hexdigest() != oid:
            raise _Refused(400, "", "the content does not have this sha256")
        self.hub.large_files[oid] = self.content
        return b""

    def commit(self, kind: str, repo_id: str, revision: str) -> Any:
        """All or nothing: files are changed in a copy that becomes the new head."""
        self._need_owner()
        repo = self._repo(kind, repo_id)
        base = self._commit(repo, revision)
        files, message = dict(base.files), ""
        for line in self.content.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                message = value["summary"]
                if value.get("parentCommit") not in (None, base.oid):
                    raise _Refused(412, "", "A commit has happened since. Please refresh and try again.")
            elif item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                if value["oid"] not in self.hub.large_files:
                    raise _Refused(400, "", f"the large file {value['path']} was not uploaded")
                files[value["path"]] = self.hub.large_files[value["oid"]]
            elif item["key"] == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise _Refused(400, "", f"cannot delete {value['path']}: no such file")
            else:
                raise _Refused(400, "", f"unknown operation {item['key']}")
        target, url = revision, None
        if self.query.get("create_pr") == ["1"]:
            number = 1 + sum(name.startswith("refs/pr/") for name in repo.refs)
            target, url = f"refs/pr/{number}", f"{self.hub.url}/{repo_id}/discussions/{number}"
            repo.refs[target] = [base]
        if target not in repo.refs:
            raise _Refused(404, "RevisionNotFound", f"not a branch: {target}")
        oid = _commit_oid(repo_id, target, len(repo.refs[target]), sorted(files.items()))
        repo.refs[target].append(Commit(oid, message, files))
        return {
            "success": True,
            "commitOid": oid,
            "commitUrl": f"{self.hub.url}/{repo_id}/commit/{oid}",
            "pullRequestUrl": url,
        }

    def create_branch(self, kind: str, repo_id: str, branch: str) -> Any:
        self._need_owner()
        repo = self._repo(kind, repo_id)
        if branch in repo.refs:
            raise _Refused(409, "", f"Reference already exists: {branch}")
        start = self._commit(repo, self._json().get("startingPoint", "main"))
        repo.refs[branch] = [start]
        return {}

    def delete_branch(self, kind: str, repo_id: str, branch: str) -> Any:
        self._need_owner()
        if self._repo(kind, repo_id).refs.pop(branch, None) is None:
            raise _Refused(404, "RevisionNotFound", f"not a branch: {branch}")
        return {}

    def settings(self, kind: str, repo_id: str) -> Any:
        self._need_owner()
        repo = self._repo(kind, repo_id)
        repo.private = self._json().get("visibility", "private" if repo.private else "public") == "private"
        return {"private": repo.private}

    def info(self, kind: str, repo_id: str, revision: str) -> Any:
        repo = self._repo(kind, repo_id)
        commit = self._commit(repo, revision or "main")
        facts = {"id": repo_id, "sha": commit.oid, "private": repo.private, "tags": [], "downloads": 0, "likes": 0}
        names = [{"rfilename": path} for path in sorted(commit.files)]
        return {**facts, "siblings": names, "lastModified": "2026-01-01T00:00:00.000Z", "gated": False}

    def refs(self, kind: str, repo_id: str) -> Any:
        repo = self._repo(kind, repo_id)
        branches = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commits[-1].oid}
            for name, commits in repo.refs.items()
            if not name.startswith("refs/")
        ]
        return {"branches": branches, "converts": [], "tags": [], "pullRequests": []}

    def tree(self, kind: str, repo_id: str, revision: str, folder: str) -> Any:
        files = self._commit(self._repo(kind, repo_id), revision).files
        start = f"{folder}/" if folder else ""
        below = {path: content for path, content in files.items() if path.startswith(start)}
        if folder and not below:
            raise _Refused(404, "EntryNotFound", f"{folder} does not exist")
        is_recursive = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        entries, folders = [], set()
        for path, content in sorted(below.items()):
            parents = path[len(start) :].split("/")[:-1]
            for depth in range(1, len(parents) + 1 if is_recursive else min(2, len(parents) + 1)):
                folders.add(start + "/".join(parents[:depth]))
            if is_recursive or not parents:
                entries.append(_file_entry(path, content))
        return [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in sorted(folders)] + entries

    def paths_info(self, kind: str, repo_id: str, revision: str) -> Any:
        files = self._commit(self._repo(kind, repo_id), revision).files
        asked = parse_qs(self.content.decode()).get("paths") or self._json().get("paths", [])
        entries = []
        for path in asked:
            if path in files:
                entries.append(_file_entry(path, files[path]))
            elif any(name.startswith(f"{path}/") for name in files):
                entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
        return entries

    def resolve(self, prefix: str, repo_id: str, revision: str, path: str) -> Any:
        commit = self._commit(self._repo(PREFIXES[prefix], repo_id), revision)
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if path not in commit.files:
            answer = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found", **headers}
            return 404, {"error": "Entry not found"}, answer
        content = commit.files[path]
        name = hashlib.sha256(content).hexdigest() if _is_large(path, content) else blob_oid(content)
        headers["ETag"] = f'"{name}"'
        if self.command == "HEAD":
            return 200, b"", {**headers, "Content-Length": str(len(content)), "X-Linked-Size": str(len(content))}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted:
            start, stop = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{stop}/{len(content)}"
            return 206, content[start : stop + 1], headers
        return 200, content, headers


def _file_entry(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": blob_oid(content)}
    if _is_large(path, content):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry


_API = r"/api/(?P<kind>model|dataset|space)s/(?P<repo_id>[^/]+/[^/]+)"
_REPO = r"/(?P<prefix>datasets/|spaces/)?(?P<repo_id>[^/]+/[^/]+)"
# A revision in an address is quoted: it holds no slash.
ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    ("GET", r"/api/whoami-v2", _Handler.whoami),
    ("POST", r"/api/repos/create", _Handler.create_repo),
    ("POST", r"/api/validate-yaml", _Handler.validate_yaml),
    ("POST", _API + r"/preupload/(?P<revision>[^/]+)", _Handler.preupload),
    ("POST", _REPO + r"\.git/info/lfs/objects/batch", _Handler.large_file_batch),
    ("PUT", r"/lfs/(?P<oid>\w{64})", _Handler.put_large_file),
    ("POST", _API + r"/commit/(?P<revision>[^/]+)", _Handler.commit),
    ("POST", _API + r"/branch/(?P<branch>[^/]+)", _Handler.create_branch),
    ("DELETE", _API + r"/branch/(?P<branch>[^/]+)", _Handler.delete_branch),
    ("PUT", _API + r"/settings", _Handler.settings),
    ("GET", _API + r"/refs", _Handler.refs),
    ("GET", _API + r"/tree/(?P<revision>[^/]+)/?(?P<folder>.*)", _Handler.tree),
    ("POST", _API + r"/paths-info/(?P<revision>[^/]+)", _Handler.paths_info),
    ("GET", _API + r"(?:/revision/(?P<revision>[^/]+))?", _Handler.info),
    ("GET", _REPO + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _Handler.resolve),
]
