"""The gRPC form of the Open Inference Protocol v2, in the event loop of the HTTP server and on the same queue."""

import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from onspec import __version__
from onspec.domain import UsageError
from onspec.service import tensors
from onspec.service.asking import identify
from onspec.service.grpc_messages import SERVICE, MessageType, message
from onspec.service.judging import Judging, require_judged
from onspec.service.limits import Buckets
from onspec.service.problems import ProblemError
from onspec.service.protocol_v2 import EXTENSIONS, repository_index
from onspec.service.recipes import Recipes
from onspec.service.roles import Role
from onspec.service.tls import Tls
from onspec.service.tokens import Tokens

logger = logging.getLogger("onspec.service")

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""HTTP status of a problem → its code here; INTERNAL for the rest."""

_DATA_TYPES = {"TYPE_UINT8": 2, "TYPE_UINT16": 3, "TYPE_FP32": 11, "TYPE_STRING": 13}
"""Numbers of Triton's DataType."""

GRACE_S = 30.0

RECORD = "onspec-record"
"""Trailing metadata of an error: the id of the record of an image that could not be judged."""

Context = Any
"""grpc.aio.ServicerContext, which is generic in the messages, and those are made at run time."""

Requests = Any
"""An asynchronous iterator of such messages."""

Method = Callable[[MessageType, Context], Awaitable[MessageType]]


@asynccontextmanager
async def serving(
    address: str,
    recipes: Recipes,
    judging: Judging,
    tokens: Tokens | None,
    max_bytes: int,
    *,
    tls: Tls | None = None,
    buckets: Buckets | None = None,
) -> AsyncIterator[int]:
    """Answer on `address` (HOST:PORT); gives the port. At the end what is in flight finishes.

    Raises:
        UsageError: the address cannot be listened on.
    """
    guard = Guard(tokens, buckets)
    service = Service(recipes, judging)
    options = [("grpc.max_receive_message_length", max_bytes), ("grpc.max_send_message_length", -1)]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, _handlers(service, guard)),))
    try:
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
            port = server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except RuntimeError as error:
        raise UsageError(f"cannot listen on --grpc {address}; choose another address") from error
    await server.start()
    logger.info("grpc", extra={"fields": {"address": address, "port": port}})
    try:
        yield port
    finally:
        await server.stop(GRACE_S)


class Service:
    """The methods, by their names in the protocol."""

    def __init__(self, recipes: Recipes, judging: Judging) -> None:
        self._recipes = recipes
        self._judging = judging

    async def server_live(self, _: MessageType, __: Context) -> MessageType:
        """Whether the server answers."""
        return message("ServerLiveResponse")(live=True)

    async def server_ready(self, _: MessageType, __: Context) -> MessageType:
        """Whether all golden samples passed."""
        return message("ServerReadyResponse")(ready=_holds(self._recipes.require_all_ready))

    async def model_ready(self, request: MessageType, _: Context) -> MessageType:
        """Whether a recipe may judge."""
        version = self._recipes.find(request.name, request.version or None)
        return message("ModelReadyResponse")(ready=_holds(version.require_ready))

    async def server_metadata(self, _: MessageType, __: Context) -> MessageType:
        """Name and version."""
        return message("ServerMetadataResponse")(name="onspec", version=__version__, extensions=EXTENSIONS)

    async def model_metadata(self, request: MessageType, _: Context) -> MessageType:
        """What goes in and comes out."""
        version = self._recipes.find(request.name, request.version or None)
        versions = [known.digest for known in self._recipes.versions(version.name)]
        return message("ModelMetadataResponse")(**tensors.metadata(version.inspector, versions))

    async def model_config(self, request: MessageType, _: Context) -> MessageType:
        """The same in Triton's terms."""
        version = self._recipes.find(request.name, request.version or None)
        told = tensors.config(version.inspector, [])
        for tensor in (*told["input"], *told["output"]):
            tensor["data_type"] = _DATA_TYPES[tensor["data_type"]]
        return message("ModelConfigResponse")(config=told)

    async def repository_index(self, _: MessageType, __: Context) -> MessageType:
        """All recipes and versions."""
        return message("RepositoryIndexResponse")(models=repository_index(self._recipes))

    async def model_infer(self, request: MessageType, context: Context) -> MessageType:
        """Judge an image. The caller's own deadline counts, too."""
        version = self._recipes.find(request.model_name, request.model_version or None)
        self._judging.require_place(version)
        asked = tensors.Asked.of({name: _value(value) for name, value in request.parameters.items()})
        names = tensors.require_outputs([output.name for output in request.outputs])
        picture = tensors.picture_of(_inputs(request))
        left = context.time_remaining()
        times = [asked.deadline_ms, None if left is None else max(left, 1e-3) * 1e3]
        deadline_ms = min((time for time in times if time is not None), default=None)
        result = await self._judging.judge(version, picture, asked.part_id, deadline_ms)
        require_judged(result)
        outputs, record = tensors.outputs_of(result, names), result.inspection.record
        return message("ModelInferResponse")(
            model_name=version.name,
            model_version=version.digest,
            id=request.id,
            parameters={} if record is None else {"record": message("InferParameter")(string_param=record)},
            outputs=[{"name": o.name, "datatype": o.datatype, "shape": o.shape} for o in outputs],
            raw_output_contents=[output.raw() for output in outputs],
        )


