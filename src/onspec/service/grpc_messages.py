"""The messages of the gRPC form of the Open Inference Protocol v2, made at run time from their published field numbers.

https://github.com/kserve/open-inference-protocol, specification/protocol/open_inference_grpc.proto; the model's
configuration and the repository are Triton's extensions of it. They live in a pool of their own, so that a program may
load another copy of the protocol beside them.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"

_MESSAGES: dict[str, str] = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live=1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready=1",
    "ModelReadyRequest": "string name=1; string version=2",
    "ModelReadyResponse": "bool ready=1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "string name=1; string version=2; *string extensions=3",
    "ModelMetadataRequest": "string name=1; string version=2",
    "ModelMetadataResponse": "string name=1; *string versions=2; string platform=3; "
    "*.ModelMetadataResponse.TensorMetadata inputs=4; *.ModelMetadataResponse.TensorMetadata outputs=5",
    "ModelMetadataResponse.TensorMetadata": "string name=1; string datatype=2; *int64 shape=3",
    "InferParameter": "bool bool_param=1; int64 int64_param=2; string string_param=3; double double_param=4; "
    "uint64 uint64_param=5",
    "InferTensorContents": "*bool bool_contents=1; *int32 int_contents=2; *int64 int64_contents=3; "
    "*uint32 uint_contents=4; *uint64 uint64_contents=5; *float fp32_contents=6; *double fp64_contents=7; "
    "*bytes bytes_contents=8",
    "ModelInferRequest": "string model_name=1; string model_version=2; string id=3; "
    "*.ModelInferRequest.ParametersEntry parameters=4; *.ModelInferRequest.InferInputTensor inputs=5; "
    "*.ModelInferRequest.InferRequestedOutputTensor outputs=6; *bytes raw_input_contents=7",
    "ModelInferRequest.ParametersEntry": "string key=1; .InferParameter value=2",
    "ModelInferRequest.InferInputTensor": "string name=1; string datatype=2; *int64 shape=3; "
    "*.ModelInferRequest.InferInputTensor.ParametersEntry parameters=4; .InferTensorContents contents=5",
    "ModelInferRequest.InferInputTensor.ParametersEntry": "string key=1; .InferParameter value=2",
    "ModelInferRequest.InferRequestedOutputTensor": "string name=1; "
    "*.ModelInferRequest.InferRequestedOutputTensor.ParametersEntry parameters=2",
    "ModelInferRequest.InferRequestedOutputTensor.ParametersEntry": "string key=1; .InferParameter value=2",
    "ModelInferResponse": "string model_name=1; string model_version=2; string id=3; "
    "*.ModelInferResponse.ParametersEntry parameters=4; *.ModelInferResponse.InferOutputTensor outputs=5; "
    "*bytes raw_output_contents=6",
    "ModelInferResponse.ParametersEntry": "string key=1; .InferParameter value=2",
    "ModelInferResponse.InferOutputTensor": "string name=1; string datatype=2; *int64 shape=3; "
    "*.ModelInferResponse.InferOutputTensor.ParametersEntry parameters=4; .InferTensorContents contents=5",
    "ModelInferResponse.InferOutputTensor.ParametersEntry": "string key=1; .InferParameter value=2",
    "ModelStreamInferResponse": "string error_message=1; .ModelInferResponse infer_response=2",
    "ModelConfigRequest": "string name=1; string version=2",
    "ModelConfigResponse": ".ModelConfig config=1",
    "ModelConfig": "string name=1; string platform=2; int32 max_batch_size=4; *.ModelInput input=5; "
    "*.ModelOutput output=6; string backend=17",
    "ModelInput": "string name=1; int32 data_type=2; *int64 dims=4",  # data_type is an enum; on the wire an int32
    "ModelOutput": "string name=1; int32 data_type=2; *int64 dims=3",
    "RepositoryIndexRequest": "string repository_name=1; bool ready=2",
    "RepositoryIndexResponse": "*.RepositoryIndexResponse.ModelIndex models=1",
    "RepositoryIndexResponse.ModelIndex": "string name=1; string version=2; string state=3; string reason=4",
}
"""Message (with the one it is nested in) → its fields, `*` where repeated, `.` before a message type."""

_ONEOF = {"InferParameter": "parameter_choice"}
"""Messages of which one field is set at a time."""

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "bool": _Field.TYPE_BOOL, "int32": _Field.TYPE_INT32, "int64": _Field.TYPE_INT64, "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64, "float": _Field.TYPE_FLOAT, "double": _Field.TYPE_DOUBLE,
    "string": _Field.TYPE_STRING, "bytes": _Field.TYPE_BYTES,
}  # fmt: skip

MessageType = Any
"""A class made at run time, which no type checker knows."""


def message(name: str) -> MessageType:
    """The class of a message by its name."""
    return _CLASSES[name]


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="onspec_inference.proto", package=PACKAGE, syntax="proto3")
    made: dict[str, descriptor_pb2.DescriptorProto] = {}
    for name in sorted(_MESSAGES, key=lambda name: name.count(".")):
        outer, _, own = name.rpartition(".")
        found = made[outer].nested_type.add() if outer else file.message_type.add()
        found.name = own
        made[name] = found
        if own == "ParametersEntry":
            found.options.map_entry = True
        if name in _ONEOF:
            found.oneof_decl.add(name=_ONEOF[name])
        for entry in filter(None, _MESSAGES[name].split("; ")):
            _add_field(found, entry, in_oneof=name in _ONEOF)
    return file


def _add_field(found: descriptor_pb2.DescriptorProto, entry: str, in_oneof: bool) -> None:
    kind, _, rest = entry.partition(" ")
    name, _, number = rest.partition("=")
    field = found.field.add(name=name, number=int(number))
    field.label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
    kind = kind.removeprefix("*")
    if kind.startswith("."):
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{PACKAGE}{kind}"
    else:
        field.type = _TYPES[kind]
    if in_oneof:
        field.oneof_index = 0


def _classes() -> dict[str, MessageType]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES = _classes()
