"""Pictures of masks and runs: ``python src/draw.py {color,ids,overlay,panel,curves} ...``, each with ``--help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from face_parsing.config.classes import read_classes
from face_parsing.data.masks import ids_of_colors, read_mask, save_mask
from face_parsing.data.photo_files import find_photos
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.drawing.pictures import contact_sheet, overlay_with_legend, save_picture
from face_parsing.drawing.plots import FORMATS, plot_runs
from face_parsing.labels import CELEBAMASK, IGNORE_INDEX, LabelSet, colorize
from face_parsing.system.cli import UsageError, positive, refuse_existing

NAMES_SHOWN = 5


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Draw masks, photos under their masks, and the curves of trainings.")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, output: str, *, classes: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        sub.add_argument("--output", type=Path, required=True, help=output)
        sub.add_argument("--overwrite", action="store_true", help="replace files that exist")
        if classes:
            sub.add_argument("--classes", type=Path, help="YAML of a coarser task whose ids the masks hold")
        return sub

    color = command("color", "masks of class ids to RGB pictures in the standard palette", "folder for <name>.png")
    color.add_argument("--input", type=Path, required=True, help="a mask, or a folder of them")

    ids = command("ids", "pictures in the palette's colors back to masks of class ids", "folder for <name>.png")
    ids.add_argument("--input", type=Path, required=True, help="a color picture, or a folder of them")
    ids.add_argument("--nearest", action="store_true", help="take the nearest color, as for JPEGs")

    overlay = command("overlay", "photos under their masks' colors, with a legend", "folder for <name>.jpg")
    overlay.add_argument("--images", type=Path, required=True, help="a photo, or a folder of them")
    overlay.add_argument("--masks", type=Path, required=True, help="its mask, or the folder of masks of the same names")
    overlay.add_argument("--alpha", type=_share, default=0.5, help="share of the color (0.5)")

    panel = command("panel", "several masks of the same faces side by side", "PNG or JPEG file")
    panel.add_argument("--images", type=Path, help="a photo, or a folder of them, for the first column")
    panel.add_argument("--masks", type=Path, nargs="+", required=True, help="masks, or folders of them: a column each")
    panel.add_argument("--titles", nargs="+", help="of the columns of --masks (their folders' names)")
    panel.add_argument("--stems", nargs="+", help="the faces to show, by name without suffix")
    panel.add_argument("--faces", type=positive, default=8, help="without --stems, the first so many (8)")

    curves = command("curves", "F-Score and loss of several runs in one figure", "PNG, PDF or SVG file", classes=False)
    curves.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder, or its history.csv")
    curves.add_argument("--x", choices=("epochs", "minutes"), default="epochs", help="along epochs (default) or time")
    return parser


def _refuse_existing(outputs: Sequence[Path], inputs: Sequence[Path], *, overwrite: bool) -> None:
    sources = {path.resolve() for path in inputs}
    own = next((path for path in outputs if path.resolve() in sources), None)
    if own is not None:
        raise UsageError(f"{own} would be replaced by its own picture; choose another --output.")
    refuse_existing(outputs, overwrite=overwrite)


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def match_stems(places: Sequence[Path], stems: Sequence[str] | None = None) -> dict[str, list[Path]]:
    """The files of each face, by stem, in the order of places: all of them folders of the same names, or all files.

    With stems these faces alone, which every folder must hold. Raises UsageError that names what lacks a partner.
    """
    if all(place.is_file() for place in places):
        return {places[0].stem: list(places)}
    file = next((place for place in places if place.is_file()), None)
    if file is not None:
        raise UsageError(f"{file} is a file and others are folders; name files only, or folders only.")
    found = {place: {path.stem: path for path in find_photos(place)} for place in places}
    wanted = list(stems or sorted(found[places[0]]))
    for place, paths in found.items():
        lacks = [stem for stem in wanted if stem not in paths]
        if lacks:
            raise UsageError(f"{place} lacks {_list(lacks)}{'' if stems else f', which {places[0]} has'}.")
        alone = sorted(paths.keys() - set(wanted))
        if alone and not stems:
            raise UsageError(f"{place} has {_list(alone)}, which {places[0]} lacks.")
    return {stem: [found[place][stem] for place in places] for stem in wanted}


def _read_mask(path: Path, labels: LabelSet) -> np.ndarray:
    mask = read_mask(path)
    unknown = mask[(mask >= len(labels)) & (mask != IGNORE_INDEX)]
    if len(unknown):
        raise DataError(f"{path}: label {unknown[0]}; the ids of these classes are 0 to {len(labels) - 1}")
    return mask


def _each(args: argparse.Namespace, inputs: Sequence[Path], make: Callable[[Path, Path], None]) -> None:
    """make(input, output) of each input, to the folder --output."""
    outputs = [args.output / f"{path.stem}.png" for path in inputs]
    _refuse_existing(outputs, inputs, overwrite=args.overwrite)
    for path, output in zip(tqdm(inputs, unit="picture", leave=False), outputs, strict=True):
        make(path, output)
    print(f"wrote {len(inputs)} pictures to {args.output}")


def _color(args: argparse.Namespace, labels: LabelSet) -> None:
    def make(path: Path, output: Path) -> None:
        save_picture(colorize(_read_mask(path, labels), labels), output)

    _each(args, find_photos(args.input), make)


def _ids(args: argparse.Namespace, labels: LabelSet) -> None:
    guessed = []

    def make(path: Path, output: Path) -> None:
        picture = read_photo(path)
        mask, exact = ids_of_colors(picture, labels)
        if not exact.all() and not args.nearest:
            y, x = np.argwhere(~exact)[0].tolist()
            raise UsageError(
                f"{path}: the color {tuple(picture[y, x].tolist())} at column {x}, row {y} is none of the palette's; "
                "mend the picture, or add --nearest to take the nearest one."
            )
        guessed.append(1 - float(exact.mean()))
        save_mask(mask, output, labels)

    _each(args, find_photos(args.input), make)
    if max(guessed) > 0:
        print(f"{np.mean(guessed):.1%} of the pixels were of no exact color, up to {max(guessed):.1%} in a picture")


def _overlay(args: argparse.Namespace, labels: LabelSet) -> None:
    matched = match_stems([args.images, args.masks])
    outputs = [args.output / f"{stem}.jpg" for stem in matched]
    _refuse_existing(outputs, [path for paths in matched.values() for path in paths], overwrite=args.overwrite)
    for (image, mask_path), output in zip(tqdm(matched.values(), unit="picture", leave=False), outputs, strict=True):
        photo, mask = read_photo(image), _read_mask(mask_path, labels)
        (h, w), (H, W) = mask.shape, photo.shape[:2]
        if h * W != H * w:
            raise DataError(f"{mask_path} is {w}x{h} and its photo {image} {W}x{H}, of another shape")
        if h != H:  # the full data set's masks are half as large as its photos
            mask = np.array(Image.fromarray(mask).resize((W, H), Image.Resampling.NEAREST))
        save_picture(overlay_with_legend(photo, mask, args.alpha, labels), output)
    print(f"wrote {len(outputs)} pictures to {args.output}")


def _title(place: Path) -> str:
    """What a column is called: inference.py's folders are all called masks, their parents are not."""
    return place.resolve().parent.name if place.name == "masks" else place.stem