def _holds(require: Callable[[], None]) -> bool:
    try:
        require()
    except ProblemError:
        return False
    return True


_METHODS: dict[str, tuple[str, Callable[[Service], Method], Role | None]] = {
    # method → message (…Request, …Response), handler, least role (None: open)
    "ServerLive": ("ServerLive", lambda s: s.server_live, None),
    "ServerReady": ("ServerReady", lambda s: s.server_ready, None),
    "ModelReady": ("ModelReady", lambda s: s.model_ready, Role.OPERATOR),
    "ServerMetadata": ("ServerMetadata", lambda s: s.server_metadata, Role.OPERATOR),
    "ModelMetadata": ("ModelMetadata", lambda s: s.model_metadata, Role.OPERATOR),
    "ModelConfig": ("ModelConfig", lambda s: s.model_config, Role.OPERATOR),
    "RepositoryIndex": ("RepositoryIndex", lambda s: s.repository_index, Role.OPERATOR),
    "ModelInfer": ("ModelInfer", lambda s: s.model_infer, Role.OPERATOR),
}


class Guard:
    """Who may ask, and how often."""

    def __init__(self, tokens: Tokens | None, buckets: Buckets | None) -> None:
        self._tokens = tokens
        self._buckets = buckets

    def admit(self, role: Role | None, context: Context) -> None:
        """Give the request its id; raises ProblemError 401, 403 or 429. Without a role it is open."""
        values: dict[str, list[str]] = {}
        for name, value in context.invocation_metadata() or ():
            values.setdefault(name, []).append(value if isinstance(value, str) else value.decode("latin-1"))
        identify(*(values[name][0] if name in values else None for name in ("x-request-id", "traceparent")))
        if role is None:
            return
        given = values.get("authorization", [])
        key = context.peer().rpartition(":")[0]
        try:
            if self._tokens:
                key = f"the token of {self._tokens.require(given[0] if len(given) == 1 else None, role).name}"
        finally:
            if self._buckets is not None:
                self._buckets.require(key)


def _handlers(service: Service, guard: Guard) -> dict[str, Any]:
    handlers: dict[str, Any] = {}
    for name, (kind, method, role) in _METHODS.items():
        handlers[name] = grpc.unary_unary_rpc_method_handler(
            _guarded(method(service), guard, role),
            request_deserializer=message(f"{kind}Request").FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
    handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
        _stream(service, guard),
        request_deserializer=message("ModelInferRequest").FromString,
        response_serializer=lambda answer: answer.SerializeToString(),
    )
    return handlers


def _guarded(method: Method, guard: Guard, role: Role | None) -> Method:
    """Asks for the token, and makes every problem a status of gRPC."""

    async def guarded(request: MessageType, context: Context) -> MessageType:
        try:
            guard.admit(role, context)
            return await method(request, context)
        except ProblemError as problem:
            about = () if problem.record is None else ((RECORD, problem.record),)
            await context.abort(_CODES.get(problem.status, grpc.StatusCode.INTERNAL), problem.sentence, about)
        except grpc.aio.AbortError:
            raise
        except Exception:
            logger.exception("fault", extra={"fields": {"method": "grpc"}})
            await context.abort(grpc.StatusCode.INTERNAL, "internal fault; nothing was judged; see the server's log")

    return guarded


def _stream(service: Service, guard: Guard) -> Callable[[Requests, Context], AsyncIterator[MessageType]]:
    """One answer after the other; a request that fails has its sentence in its answer, and the stream goes on."""

    async def stream(requests: Requests, context: Context) -> AsyncIterator[MessageType]:
        try:
            guard.admit(Role.OPERATOR, context)
        except ProblemError as problem:
            await context.abort(_CODES[problem.status], problem.sentence)
        async for request in requests:
            answer = message("ModelStreamInferResponse")()
            try:
                guard.admit(Role.OPERATOR, context)
                answer.infer_response.CopyFrom(await service.model_infer(request, context))
            except ProblemError as problem:
                answer.error_message = problem.sentence
                answer.infer_response.id = request.id
                if problem.record is not None:
                    answer.infer_response.parameters["record"].string_param = problem.record
            yield answer

    return stream


def _value(parameter: MessageType) -> object:
    kind = parameter.WhichOneof("parameter_choice")
    return None if kind is None else getattr(parameter, kind)


def _inputs(request: MessageType) -> list[tensors.Input]:
    raws = list(request.raw_input_contents)
    if raws and len(raws) != len(request.inputs):
        raise ProblemError(400, f"{len(request.inputs)} inputs, but {len(raws)} raw_input_contents; give one for each")
    return [_input(head, raws[at] if raws else None) for at, head in enumerate(request.inputs)]


def _input(head: MessageType, raw: bytes | None) -> tensors.Input:
    shape = tuple(head.shape)
    if raw is not None:
        return tensors.Input(head.name, head.datatype, shape, raw)
    if head.datatype == "BYTES":
        texts = b"".join(struct.pack("<I", len(text)) + text for text in head.contents.bytes_contents)
        return tensors.Input(head.name, head.datatype, shape, texts)
    return tensors.from_values(head.name, head.datatype, shape, list(head.contents.uint_contents))
