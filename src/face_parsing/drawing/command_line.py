"""The words of ``draw.py``: its subcommands and their options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from face_parsing.drawing.kaggle import HEADER, LARGEST_SIZE, SIZE
from face_parsing.drawing.label_studio import PREFIX, Kind
from face_parsing.system.commands import add_mask_ids, add_overwrite, add_subcommand, command_parser, positive


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _size(text: str) -> int:
    value = int(text)
    if not 1 <= value <= LARGEST_SIZE:
        raise argparse.ArgumentTypeError(f"{text} is not within 1 to {LARGEST_SIZE}")
    return value


def _plain_name(text: str) -> str:
    if not text or Path(text).name != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no plain name")
    return text


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits for a wrong one."""
    parser = command_parser(
        "draw.py", "Draw masks, photos under their masks and the curves of trainings, and convert masks."
    )
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")

    def add(name: str, purpose: str, output: str, words: str, aliases: Sequence[str] = ()) -> argparse.ArgumentParser:
        example = f"python src/draw.py {name} {words}"
        sub = add_subcommand(subcommands, name, purpose, example=example, aliases=aliases)
        sub.add_argument("--output", type=Path, required=True, help=output)
        add_overwrite(sub)
        return sub

    masks = "--input data/val/masks --output colors"
    color = add("color", "Masks of class ids to RGB pictures in the standard palette", "folder for <name>.png",
                masks, ["colour"])  # fmt: skip
    color.add_argument("--input", type=Path, required=True, help="a mask, or a folder of them")

    ids = add("ids", "Pictures in the palette's colors back to masks of class ids", "folder for <name>.png",
              "--input colors --output masks")  # fmt: skip
    ids.add_argument("--input", type=Path, required=True, help="a color picture, or a folder of them")
    ids.add_argument("--nearest", action="store_true", help="take the nearest color, as for JPEGs")
    ids.add_argument("--labelmap", type=Path, help="labelmap.txt of VOC or CVAT: which color is which class")

    pair = "--images data/val/images --masks data/val/masks"
    overlay = add("overlay", "Photos under their masks' colors, with a legend", "folder for <name>.jpg",
                  f"{pair} --output overlays")  # fmt: skip
    overlay.add_argument("--images", type=Path, required=True, help="a photo, or a folder of them")
    overlay.add_argument("--masks", type=Path, required=True, help="its mask, or the folder of masks of the same names")
    overlay.add_argument("--alpha", type=_share, default=0.5, help="share of the color (0.5)")

    panel = add("panel", "Several masks of the same faces side by side", "PNG or JPEG file",
                f"{pair} parsed/masks --output panel.png")  # fmt: skip
    panel.add_argument("--images", type=Path, help="a photo, or a folder of them, for the first column")
    panel.add_argument("--masks", type=Path, nargs="+", required=True, help="masks, or folders of them: a column each")
    panel.add_argument("--titles", nargs="+", help="of the columns of --masks (their folders' names)")
    panel.add_argument("--stems", nargs="+", help="the faces to show, by name without suffix")
    panel.add_argument("--faces", type=positive, default=8, help="without --stems, the first so many (8)")

    for sub in (color, ids, overlay, panel):
        sub.add_argument("--classes", type=Path, help="YAML of a coarser task whose ids the masks hold")
    for sub in (color, overlay, panel):
        add_mask_ids(sub)

    curves = add("curves", "F-Score and loss of several runs in one figure", "PNG, PDF or SVG file",
                 "outputs/first outputs/second --output curves.png")  # fmt: skip
    curves.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder, or its history.csv")
    curves.add_argument("--x", choices=("epochs", "minutes"), default="epochs", help="along epochs (default) or time")

    to_kaggle = add("to-kaggle", "A folder of masks to a Kaggle course's CSV of run lengths", "CSV file",
                    "--masks parsed/masks --output submission.csv")  # fmt: skip
    to_kaggle.add_argument("--usage", default="Public", help="what the column Usage says (Public)")
    from_kaggle = add("from-kaggle", "A Kaggle course's CSV of run lengths to a folder of masks",
                      "folder for <name>.png", "--csv submission.csv --names parsed/masks --output masks")  # fmt: skip
    from_kaggle.add_argument("--csv", type=Path, required=True, help="CSV with the header " + ",".join(HEADER))
    from_kaggle.add_argument("--names", type=Path, help="folder or list of the images' names, in order (0, 1, ...)")
    to_ids = add("to-ids", "Masks with a palette to the plain id PNGs of mmsegmentation",
                 "folder for <name>.png", "--masks parsed/masks --output ids")  # fmt: skip
    for sub in (to_kaggle, to_ids):
        sub.add_argument("--masks", type=Path, required=True, help="folder of PNG masks, ids 0 to 18")
        add_mask_ids(sub)
    coco = add("to-coco", "A folder of masks to a COCO JSON, one annotation for each class of an image", "JSON file",
               "--masks parsed/masks --output instances.json")  # fmt: skip
    voc = add("to-voc", "A folder of masks to Pascal VOC's folders, with its palette and labelmap.txt", "folder",
              f"{pair} --output VOCdevkit/VOC2012")  # fmt: skip
    voc.add_argument("--subset", default="train", type=_plain_name, help="ImageSets/Segmentation/SUBSET.txt (train)")
    studio = add("to-label-studio", "Photos and masks to Label Studio's tasks with brush regions", "folder",
                 "--images photos --masks parsed/masks --output tasks")  # fmt: skip
    studio.add_argument("--kind", choices=get_args(Kind), default="predictions", help="what regions become")
    studio.add_argument("--prefix", default=PREFIX, help=f"what each photo's address begins with ({PREFIX})")
    for sub in (coco, voc, studio):
        sub.add_argument("--masks", type=Path, required=True, help="folder of masks")
        sub.add_argument("--images", type=Path, required=sub is studio, help="folder of their photos, by name")
        sub.add_argument("--classes", type=Path, help="YAML of a coarser task whose ids the masks hold")
        add_mask_ids(sub)
    for sub in (to_kaggle, from_kaggle):
        sub.add_argument("--size", type=_size, default=SIZE, help=f"height and width of the CSV's masks ({SIZE})")
    return parser.parse_args(argv)
