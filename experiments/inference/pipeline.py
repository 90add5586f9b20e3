"""Many images through a network that never waits: the next is prepared, and the last written, while it works."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Ready = TypeVar("Ready")
Output = TypeVar("Output")
Result = TypeVar("Result")

#: Images that are prepared ahead of the network, and those that may wait to be written: memory for no more is needed.
AHEAD, BEHIND = 2, 2


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of an item.

    Attributes:
        item: as it was given.
        result: what was made of it; None if nothing could be.
        error: why nothing could be made of it, one line; None if something was.
    """

    item: Item
    result: Result | None
    error: ValueError | FileNotFoundError | None = None


def process(
    items: Iterable[Item],
    prepare: Callable[[Item], Ready],
    forward: Callable[[Ready], Output],
    finish: Callable[[Item, Ready, Output], Result],
) -> Iterator[Outcome[Item, Result]]:
    """Yield what becomes of each item, in order.

    Args:
        items: any number, read as they are needed.
        prepare: in a thread of its own, some items ahead.
        forward: in the calling thread.
        finish: in a thread of its own, some items behind.

    Raises:
        Exception: what one of the three raises; but ``ValueError`` and ``FileNotFoundError``, which are of the item
            alone, end in its outcome.
    """
    with ThreadPoolExecutor(1) as before, ThreadPoolExecutor(1) as after:
        finishing: deque[tuple[Item, Future[Result]]] = deque()
        try:
            for item, ready in _ahead(before, prepare, items):
                try:
                    prepared = ready.result()
                    output = forward(prepared)
                except (ValueError, FileNotFoundError) as error:
                    failed: Future[Result] = Future()
                    failed.set_exception(error)
                    finishing.append((item, failed))
                else:
                    finishing.append((item, after.submit(finish, item, prepared, output)))
                while len(finishing) > BEHIND or (finishing and finishing[0][1].done()):
                    yield _outcome(*finishing.popleft())
            while finishing:
                yield _outcome(*finishing.popleft())
        finally:
            for executor in (before, after):
                executor.shutdown(wait=False, cancel_futures=True)


def _ahead(
    executor: ThreadPoolExecutor, prepare: Callable[[Item], Ready], items: Iterable[Item]
) -> Iterator[tuple[Item, Future[Ready]]]:
    """Yield items with what is, or is being, prepared of them."""
    waiting: deque[tuple[Item, Future[Ready]]] = deque()
    for item in items:
        waiting.append((item, executor.submit(prepare, item)))
        if len(waiting) > AHEAD:
            yield waiting.popleft()
    yield from waiting


def _outcome(item: Item, finishing: "Future[Result]") -> Outcome[Item, Result]:
    try:
        return Outcome(item, finishing.result())
    except (ValueError, FileNotFoundError) as error:
        return Outcome(item, None, error)
