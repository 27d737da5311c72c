"""Masks in the formats of other projects.

    python src/convert_masks.py to-kaggle --masks outputs/x/masks --output submission.csv
    python src/convert_masks.py from-kaggle --csv submission.csv --output masks --names outputs/x/masks
    python src/convert_masks.py to-ids --masks outputs/x/masks --output ids

The Kaggle course's CSV has the header ``ID,Usage,label,segmentation`` and 19 rows an image. Images are numbered from
0 in the order of their names (numbers by value, before words); ID is image * 19 + class id, label the class's name.
A segmentation lists the runs of the class in a mask of 256x256, row by row from the top left: ``start_length`` of
each, joined by ``_``, the first pixel being 1; ``0`` where there is none. Pixels to ignore are in no run.

Id PNGs are what mmsegmentation reads: mode L, ids 0 to 18, 255 for pixels to ignore.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from face_parsing.data.masks import read_mask, save_mask
from face_parsing.data.photo_files import PHOTO_SUFFIXES, photos_in
from face_parsing.data.problems import DataError
from face_parsing.drawing.kaggle import HEADER, LARGEST_SIZE, SIZE, numeric_order, read_kaggle, write_kaggle
from face_parsing.labels import NUM_CLASSES
from face_parsing.system.cli import refuse_existing
from face_parsing.system.files import atomic_path


def _masks_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} of PNG masks.")
    masks = [path for path in photos_in(folder) if path.suffix.lower() == ".png"]
    if not masks:
        raise DataError(f"There are no PNG masks in {folder}.")
    return numeric_order(masks)


def _names(source: Path | None, count: int) -> list[str]:
    """The name of each image: from a folder's files, from the lines of a text file, else its number."""
    if source is None:
        return [str(image) for image in range(count)]
    if source.is_dir():
        names = [path.stem for path in numeric_order(photos_in(source))]
    else:
        try:
            lines = [line.strip() for line in source.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"The names {source} cannot be read: {error}.") from None
        names = [Path(line).stem if Path(line).suffix.lower() in PHOTO_SUFFIXES else line for line in lines if line]
    if len(names) != count:
        raise DataError(f"{source} gives {len(names)} names, but the CSV holds {count} images.")
    for name, times in Counter(names).items():
        if times > 1 or name in (".", "..") or "/" in name or "\0" in name:
            raise DataError(f"{source}: {name!r} cannot name a mask; names must differ and be plain file names.")
    return names


def _to_kaggle(args: argparse.Namespace) -> None:
    refuse_existing([args.output], overwrite=args.overwrite)
    masks = _masks_in(args.masks)
    write_kaggle(masks, args.output, usage=args.usage, size=args.size)
    print(f"wrote {len(masks) * NUM_CLASSES} rows of {len(masks)} images to {args.output}")


def _from_kaggle(args: argparse.Namespace) -> None:
    masks = read_kaggle(args.csv, size=args.size)
    paths = [args.output / f"{name}.png" for name in _names(args.names, len(masks))]
    refuse_existing(paths, overwrite=args.overwrite)
    for mask, path in zip(masks, paths, strict=True):
        save_mask(mask, path)
    print(f"wrote {len(masks)} masks to {args.output}")


def _to_ids(args: argparse.Namespace) -> None:
    masks = _masks_in(args.masks)
    paths = [args.output / path.name for path in masks]
    refuse_existing(paths, overwrite=args.overwrite)
    for source, path in zip(tqdm(masks, unit="mask", leave=False), paths, strict=True):
        with atomic_path(path) as temporary:
            Image.fromarray(read_mask(source)).save(temporary, format="PNG")
    print(f"wrote {len(masks)} masks to {args.output}")


def _size(text: str) -> int:
    value = int(text)
    if not 1 <= value <= LARGEST_SIZE:
        raise argparse.ArgumentTypeError(f"{text} is not within 1 to {LARGEST_SIZE}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    parser = argparse.ArgumentParser(description="Masks in the formats of other projects, and back.")
    commands = parser.add_subparsers(dest="command", required=True)
    to_kaggle = commands.add_parser("to-kaggle", help="a folder of masks to the Kaggle course's CSV")
    from_kaggle = commands.add_parser("from-kaggle", help="such a CSV to a folder of masks")
    to_ids = commands.add_parser("to-ids", help="masks with a palette to the plain id PNGs of mmsegmentation")
    from_kaggle.add_argument("--csv", type=Path, required=True, help="CSV with the header " + ",".join(HEADER))
    from_kaggle.add_argument("--names", type=Path, help="folder or list of the images' names, in order (0, 1, ...)")
    to_kaggle.add_argument("--usage", default="Public", help="what the column Usage says (Public)")
    for command in (to_kaggle, to_ids):
        command.add_argument("--masks", type=Path, required=True, help="folder of PNG masks, ids 0 to 18")
    for command in (to_kaggle, from_kaggle):
        command.add_argument("--size", type=_size, default=SIZE, help="height and width of the CSV's masks (256)")
    for command, run in ((to_kaggle, _to_kaggle), (from_kaggle, _from_kaggle), (to_ids, _to_ids)):
        command.add_argument("--output", type=Path, required=True, help="what to write")
        command.add_argument("--overwrite", action="store_true", help="replace files that exist")
        command.set_defaults(run=run)
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except (ValueError, OSError) as error:
        print(f"convert_masks.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
