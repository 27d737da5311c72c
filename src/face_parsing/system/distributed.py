"""The processes of one run: those that ``torchrun`` started together, or, without it, this one alone.

Everything here does nothing, and gives back what it was given, where there is one process. Processes speak over
gloo (CPU tensors, objects) and nccl (GPU tensors). One that fails ends; the others then lose its connection, and end
too, so that none waits for ever. PyTorch is loaded only where there are several: to parse photos with an ONNX file,
nobody needs it. Networks that several processes train are in ``batch_norm.py``.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")

LOST = "another process of this run ended or cannot be reached; see what it said, and go on with --resume."

PATIENCE = timedelta(hours=2)
"""How long one process waits for another that lives: for its share of the photos, for a checkpoint."""

_stores: list[Any] = []


def started_by_torchrun() -> bool:
    """Whether this process is one that torchrun started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _joined() -> Any:
    """``torch.distributed`` where this process has joined others, else None; torch is not loaded for the question."""
    module = sys.modules.get("torch.distributed")
    return module if module is not None and module.is_available() and module.is_initialized() else None


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if (dist := _joined()) else 0


def world_size() -> int:
    """How many processes the run has."""
    return dist.get_world_size() if (dist := _joined()) else 1


def is_main() -> bool:
    """Whether this is the process that prints, writes and draws."""
    return rank() == 0


def processes_here() -> int:
    """How many of the run's processes share this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if _joined() else 1


def is_first_here() -> bool:
    """Whether this is the process that does for its machine what one must do."""
    return not _joined() or os.environ["LOCAL_RANK"] == "0"


def launch() -> str | None:
    """A name that this call of torchrun shares with its own restarts, and with no other; None without torchrun."""
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")  # <one folder a launch>/attempt_<n>/<rank>/error.json
    return Path(file).parents[2].name if file and started_by_torchrun() else None


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Join the other processes of torchrun for the block; what any but process 0 prints there is dropped.

    Within itself it does nothing.
    """
    if not started_by_torchrun() or os.environ.get("WORLD_SIZE") == "1" or _joined():
        yield
        return
    import torch
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    store, number, count = next(rendezvous("env://"))
    # A restarted run may find the store of its last attempt, with addresses where nobody listens any more.
    store = PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    group = PrefixStore("group", store)
    dist.init_process_group(backend, store=group, rank=number, world_size=count, timeout=PATIENCE)
    _stores.append(store)
    try:
        with contextlib.ExitStack() as stack:
            if number:
                nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
                stack.enter_context(contextlib.redirect_stderr(nowhere))
            yield
    finally:
        _stores.clear()
        dist.destroy_process_group()


def say(message: str) -> bool:
    """Print why the run ends, on stderr, unless another process did so before. Returns whether it was printed."""
    if not _stores:
        print(message, file=sys.stderr)
        return True
    with contextlib.suppress(RuntimeError):  # the store is gone with torchrun: say it twice rather than never
        if _stores[0].add("failures", 1) > 1:
            return False
    print(message, file=sys.stderr if is_main() else sys.__stderr__, flush=True)
    return True


def is_lost(error: RuntimeError) -> bool:
    """Whether an error is that of a process which has lost another one, and not its own."""
    dist, text = _joined(), str(error).lower()
    words = ("connection closed", "connection reset", "connection refused", "broken pipe", "connectfullmesh")
    return bool(dist) and (isinstance(error, dist.DistError) or any(word in text for word in words))


def own_device(device: torch.device) -> torch.device:
    """The device of this process: of a machine's GPUs, each process takes its own. Raises ValueError for too few."""
    if device.type != "cuda" or not _joined():
        return device
    import torch

    number, found = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= found:
        raise ValueError(
            f"{processes_here()} processes were started on a machine on which torch finds {found} GPUs; give torchrun "
            f"--nproc_per_node {found}, or take the CPU."
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def barrier() -> None:
    """Wait until all processes are here."""
    any_of(False)


def from_main(make: Callable[[], T]) -> T:
    """What process 0 makes, in all processes. It must be picklable."""
    dist = _joined()
    if world_size() == 1:
        return make()
    box: list[Any] = [make() if is_main() else None]
    dist.broadcast_object_list(box, src=0)
    return box[0]  # type: ignore[no-any-return]


def from_all(value: T) -> list[T]:
    """What each process gives, by rank, in all processes. It must be picklable."""
    dist = _joined()
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def any_of(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    return bool(largest(int(flag)))


def largest(value: int) -> int:
    """The largest of what each process gives, in all processes."""
    if world_size() == 1:
        return value
    import torch
    import torch.distributed as dist

    box = torch.tensor(value)  # on the CPU, so that no GPU has to be waited for
    dist.all_reduce(box, op=dist.ReduceOp.MAX)
    return int(box)


def mean(value: Tensor) -> Tensor:
    """The mean of a tensor over the processes, which is not differentiated."""
    if world_size() == 1:
        return value
    import torch.distributed as dist

    total = value.detach().clone()
    dist.all_reduce(total)
    return total / world_size()
