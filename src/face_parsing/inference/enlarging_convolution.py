"""A 3x3 convolution of a map that was enlarged twice bilinearly, from the map itself: a quarter of the products.

Along one axis, enlarging x means: write x on the even places of a line, 0 on the odd ones, and filter it by
(1, 3, 3, 1) / 4. Filters change places with convolutions, so the convolution comes first here. It then meets many
zeros: an even place sees the kernel's middle tap alone, an odd place its outer taps alone. The filter comes last and
sums no channels, which makes it cheap.

At the borders they do not change places by themselves: enlarging repeats the last value, and the convolution pads the
enlarged map with zeros. The outermost even place, which the filter's outer tap alone sees, makes up for that.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FILTER = (0.25, 0.75, 0.75, 0.25)
TAPS = ([[-4, 1, 0]], [[0, 1, 0]], [[0, 1, -4]], [[1, 0, 0], [0, 0, 1]])
"""What the first, the inner and the last even places and the odd places see of a kernel's three taps, a value a row."""


class EnlargingConvolution(nn.Module):
    """Maps (B, C, h, w) to (B, D, 2h, 2w), as ``conv2d(interpolate(x, scale_factor=2), weight, padding=1)`` has them.

    ``weight`` is (D, C, 3, 3). The enlargement is bilinear, without aligned corners.
    """

    filter: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.channels = len(weight)
        self.kernels = nn.ParameterList(_seen(weight, down, across) for down in TAPS for across in TAPS)
        taps = torch.tensor(FILTER)
        self.register_buffer("filter", torch.outer(taps, taps).expand(self.channels, 1, 4, 4).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        parts = slice(1, 2), slice(1, -1), slice(-2, -1), slice(None)  # of the padded map, as in TAPS
        first, inner, last, odd = (
            self._line([x if i == j == 1 else padded[:, :, rows, columns] for j, columns in enumerate(parts)], i)
            for i, rows in enumerate(parts)
        )
        length = 2 * w + 3
        both = [part.reshape(-1, h + 1, length * self.channels) for part in (odd, torch.cat([inner, last], 1))]
        rest = torch.cat(both, 2).reshape(-1, 2 * h + 2, length, self.channels)
        places = torch.cat([first, rest], 1).permute(0, 3, 1, 2)  # (B, D, 2h + 3, 2w + 3)
        return F.conv2d(places, self.filter, groups=self.channels)

    def _line(self, parts: list[Tensor], kind: int) -> Tensor:
        """Rows (B, rows, 2w + 3, D) of a kind, from its parts of the map; channels last, so that pixels move whole."""
        first, inner, last, odd = (
            F.conv2d(part, self.kernels[len(TAPS) * kind + j]).permute(0, 2, 3, 1) for j, part in enumerate(parts)
        )
        even = torch.cat([inner, last], 2)
        B, rows, columns, _ = even.shape
        rest = torch.cat([odd, even], 3).reshape(B, rows, 2 * columns, self.channels)
        return torch.cat([first, rest], 2)


def _seen(weight: Tensor, down: list[list[int]], across: list[list[int]]) -> nn.Parameter:
    """The kernel of places that see such taps down and across of (D, C, 3, 3)."""
    rows, columns = (torch.tensor(taps, dtype=torch.float64) for taps in (down, across))
    kernel = torch.einsum("dcyx,iy,jx->dcij", weight.detach().double(), rows, columns)
    return nn.Parameter(kernel.to(weight.dtype).contiguous(), requires_grad=False)
