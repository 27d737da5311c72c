"""The words of ``prepare.py``: its subcommands, and which plan each of them makes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from face_parsing.preparation.celebamask_hq import plan_celebamask_hq
from face_parsing.preparation.copying import Plan, default_workers
from face_parsing.preparation.corrections import KEPT, Thresholds
from face_parsing.preparation.face_synthetics import plan_face_synthetics
from face_parsing.preparation.flipped import plan_flip
from face_parsing.preparation.grouped import plan_group
from face_parsing.preparation.layouts import LAYOUTS, ORDERS, plan_layout
from face_parsing.system.commands import (
    a_network,
    add_device,
    add_mask_ids,
    add_overwrite,
    add_subcommand,
    command_parser,
    positive,
)

if TYPE_CHECKING:
    from face_parsing.system.commands import Subcommands

OTHERS = "what another command left in the output"


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line. Exits for a wrong one. Subcommands that copy a data set have a ``plan`` of their arguments."""
    parser = command_parser(
        "prepare.py",
        "Bring a data set into the layout that training reads. A call that was interrupted goes on where it stopped "
        "when it is repeated; bad files are named and left out (exit status 1).",
    )
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    _add_copies(subcommands)
    _add_relabel(subcommands)
    _add_synthetic(subcommands)
    statistics = add_subcommand(
        subcommands, "statistics", "Mean and standard deviation of the training images",
        example="python src/prepare.py statistics --source data/mini --json figures.json",
    )  # fmt: skip
    _add_source(statistics)
    statistics.add_argument("--json", type=Path, help="also write the figures to this file")
    add_overwrite(statistics, "the file of --json")
    return parser.parse_args(argv)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", type=Path, required=True, help="folder to read; nothing in it is changed")
    parser.add_argument("--workers", type=positive, default=default_workers(), help="processes (one a core)")


def _add_copies(subcommands: Subcommands) -> None:
    """What reads a data set and writes it in another form."""

    def add(name: str, purpose: str, words: str, more: str, plan: Callable[[argparse.Namespace], Plan]
            ) -> argparse.ArgumentParser:  # fmt: skip
        example = f"python src/prepare.py {name} {words}"
        parser = add_subcommand(subcommands, name, purpose, example=example, more=more)
        _add_source(parser)
        parser.add_argument("--output", type=Path, required=True, help="folder for train/, val/ and test/; is created")
        parser.add_argument("--link", action="store_true", help="hard-link images that need no change, do not copy")
        add_overwrite(parser, OTHERS)
        parser.set_defaults(plan=plan)
        return parser

    celeba = add(
        "celebamask-hq",
        "The full CelebAMask-HQ, parts merged, in its official split",
        "--source CelebAMask-HQ --output data/full",
        "Reads CelebA-HQ-img/, CelebAMask-HQ-mask-anno/ and CelebA-HQ-to-CelebA-mapping.txt. Open track only.",
        lambda a: plan_celebamask_hq(a.source, a.output, size=a.size, mapping=a.mapping, link=a.link),
    )
    celeba.add_argument("--size", type=positive, default=512, help="width and height of images and masks (512)")
    celeba.add_argument("--mapping", type=Path, help="the mapping file, where it does not lie in the source")
    layout = add(
        "layout",
        "Pairs in other folders, or with ids in another order",
        "--source downloaded --output data/mini --order zllrunning",
        f"Reads {'; '.join(f'{images} with {masks}' for images, masks in LAYOUTS)} for SPLIT train, val and test.",
        lambda a: plan_layout(a.source, a.output, order=a.order, size=a.size, link=a.link, mask_ids=a.mask_ids),
    )
    layout.add_argument(
        "--order",
        default="celebamask",
        help=f"what the source's ids mean: {', '.join(ORDERS)}, or a YAML file with a list of names (celebamask)",
    )
    layout.add_argument("--size", type=positive, help="width and height of images and masks (as they are)")
    add_mask_ids(layout)
    group = add(
        "group",
        "A coarser copy, several classes in one",
        "--source data/mini --output data/six --classes configs/earlier/six_classes.yaml",
        "Training does not need it: it groups on the fly with data.classes. This is for other tools.",
        lambda a: plan_group(a.source, a.output, classes=a.classes, link=a.link, mask_ids=a.mask_ids),
    )
    group.add_argument(
        "--classes",
        type=Path,
        required=True,
        help="YAML: class to list of names, as configs/earlier/six_classes.yaml has it",
    )
    add(
        "face-synthetics",
        "FaceSynthetics, its classes mapped to ours",
        "--source dataset_1000 --output data/rendered",
        "All goes into train/. Open track only.",
        lambda a: plan_face_synthetics(a.source, a.output, link=a.link),
    )
    flip = add(
        "flip",
        "A copy with mirrored training pairs beside the originals",
        "--source data/mini --output data/flipped --link",
        "Training does not need it: it mirrors on the fly (augmentation.flip). This is for other tools.",
        lambda a: plan_flip(a.source, a.output, link=a.link, mask_ids=a.mask_ids),
    )
    add_mask_ids(group)
    add_mask_ids(flip)


def _add_relabel(subcommands: Subcommands) -> None:
    parser = add_subcommand(
        subcommands,
        "relabel",
        "A copy with training labels corrected where a trained network is sure",
        example="python src/prepare.py relabel --model_path outputs/checkpoints/best_model.pth --data data "
        "--output data/relabelled",
        more="Open track only.",
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--model_path", type=a_network, nargs="+", required=True, help="checkpoint; several are averaged"
    )
    files.add_argument("--data", type=Path, required=True, help="data set to correct; nothing in it is changed")
    files.add_argument("--val_stems", type=Path, help="pairs of train/ with these stems keep their labels")
    files.add_argument("--output", type=Path, required=True, help="folder of the corrected copy; it is created")
    add_overwrite(files, OTHERS)
    which = parser.add_argument_group("which labels are replaced")
    defaults = Thresholds()
    which.add_argument("--confidence", type=float, default=defaults.confidence, help="probability that replaces (0.9)")
    which.add_argument("--ignore", type=float, default=defaults.ignore, help="labels below it become 255 (0: none)")
    which.add_argument("--max_change", type=float, default=defaults.max_change, help="larger changes are left (0.1)")
    which.add_argument("--keep", nargs="*", default=list(KEPT), help=f"labels that stay ({' '.join(KEPT)})")
    which.add_argument("--tta", action="store_true", help="average over the checkpoint's scales and flip")
    add_device(which)


def _add_synthetic(subcommands: Subcommands) -> None:
    parser = add_subcommand(
        subcommands,
        "synthetic",
        "A data set of synthetic faces with masks of all 19 classes",
        example="python src/prepare.py synthetic --output data/demo --train 240 --val 40 --size 128",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to create, e.g. data/demo")
    parser.add_argument("--train", type=int, default=240, help="number of training pairs (240)")
    parser.add_argument("--val", type=int, default=40, help="number of validation pairs (40)")
    parser.add_argument("--test", type=int, default=8, help="number of test images (8)")
    parser.add_argument("--size", type=int, default=128, help="width and height in pixels (128)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other faces (0)")
