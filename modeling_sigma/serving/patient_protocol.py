"""HTTP for clients that send their headers slowly: uvicorn itself would wait for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from modeling_sigma.io.reading_errors import MissingExtraError


try:
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:
    raise MissingExtraError(
        'the service needs its own extra: pip install -e ".[serve]" in the folder of sigma-slu'
    ) from error


HEADER_SECONDS = 10.0


class PatientProtocol(H11Protocol):
    """Closes a connection whose next request has not begun in time: from its opening, or from its first bytes."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._watch()  # a part of the headers
        elif self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)
