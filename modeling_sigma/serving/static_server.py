"""Serves the files of one folder to browsers of this machine."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


HOST = "127.0.0.1"


class _Files(SimpleHTTPRequestHandler):
    # Whatever the machine's own table says.
    extensions_map = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".json": "application/json",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: what somebody looks at is theirs."""


def static_server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server for `folder` that listens at 127.0.0.1; its address is `server.server_address`.

    Args:
        folder (`Path`):
            The folder.
        port (`int`, *optional*, defaults to 0):
            The port; 0 for any that is free.

    Raises:
        OSError: if the port is taken.
    """
    return ThreadingHTTPServer((HOST, port), partial(_Files, directory=str(folder)))
