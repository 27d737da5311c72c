"""Face parsing: a photo in, a class for each of its pixels out.

``from face_parsing import FaceParser``; then ``FaceParser()("photo.jpg").mask``. Importing the package alone loads
nothing: what it offers is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from face_parsing.parser import FaceParser
    from face_parsing.results import ParsedFace, ParsedPhoto

__all__ = ["FaceParser", "ParsedFace", "ParsedPhoto", "__version__"]
__version__ = "1.0.0"


def __getattr__(name: str) -> object:
    if name not in ("FaceParser", "ParsedFace", "ParsedPhoto"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from face_parsing import parser, results

    return getattr(parser if name == "FaceParser" else results, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
