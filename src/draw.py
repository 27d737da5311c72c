"""Pictures of masks and runs, and masks in the formats of other projects: ``python src/draw.py SUBCOMMAND ...``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from face_parsing.config.classes import read_classes
from face_parsing.data.mask_palettes import IdRule
from face_parsing.data.provenance import labels_of_masks
from face_parsing.drawing.coco import write_coco
from face_parsing.drawing.command_line import parse_arguments
from face_parsing.drawing.conversions import kaggle_to_masks, masks_to_ids, masks_to_kaggle
from face_parsing.drawing.folders import color_masks, ids_of_pictures, overlay_photos, panel_of_masks
from face_parsing.drawing.label_studio import write_label_studio
from face_parsing.drawing.labelled import labelled_in
from face_parsing.drawing.matching import refuse_replacing
from face_parsing.drawing.plots import FORMATS, find_histories, plot_runs
from face_parsing.drawing.voc import read_labelmap, write_voc
from face_parsing.labels import CELEBAMASK, NUM_CLASSES, LabelSet
from face_parsing.system.commands import UsageError, command, refuse_existing
from face_parsing.system.wording import count_of


def _labels(args: argparse.Namespace) -> LabelSet:
    return CELEBAMASK if args.classes is None else read_classes(args.classes)


def _labels_of(args: argparse.Namespace, masks: Path) -> LabelSet:
    """The classes of --classes, else those of the prepared set that the masks lie in."""
    return labels_of_masks(masks) if args.classes is None else read_classes(args.classes)


def _rule(args: argparse.Namespace, masks: Path) -> IdRule:
    """How the masks of a file or folder are read: by the colors of --classes, else of the set that they lie in."""
    classes = getattr(args, "classes", None)
    labels = labels_of_masks(masks) if classes is None else read_classes(classes)
    return IdRule(mask_ids=args.mask_ids, palette=labels.palette)


def _color(args: argparse.Namespace) -> None:
    count = color_masks(args.input, args.output, _labels(args), rule=_rule(args, args.input), overwrite=args.overwrite)
    print(f"wrote {count_of(count, 'picture')} to {args.output}")


def _ids(args: argparse.Namespace) -> None:
    labels = _labels(args)
    colors = None if args.labelmap is None else read_labelmap(args.labelmap, labels)
    guessed = ids_of_pictures(
        args.input, args.output, labels, colors=colors, nearest=args.nearest, overwrite=args.overwrite
    )
    print(f"wrote {count_of(len(guessed), 'picture')} to {args.output}")
    if max(guessed) > 0:
        print(f"{np.mean(guessed):.1%} of the pixels were of no exact color, up to {max(guessed):.1%} in a picture")


def _overlay(args: argparse.Namespace) -> int:
    count, left_out = overlay_photos(
        args.images,
        args.masks,
        args.output,
        _labels(args),
        alpha=args.alpha,
        rule=_rule(args, args.masks),
        overwrite=args.overwrite,
    )
    all_of_them = count_of(count + left_out, "picture")
    print(f"wrote {f'{count} of ' if left_out else ''}{all_of_them} to {args.output}")
    return 1 if left_out else 0


def _panel(args: argparse.Namespace) -> int:
    shown, count, left_out = panel_of_masks(
        args.images, args.masks, args.output, _labels(args),
        titles=args.titles, stems=args.stems, faces=args.faces, rule=_rule(args, args.masks[0]),
        overwrite=args.overwrite,
    )  # fmt: skip
    print(f"wrote {args.output}: {shown} of {count_of(count + left_out, 'face')}")
    return 1 if left_out else 0


def _curves(args: argparse.Namespace) -> None:
    if args.output.suffix.lower() not in FORMATS:
        raise UsageError(f"--output {args.output}: the name must end in {', '.join(FORMATS)}.")
    histories = find_histories(args.runs)
    refuse_replacing([args.output], list(histories.values()), overwrite=args.overwrite)
    plot_runs(histories, args.output, minutes=args.x == "minutes")
    print(f"wrote {args.output}")


def _to_kaggle(args: argparse.Namespace) -> None:
    count = masks_to_kaggle(
        args.masks,
        args.output,
        usage=args.usage,
        size=args.size,
        rule=_rule(args, args.masks),
        overwrite=args.overwrite,
    )
    print(f"wrote {count * NUM_CLASSES} rows of {count_of(count, 'image')} to {args.output}")


def _from_kaggle(args: argparse.Namespace) -> None:
    count = kaggle_to_masks(args.csv, args.output, names=args.names, size=args.size, overwrite=args.overwrite)
    print(f"wrote {count_of(count, 'mask')} to {args.output}")


def _to_ids(args: argparse.Namespace) -> None:
    count = masks_to_ids(args.masks, args.output, rule=_rule(args, args.masks), overwrite=args.overwrite)
    print(f"wrote {count_of(count, 'mask')} to {args.output}")


def _to_coco(args: argparse.Namespace) -> None:
    refuse_existing([args.output], overwrite=args.overwrite)
    masks, labels = labelled_in(args.masks, args.images), _labels_of(args, args.masks)
    images, annotations = write_coco(masks, args.output, labels, rule=_rule(args, args.masks))
    print(f"wrote {count_of(annotations, 'annotation')} of {count_of(images, 'image')} to {args.output}")


def _to_voc(args: argparse.Namespace) -> None:
    masks, labels = labelled_in(args.masks, args.images), _labels_of(args, args.masks)
    rule = _rule(args, args.masks)
    count = write_voc(masks, args.output, labels, subset=args.subset, rule=rule, overwrite=args.overwrite)
    print(f"wrote {count_of(count, 'mask')} to {args.output}")


def _to_label_studio(args: argparse.Namespace) -> None:
    masks, labels = labelled_in(args.masks, args.images), _labels_of(args, args.masks)
    rule = _rule(args, args.masks)
    count = write_label_studio(
        masks, args.output, labels, kind=args.kind, prefix=args.prefix, rule=rule, overwrite=args.overwrite
    )
    print(f"wrote {count_of(count, 'task')} to {args.output}")


RUNS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "color": _color,
    "colour": _color,
    "ids": _ids,
    "overlay": _overlay,
    "panel": _panel,
    "curves": _curves,
    "to-kaggle": _to_kaggle,
    "from-kaggle": _from_kaggle,
    "to-ids": _to_ids,
    "to-coco": _to_coco,
    "to-voc": _to_voc,
    "to-label-studio": _to_label_studio,
}


@command("draw.py")
def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0; 1 where faces were left out of what is drawn; 2 after a sentence on stderr."""
    args = parse_arguments(argv)
    return RUNS[args.subcommand](args) or 0


if __name__ == "__main__":
    raise SystemExit(main())
