"""A training step that a GPU replays from a recording (CUDA graphs): one call starts all of its kernels.

The project's networks are small, and a step of theirs has some thousand kernels of a few microseconds each. Starting
them one by one takes Python three times as long as a fast GPU takes to run them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import Tensor

from face_parsing.training.optim import rates_from

WARM_UPS = 3
"""Steps of a size that are taken as they are: libraries choose their kernels, and the optimiser makes its state."""


class CudaGraphStep:
    """``step(images, masks)``, of batches on a GPU: recorded after WARM_UPS calls of one size, and replayed from then.

    ``step`` must do the same work at each call, all of it on the GPU, and leave no gradients behind; of what it reads
    from Python the rates of the optimiser's groups alone may change. What it gives back, a tensor, is written anew by
    the next call. A step that cannot be recorded, since it waits for the GPU, is taken as it is, with a warning; if it
    draws random numbers, torch's generator may refuse to go on then.
    """

    def __init__(
        self, step: Callable[[Tensor, Tensor], Tensor], optimizer: torch.optim.Optimizer, device: torch.device
    ) -> None:
        self.step = step
        self.optimizer = optimizer
        self.device = device
        self.possible = True
        # Gradients are added up on the stream on which their weights were first used: it must be the recording's.
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._rates = torch.zeros(len(optimizer.param_groups), device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._calls = 0
        self._images, self._masks, self._result = (torch.empty(0) for _ in range(3))

    def __call__(self, images: Tensor, masks: Tensor) -> Tensor:
        stream = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(stream)
        with torch.cuda.stream(self._stream):
            result = self._take(images, masks)
        stream.wait_stream(self._stream)
        return result

    def _take(self, images: Tensor, masks: Tensor) -> Tensor:
        if images.shape != self._images.shape:
            self._images, self._masks = (torch.empty_like(part, device=self.device) for part in (images, masks))
            self._graph, self._calls = None, 0
        self._calls += 1
        if self._graph is None and self.possible and self._calls > WARM_UPS:
            self._record()
        if self._graph is None:
            return self.step(images, masks)
        self._images.copy_(images, non_blocking=True)
        self._masks.copy_(masks, non_blocking=True)
        for i, group in enumerate(self.optimizer.param_groups):
            self._rates[i].fill_(group["lr"])
        self._graph.replay()
        return self._result

    def _record(self) -> None:
        """Run nothing, but note what a step would: the graph is None where that is not possible."""
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads, such as the one that pins the next batches, may go on meanwhile.
            with (
                rates_from(self.optimizer, self._rates),
                torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                self._result = self.step(self._images, self._masks)
        except RuntimeError as error:
            self.possible = False
            self.optimizer.zero_grad(set_to_none=True)
            reason = " ".join(str(error).split())[:200]
            print(f"Warning: CUDA graphs are off, which is slower: {reason}", file=sys.stderr)
            return
        self._graph = graph
