"""One job at a time in a folder. Two jobs that want the same files take turns; the second finds what the first made.

On a disk the kernel keeps the lock (`flocks`), in a store a lease does (`leases`). Where a job needs several folders,
it takes the model's first and then the data set's.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from namegen.storage.files import Location, storage_of
from namegen.storage.storage import Hold, Holder


def alone_in(folder: Location) -> AbstractContextManager[Hold]:
    """See `Storage.hold`."""
    return storage_of(folder).hold(folder)


def holder_of(folder: Location) -> Holder | None:
    """See `Storage.holder`."""
    return storage_of(folder).holder(folder)


def is_busy(folder: Location) -> bool:
    """See `Storage.is_held`."""
    return storage_of(folder).is_held(folder)
