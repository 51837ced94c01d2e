"""Compiling for the CPU: numba's decorator with its cache, the types of arguments, and a prefetch.

A function is compiled when its module is imported, by the importing thread, for a single signature. So a thread that
calls it never compiles or imports anything. (If it did while another thread was importing the module and waiting for
the call, both would wait forever.)
"""

from __future__ import annotations

import warnings
from typing import Any

from llvmlite import ir

from namegen.errors import SettingError
from namegen.process import numba_settings

# numba would use its default, and show a traceback
warnings.filterwarnings("error", "Environment variable 'NUMBA_", RuntimeWarning)
try:
    import numba
    import numba.extending
except Exception as error:
    if not numba_settings() or isinstance(error, ImportError):
        raise
    why = str(error).partition("\n")[0].rstrip(".")
    what = f"numba does not load with {' and '.join(numba_settings())} ({why})"
    raise SettingError(what, remedy="Correct the variable, or unset it") from error

u8, u16, u32, u64 = numba.uint8, numba.uint16, numba.uint32, numba.uint64
i32, i64, f64, boolean = numba.int32, numba.int64, numba.float64, numba.boolean


def read_only(scalar, dimensions):
    """The type of a C-contiguous array that is only read. Read-only arrays are accepted, too."""
    return numba.types.Array(scalar, dimensions, "C", readonly=True)


def record(dtype):
    """The type of one entry of a structured array."""
    return numba.from_dtype(dtype)


def compiled(*arguments):
    """A decorator that compiles a function for arguments of these types, to run without the GIL.

    Numba caches the machine code in `NUMBA_CACHE_DIR`, else beside the source, else in the user's cache folder, and the
    next process loads it from there. It recompiles if the function's own file, the processor or numba's version has
    changed. It checks no other file, so a compiled function must not take constants from other modules. If no cache
    folder can be written, or the cache is broken, each process compiles again.
    """

    def decorate(function):
        try:
            return _njit(function, arguments, nogil=True, cache=True)
        except Exception:  # noqa: BLE001 - a broken cache fails in many ways; an error in the function is raised again
            return _njit(function, arguments, nogil=True)

    return decorate


def inlined(function):
    """A decorator for what compiled functions of the same file call: it becomes a part of each of them."""
    return _njit(function, inline="always")


def _njit(function, *arguments, **options):
    """`numba.njit`, even where NUMBA_DISABLE_JIT is set: Python's integers do not wrap, and would draw other names."""
    config: Any = numba.config
    asked, config.DISABLE_JIT = config.DISABLE_JIT, 0
    try:
        return numba.njit(*arguments, **options)(function)
    finally:
        config.DISABLE_JIT = asked


def _prefetch(context, array, index):  # noqa: ARG001 - numba's protocol
    """Starts to load the cache line of array[index], without waiting for it."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        integer = ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [pointer.type, integer, integer, integer])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], function_type)
        read, keep, data_cache = integer(0), integer(3), integer(1)
        builder.call(function, [pointer, read, keep, data_cache])
        return context.get_dummy_value()

    return numba.void(array, u64), generate


prefetch: Any = numba.extending.intrinsic(_prefetch)  # call it as prefetch(array, index): numba adds the context
