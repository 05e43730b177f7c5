"""Limits on the size and time of a request's headers, which uvicorn does not have."""

from asyncio import Transport
from asyncio.events import TimerHandle

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES = 65_536
"""Maximum bytes of the request line and headers; longer ones are rejected with 431."""
HEAD_S = 10.0
"""Seconds within which the headers must arrive after the connection opens or their first byte; then 408."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with limits on the size and arrival time of the request line and headers."""

    _head_bytes = 0
    _has_head = False
    _timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._has_head:
            self._head_bytes = 0
        elif self._head_bytes > HEAD_BYTES:
            self._refuse(431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._end_wait()
        self._has_head = True
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._has_head = False
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self._refuse, 408)

    def _end_wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int) -> None:
        self._end_wait()
        if not self.transport.is_closing():
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()


def install() -> None:
    """Make every uvicorn server that this process starts from now on use `BoundedProtocol`."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{BoundedProtocol.__name__}"
