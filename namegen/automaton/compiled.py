"""Compiling for the CPU: numba's decorator with its cache, the types of arguments, and a prefetch.

A function is compiled where it is decorated, for its one signature: when its module is imported, in the thread that
imports it. So no thread that calls one compiles or imports anything. (One that did, while another thread was still
importing the module and waited for it, would wait forever.)
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic

u8, u16, u32, u64 = numba.uint8, numba.uint16, numba.uint32, numba.uint64
i32, i64, f64 = numba.int32, numba.int64, numba.float64


def read_only(scalar, dimensions):
    """The type of a C-contiguous array that is only read, so that it may be one that cannot be written."""
    return numba.types.Array(scalar, dimensions, "C", readonly=True)


def compiled(*arguments):
    """A decorator: compiles a function of arguments of these types, which runs without the GIL.

    The code is kept in `NUMBA_CACHE_DIR`, else beside the source, else in the user's cache folder, and the next process
    loads it from there. Numba sees for itself whether the function's own file, its own version or the processor has
    changed, and no other file: a compiled function must not take constants from elsewhere. Where no such folder can be
    written, or what lies there is broken, each process compiles anew.
    """

    def decorate(function):
        try:
            return numba.njit(arguments, nogil=True, cache=True)(function)
        except Exception:  # noqa: BLE001 - unreadable code fails in many ways; an error in the function comes again
            return numba.njit(arguments, nogil=True)(function)

    return decorate


def _prefetch(context, array, index):  # noqa: ARG001 - numba's protocol
    """Begins to read the cache line of array[index], and does not wait for it."""

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


prefetch: Any = intrinsic(_prefetch)  # (array, index): a call has no context