def _panel(args: argparse.Namespace, labels: LabelSet) -> None:
    titles = args.titles or [_title(place) for place in args.masks]
    if len(titles) != len(args.masks):
        raise UsageError(f"--titles names {len(titles)} columns, --masks {len(args.masks)}; give each one its title.")
    photos = [] if args.images is None else [args.images]
    matched = match_stems([*photos, *args.masks], args.stems)
    _refuse_existing([args.output], [path for paths in matched.values() for path in paths], overwrite=args.overwrite)
    shown = dict(list(matched.items())[: None if args.stems else args.faces])
    rows: list[list[np.ndarray]] = []
    for paths in tqdm(shown.values(), unit="face", leave=False):
        row = [read_photo(path) for path in paths[: len(photos)]]
        rows.append(row + [_read_mask(path, labels) for path in paths[len(photos) :]])
    present = {c for row in rows for picture in row[len(photos) :] for c in np.unique(picture).tolist()}
    classes = sorted(present - {IGNORE_INDEX})
    sheet = contact_sheet(rows, ["image"] * len(photos) + titles, list(shown), labels=labels, classes=classes)
    save_picture(sheet, args.output)
    print(f"wrote {args.output}: {len(rows)} of {len(matched)} faces")


def _curves(args: argparse.Namespace) -> None:
    if args.output.suffix.lower() not in FORMATS:
        raise UsageError(f"--output {args.output}: the name must end in {', '.join(FORMATS)}.")
    histories: dict[str, Path] = {}
    for run in args.runs:
        history = run / "history.csv" if run.is_dir() else run
        if not history.is_file():
            raise UsageError(f"There is no history {history}; name the folder of a run, or its history.csv.")
        folder = history.resolve().parent
        # Runs of one name in several places are told apart by the folders around them.
        names = [folder.name, "/".join(folder.parts[-2:]), str(folder), str(history)]
        histories[next(name for name in names if name not in histories or name == names[-1])] = history
    _refuse_existing([args.output], list(histories.values()), overwrite=args.overwrite)
    plot_runs(histories, args.output, minutes=args.x == "minutes")
    print(f"wrote {args.output}")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 after a sentence on stderr."""
    args = _parser().parse_args(argv)
    commands = {"color": _color, "ids": _ids, "overlay": _overlay, "panel": _panel}
    try:
        if args.command == "curves":
            _curves(args)
        else:
            labels = CELEBAMASK if args.classes is None else read_classes(args.classes)
            commands[args.command](args, labels)
    except (ValueError, OSError) as error:
        print(f"draw.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
