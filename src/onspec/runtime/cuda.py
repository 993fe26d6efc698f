"""The few calls of NVIDIA's driver that running an engine takes, through `libcuda`, which comes with the driver.

Without a driver there is no device; nothing here fails for that but `Device`.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

from onspec.domain import EngineError
from onspec.imaging.preparation import Tensor

_NAME_LENGTH = 256
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""


def device_count() -> int:
    """How many GPUs the driver sees; 0 without a driver."""
    library = _library()
    count = ctypes.c_int(0)
    return count.value if library is not None and library.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def description() -> str:
    """The first GPU, its compute capability and the driver's version; empty without one."""
    library = _library()
    if library is None or device_count() == 0:
        return ""
    name, driver = ctypes.create_string_buffer(_NAME_LENGTH), ctypes.c_int(0)
    library.cuDeviceGetName(name, _NAME_LENGTH, 0)
    library.cuDriverGetVersion(ctypes.byref(driver))
    return f"{name.value.decode(errors='replace')} sm{capability()} driver {driver.value}"


def capability() -> int:
    """The first GPU's compute capability, as 89 for 8.9; 0 without one."""
    library = _library()
    if library is None or device_count() == 0:
        return 0
    values = [ctypes.c_int(0), ctypes.c_int(0)]
    for value, what in zip(values, (_CAPABILITY_MAJOR, _CAPABILITY_MINOR), strict=True):
        library.cuDeviceGetAttribute(ctypes.byref(value), what, 0)
    return values[0].value * 10 + values[1].value


@cache
def _library() -> ctypes.CDLL | None:
    """The driver, started; `None` if there is none or it does not start."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    return library if library.cuInit(0) == 0 else None


class Device:
    """The first GPU with a stream of its own.

    Raises at construction:
        EngineError: no GPU, or its driver refuses.
    """

    def __init__(self) -> None:
        library = _library()
        if library is None or device_count() == 0:
            raise EngineError(
                "no NVIDIA GPU is seen here (libcuda.so.1 is absent or finds none); check with nvidia-smi, or choose "
                "--engine onnxruntime"
            )
        self._library = library
        self._context, self._stream = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), ctypes.c_int(0))
        with self.current():
            self._call("cuStreamCreate", ctypes.byref(self._stream), ctypes.c_uint(1))  # 1: apart from the default one

    @property
    def stream(self) -> int:
        """The handle that an engine enqueues its work on."""
        return int(self._stream.value or 0)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this GPU the one of the calling thread."""
        before = ctypes.c_void_p()
        self._call("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            self._call("cuCtxPopCurrent_v2", ctypes.byref(before))

    def allocate(self, size: int) -> int:
        """The address of so many bytes on the GPU."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return int(address.value)

    def free(self, address: int) -> None:
        """Give memory back."""
        self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def upload(self, values: Tensor, address: int) -> None:
        """Copy an array, contiguous, to the GPU, in the order of the stream."""
        source = ctypes.c_void_p(values.ctypes.data)
        size = ctypes.c_size_t(values.nbytes)
        self._call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(address), source, size, self._stream)

    def download(self, address: int, shape: tuple[int, ...]) -> Tensor:
        """A float32 array from the GPU, once all work before it on the stream is done."""
        values = np.empty(shape, np.float32)
        target, size = ctypes.c_void_p(values.ctypes.data), ctypes.c_size_t(values.nbytes)
        self._call("cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(address), size, self._stream)
        self._call("cuStreamSynchronize", self._stream)
        return values

    def close(self) -> None:
        """Give the stream and the GPU back."""
        with self.current():
            self._call("cuStreamDestroy_v2", self._stream)
        self._call("cuDevicePrimaryCtxRelease_v2", ctypes.c_int(0))

    def _call(self, function: str, *arguments: object) -> None:
        code = getattr(self._library, function)(*arguments)
        if code != 0:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(code, ctypes.byref(text))
            said = (text.value or b"no reason given").decode(errors="replace")
            raise EngineError(f"the GPU's driver refused {function}: {said} (CUDA error {code}); check with nvidia-smi")
