"""Look a data set over before training on it: ``python src/audit.py --root data``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from face_parsing.audit.inspection import SPLITS
from face_parsing.audit.report import REPORT_FILES, write_report
from face_parsing.audit.summary import audit, readable
from face_parsing.data.mask_palettes import IdRule
from face_parsing.data.provenance import broken_rule, labels_of_set
from face_parsing.preparation.repaired import check_repair, write_repaired
from face_parsing.system.commands import (
    UsageError,
    add_mask_ids,
    add_overwrite,
    command,
    command_parser,
    positive,
    refuse_existing,
)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits for a wrong one."""
    parser = command_parser(
        "audit.py",
        "Report what a data set holds and what is wrong or odd about it, in words, pictures and tables.",
        example="python src/audit.py --root data --val_stems data/val.txt --output outputs/audit",
    )
    data = parser.add_argument_group("what is looked at")
    data.add_argument("--root", type=Path, default=Path("data"), help="folder with train/, val/, dev/, test/ (data)")
    data.add_argument("--val_stems", type=Path, help="file with the stems of train/ that are validated on")
    add_mask_ids(data)
    out = parser.add_argument_group("what is written")
    out.add_argument("--output", type=Path, default=Path("outputs/audit"), help="folder (outputs/audit)")
    out.add_argument("--worst", type=positive, default=20, help="how many of the oddest masks to show (20)")
    out.add_argument(
        "--repair",
        type=Path,
        metavar="FOLDER",
        help="also write a copy with left and right of mirrored masks swapped back, val's too",
    )
    add_overwrite(out, "an older report and an older repaired copy")
    return parser.parse_args(argv)


@command("audit.py")
def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns 0; 1 where it found what training refuses; 2 after one sentence on stderr."""
    args = parse_arguments(argv)
    started = time.perf_counter()
    if args.output.is_file():
        raise UsageError(f"--output {args.output} is a file; name a folder.")
    refuse_existing([args.output / name for name in REPORT_FILES], overwrite=args.overwrite)
    if args.repair is not None:
        check_repair(args.root, args.repair, overwrite=args.overwrite)
        broken_rule(args.root)  # so that a provenance.json that cannot be read is told before the work
    rule = IdRule(mask_ids=args.mask_ids, palette=labels_of_set(args.root).palette)
    report, faces, oddness = audit(args.root, val_stems=args.val_stems, worst=args.worst, rule=rule)
    print(readable(report))
    write_report(report, faces, oddness, args.output, rule)
    print(f"\nwrote {args.output / 'audit.json'} and its pictures, {time.perf_counter() - started:.0f} s in all")
    if args.repair is not None:
        call = ["audit.py", *(sys.argv[1:] if argv is None else argv)]
        swapped = {face.mask for face in faces if face.mask and face.mask_facts and face.mask_facts.mirrored}
        pairs = sum(face.image is not None and face.mask is not None for face in faces)
        write_repaired(args.root, SPLITS, swapped, args.repair, pairs=pairs, command=call, rule=rule)
        print(f"wrote {args.repair}, a copy with {len(swapped)} masks whose left and right were swapped back")
    return 1 if report["problems"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
