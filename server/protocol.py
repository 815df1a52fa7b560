"""JSON-RPC on pygls, made strict: every request is answered exactly once, whatever the other side sends.

pygls keeps the table of features, runs their handlers and matches replies to what was asked of the client.  Reading a message,
checking it and writing a reply are ours: pygls answers some malformed requests with a popup, with a traceback, or not at all,
and its own handlers keep documents that break lines where editors do not.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from functools import cache
from typing import Any, cast

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol

from server import failures
from server.failures import Refused, answer_of
from server.framing import CHANGE

log = logging.getLogger(__name__)

Id = int | str


class Protocol(LanguageServerProtocol):
    """One connection.

    send: takes whole bodies.  params_types: what the parameters of methods of our own look like.
    lost: hears of changes of documents that could not be understood, with their parameters where there are any.
    """

    def __init__(self, server: LanguageServer, converter: Any) -> None:  # noqa: ANN401 - cattrs' own
        super().__init__(server, converter)
        self.send: Callable[[bytes], None] = lambda body: None
        self.params_types: Mapping[str, Any] = {}
        self.lost: Callable[[object], None] = lambda params: None
        self.exited = False
        self._initialized = False
        self._open: set[Id] = set()

    @property
    def exit_code(self) -> int:
        """0 where the client said goodbye in order, 1 where it did not."""
        return 0 if self._shutdown else 1

    def receive(self, body: bytes) -> None:
        """Take one message in; replies go to `send`."""
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            self.refuse(failures.PARSE_ERROR, "A message is not valid JSON.")
            if CHANGE in body:
                self.lost(None)
            return
        if not isinstance(data, dict) or data.get("jsonrpc") != "2.0":
            self.refuse(failures.INVALID_REQUEST, "A message must be one JSON-RPC 2.0 object.", _id(data))
        elif "method" not in data and ("result" in data or "error" in data):
            self._take_reply(data)
        elif "id" in data:
            self._take_request(data)
        else:
            self._take_notification(data)

    def greeted(self, params: Mapping[str, Any]) -> None:
        """Go on after an `initialize` that has been answered already."""
        self._initialized = True
        self.fm.features[types.INITIALIZE](params)

    def cancel_open(self) -> list[asyncio.Task[Any]]:
        """Cancel every request that is being worked on; returns their tasks."""
        futures: list[object] = [self._request_futures.get(number) for number in self._open]
        tasks = [future for future in futures if isinstance(future, asyncio.Task)]
        for task in tasks:
            task.cancel()
        return tasks

    def refuse(self, code: int, message: str, of: Id | float | None = None) -> None:
        """Answer what is no request that could be handled."""
        self._send_data({"jsonrpc": "2.0", "id": of, "error": {"code": code, "message": message}})

    def _take_request(self, data: dict[str, Any]) -> None:
        number, method = _id(data), data.get("method")
        try:
            self._check_order(number, method)
            params = self._params(str(method), data.get("params"))
        except Refused as refusal:
            self.refuse(refusal.code, refusal.message, number)
            return
        self._initialized = self._initialized or method == types.INITIALIZE
        self._open.add(cast(Id, number))
        self._handle_request(cast(Id, number), str(method), params)
        if method == types.SHUTDOWN:
            self._shutdown = True
            self.cancel_open()

    def _check_order(self, number: Id | float | None, method: object) -> None:
        if not isinstance(method, str) or not isinstance(number, (int, str)):
            raise Refused(failures.INVALID_REQUEST, "A request needs a method, and an id that is a whole number or text.")
        if number in self._open:
            raise Refused(failures.INVALID_REQUEST, "A request with this id is still being worked on.")
        if self._shutdown:
            raise Refused(failures.INVALID_REQUEST, "The server has been shut down.")
        if not self._initialized and method != types.INITIALIZE:
            raise Refused(failures.NOT_INITIALIZED, "The server has not been initialized.")
        if self._initialized and method == types.INITIALIZE:
            raise Refused(failures.INVALID_REQUEST, "The server has been initialized already.")
        if method not in self.fm.features:
            raise Refused(failures.METHOD_NOT_FOUND, f"There is no method {method[:100]!r}.")

    def _take_notification(self, data: dict[str, Any]) -> None:
        method = data.get("method")
        if method == types.EXIT:
            self.exited = True
        elif not isinstance(method, str):
            self.refuse(failures.INVALID_REQUEST, "A message needs a method, a result or an error.")
        elif self._initialized and not self._shutdown and (method == types.CANCEL_REQUEST or method in self.fm.features):
            try:
                self._handle_notification(method, self._params(method, data.get("params")))
            except Refused as refusal:
                log.warning("%s: %s", method, refusal.message)
                if method.endswith(CHANGE.decode()):
                    self.lost(data.get("params"))

    def _take_reply(self, data: dict[str, Any]) -> None:
        number = cast(Id, _id(data))
        future = self._request_futures.pop(number, None) if number in self._result_types else None
        kind = self._result_types.pop(number, None)
        if future is None or future.done():
            return
        try:
            if data.get("error") is not None:
                future.set_exception(JsonRpcException(str(data["error"].get("message")), int(data["error"].get("code"))))
            else:
                reply = {"jsonrpc": "2.0", "id": number, "result": data.get("result")}
                future.set_result(self._converter.structure(reply, kind).result if kind else reply["result"])
        except Exception as error:
            future.set_exception(JsonRpcException(f"The client's reply cannot be understood: {type(error).__name__}."))

    def _params(self, method: str, params: object) -> Any:  # noqa: ANN401 - the type depends on the method
        kind = self.params_types.get(method) or _params_type(cast(Hashable, self.get_message_type(method)))
        if kind is None:
            return params
        if params is not None and not isinstance(params, dict):
            raise Refused(failures.INVALID_PARAMS, f"The parameters of {method} must be an object.")
        try:
            return params or {} if kind is dict else self._converter.structure({} if params is None else params, kind)
        except Exception as error:
            raise Refused(failures.INVALID_PARAMS, f"The parameters of {method} are not what it takes.") from error

    def _register_builtin_features(self) -> None:
        """None of pygls' own: every method that is answered stands in the table of `server.app`."""

    def _handle_cancel_notification(self, msg_id: Any) -> None:  # noqa: ANN401 - as pygls has it
        if msg_id in self._open:
            super()._handle_cancel_notification(msg_id)

    def _send_handler_result(self, future: Future[Any], *, msg_id: Any) -> None:  # noqa: ANN401 - as pygls has it
        self._request_futures.pop(msg_id, None)
        if future.cancelled():
            error: BaseException | None = Refused(failures.REQUEST_CANCELLED, "The request was cancelled.")
        else:
            error = future.exception()
        if error is None:
            self._send_response(msg_id, future.result())
            return
        if not isinstance(error, (Refused, JsonRpcException)):
            log.warning(
                "A request failed: %s", type(error).__name__, exc_info=error if log.isEnabledFor(logging.DEBUG) else None
            )
        self._reply(msg_id, {"error": answer_of(error)})

    def _check_handler_result(self, future: Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None:
            log.warning("A notification failed: %s", type(error).__name__)

    def _send_response(self, msg_id: Any, result: Any = None, error: Any = None) -> None:  # noqa: ANN401 - as pygls has it
        self._reply(msg_id, {"result": result} if error is None else {"error": error})

    def _reply(self, number: Id, outcome: dict[str, object]) -> None:
        if number in self._open:
            self._open.discard(number)
            self._send_data({"jsonrpc": "2.0", "id": number, **outcome})

    def _send_data(self, data: Any) -> None:  # noqa: ANN401 - as pygls has it
        try:
            body = json.dumps(data, default=self._serialize_message, separators=(",", ":"))
        except (TypeError, ValueError, AttributeError) as error:
            log.warning("A message could not be written down: %s", type(error).__name__)
            if isinstance(data, dict) and "id" in data:
                self.refuse(failures.INTERNAL_ERROR, "The answer could not be written down.", data["id"])
            return
        self.send(body.encode())


def _id(data: object) -> Id | float | None:
    """The id to answer with: numbers and text are given back, everything else is nothing."""
    number = data.get("id") if isinstance(data, dict) else None
    return number if isinstance(number, (int, float, str)) and not isinstance(number, bool) else None


@cache
def _params_type(message: Hashable) -> Any:  # noqa: ANN401 - a type
    """The type of a message's parameters; None where it has none."""
    kinds = {field.name: field.type for field in getattr(message, "__attrs_attrs__", ())}
    kind = kinds.get("params")
    return None if kind is type(None) else kind
