"""A package index for tests: takes what twine sends, and answers pip."""

from __future__ import annotations

import email
import email.policy
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class PackageIndex:
    """An index of packages on a free port of this machine, as a context.

    Attributes:
        files (`dict[str, bytes]`): what was sent.
        url, upload_url (`str`): what `pip --index-url` and `twine --repository-url` take.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # a form with the metadata and, as `content`, the file
                body = self.rfile.read(int(self.headers["Content-Length"]))
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                form: Any = email.message_from_bytes(head + body, policy=email.policy.HTTP)
                for part in form.iter_parts():
                    if name := part.get_filename():
                        index.files[name] = part.get_payload(decode=True)
                self._answer(b"", "text/plain")

            def do_GET(self) -> None:
                name = self.path.strip("/").rpartition("/")[2]
                if name in index.files:
                    return self._answer(index.files[name], "application/octet-stream")
                links = "".join(f'<a href="/files/{name}">{name}</a>\n' for name in index.files)
                self._answer(f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html")

            def _answer(self, content: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.upload_url = f"http://127.0.0.1:{self._server.server_port}/upload/"
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple/"

    def __enter__(self) -> PackageIndex:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
