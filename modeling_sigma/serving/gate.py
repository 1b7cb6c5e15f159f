"""The gate before all routes: who may come in, how large and how slow a request may be, and how many may wait."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Collection
from typing import Any

from modeling_sigma.io.reading_errors import MissingExtraError
from modeling_sigma.serving.measurements import Measurements
from modeling_sigma.serving.settings import ServiceSettings


try:
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as error:
    raise MissingExtraError(
        'the service needs its own extra: pip install -e ".[serve]" in the folder of sigma-slu'
    ) from error


# Of sending a request: a client has some seconds, more for what has arrived at this rate (bytes per second), and never
# more than the last.
PATIENCE, SLOWEST_RATE, MOST_SECONDS = 5.0, 20_000, 60.0
# Requests that are still arriving cost little: there may be this many times `max_waiting`.
ARRIVING_SHARE = 4
OPEN_TO_ALL = ("/health",)


class Gate:
    """ASGI middleware that refuses what would keep others from being served, before a route sees it.

    Args:
        app (`ASGIApp`):
            What comes next.
        settings ([`ServiceSettings`]):
            The token and the limits.
        measurements ([`Measurements`]):
            Where requests are counted.
        routes (`Collection[str]`):
            The paths that there are: others are counted together.
    """

    def __init__(
        self, app: ASGIApp, settings: ServiceSettings, measurements: Measurements, routes: Collection[str]
    ) -> None:
        self._app, self._settings, self._measurements, self._routes = app, settings, measurements, routes
        self._num_arriving = self._num_waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or lets it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, route = time.monotonic(), scope["path"] if scope["path"] in self._routes else "other"
        status = 500

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                headers = {**(refusal.headers or {}), "Connection": "close"}
                await JSONResponse({"detail": refusal.detail}, refusal.status_code, headers)(
                    scope, receive, send_counted
                )
            else:
                await self._let_in(scope, receive, send_counted)
        finally:
            self._measurements.requests.labels(route, str(status)).inc()
            self._measurements.seconds.labels(route).observe(time.monotonic() - start)

    def _refusal(self, scope: Scope) -> HTTPException | None:
        headers = dict(scope["headers"])
        if self._settings.token is not None and scope["path"] not in OPEN_TO_ALL:
            kind, _, token = headers.get(b"authorization", b"").partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._settings.token.encode()):
                return HTTPException(
                    401, "expected the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
                )
        size = headers.get(b"content-length", b"0")
        if size.isdigit() and int(size) > self._most_bytes:
            return self._too_large()
        if self._num_arriving >= ARRIVING_SHARE * self._settings.max_waiting:
            return _busy()
        return None

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _Arrival(receive)
        is_waiting = False
        self._num_arriving += 1

        async def receive_bounded() -> Message:
            nonlocal is_waiting
            if request.is_whole:
                return await receive()
            message = await request.next_part()
            if request.size > self._most_bytes:
                raise self._too_large()
            if request.is_whole and scope["method"] == "POST":
                if self._num_waiting >= self._settings.max_waiting:
                    raise _busy()
                is_waiting = True
                self._num_waiting += 1
                self._num_arriving -= 1
                self._measurements.waiting.inc()
            return message

        try:
            await self._app(scope, receive_bounded, send)
        finally:
            if is_waiting:
                self._num_waiting -= 1
                self._measurements.waiting.dec()
            else:
                self._num_arriving -= 1

    @property
    def _most_bytes(self) -> int:
        return self._settings.max_megabytes * 1_000_000

    def _too_large(self) -> HTTPException:
        return HTTPException(
            413, f"expected at most {self._settings.max_megabytes} MB, received more: send fewer or shorter clips"
        )


class _Arrival:
    """The body of a request, which has to keep a pace."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._start = receive, time.monotonic()
        self.size, self.is_whole = 0, False

    async def next_part(self) -> dict[str, Any]:
        seconds = min(PATIENCE + self.size / SLOWEST_RATE, MOST_SECONDS)
        try:
            async with asyncio.timeout(max(self._start + seconds - time.monotonic(), 0)):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, "the request arrived too slowly", {"Connection": "close"}) from error
        self.size += len(message.get("body", b""))
        self.is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return dict(message)


def _busy() -> HTTPException:
    return HTTPException(503, "too many requests are waiting: try again later", {"Retry-After": "1"})
