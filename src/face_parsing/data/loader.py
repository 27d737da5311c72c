"""The loader processes that feed a training."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

from torch.utils.data import DataLoader, Dataset, Sampler

from face_parsing.data.problems import DataError
from face_parsing.system.workers import LOADED_AHEAD

T = TypeVar("T")

STOPPING = {signal.SIGINT, signal.SIGTERM}


def _heed_parent_alone(worker: int) -> None:
    """Begin a loader process, which has STOPPING blocked: it ends where its parent sends one of these, and goes on
    where another does. A terminal, a service or a batch system signals all processes of a training, of which the first
    has a step to finish and to save.
    """

    def wait() -> None:
        while signal.sigwaitinfo(STOPPING).si_pid != os.getppid():
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def build_loader(
    dataset: Dataset[Any], sampler: Sampler[Any], *, workers: int, pin: bool, whole_batches: bool = False
) -> DataLoader[Any]:
    """A loader of all the sampler's epochs in one pass, so that workers start once and run ahead across epochs.

    ``whole_batches``: the dataset is asked for all that the sampler gives together, and what it gives is the batch.
    """
    how: dict[str, Any] = {"batch_sampler": sampler}
    if whole_batches:
        how = {"sampler": sampler, "batch_size": None, "collate_fn": _as_it_is}
    return DataLoader(
        dataset,
        **how,
        num_workers=workers,
        pin_memory=pin,
        # Forked workers see the parent's cache without copying it.
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=_heed_parent_alone,
        prefetch_factor=LOADED_AHEAD if workers else None,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def batches_of(loader: DataLoader[T]) -> Iterator[T]:
    """The loader's batches. Raises DataError, in one sentence, for what a loader process found, and RuntimeError
    (``system.workers.is_dead_worker``) where one has died.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # which the loader processes inherit
    try:
        batches = iter(loader)  # now: it draws from torch's generator, which each epoch seeds anew
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def with_clean_errors() -> Iterator[T]:
        try:
            yield from batches
        except DataError as error:  # raised in another process, it holds that one's traceback
            raise DataError(str(error).rsplit("DataError: ", 1)[-1].strip()) from None
        except (ConnectionError, EOFError) as error:  # the process died while it handed a batch over
            raise RuntimeError(f"DataLoader worker is gone: {error}") from None

    return with_clean_errors()
