"""Predict masks: ``python src/inference.py --input PHOTO_OR_FOLDER --output FOLDER``, the command ``face-parsing``."""

from __future__ import annotations

from face_parsing.cli import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    raise SystemExit(main())
