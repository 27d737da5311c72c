"""A submission's ``run.py``: one file, put together from the modules that inference itself uses."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from face_parsing import labels, sizes
from face_parsing.data import deep_photos, photos, raw_photos
from face_parsing.inference import predict
from face_parsing.models import BUILDERS, layers
from face_parsing.system.commands import UsageError

MAIN = '''
def main() -> int:
    """Write the mask of --input to --output: single-channel PNG, class ids 0 to 18, of the photo's own size."""
    parser = argparse.ArgumentParser(description="Face parsing: write the mask of a photo.")
    parser.add_argument("--input", required=True, help="photo")
    parser.add_argument("--output", required=True, help="PNG file to write")
    parser.add_argument("--weights", required=True, help="ckpt.pth")
    args = parser.parse_args()
    checkpoint = torch.load(args.weights, map_location="cpu", weights_only=True)
    arguments = {key: value for key, value in checkpoint["model"].items() if key != "name"}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = NETWORK(NUM_CLASSES, **arguments)
    model.load_state_dict(checkpoint["state_dict"])
    try:
        photo = read_photo(args.input)
    except PhotoError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2
    tta = checkpoint["tta"]
    masks = parse_photos(
        [prepare_model(model, device)],
        [photo],
        image_size=checkpoint["image_size"],
        scales=tta["scales"],
        flip=tta["flip"],
        device=device,
    )
    Image.fromarray(masks[0]).save(args.output, format="PNG")
    return 0


if __name__ == "__main__":
    sys.exit(main())
'''


PROJECT = __name__.split(".")[0]


class SubmissionError(ValueError):
    """A submission that the challenge would refuse; the message says why."""


def _split(source: str) -> tuple[list[ast.Import | ast.ImportFrom], str]:
    """The imports of a module other than those of the project, and its text without any; the docstring as a comment."""
    tree = ast.parse(source)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    dropped = {line for node in imports for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    docstring = ast.get_docstring(tree) or ""
    if docstring:
        dropped |= set(range(tree.body[0].lineno, (tree.body[0].end_lineno or 1) + 1))
    kept = [line for number, line in enumerate(source.splitlines(), 1) if number not in dropped]
    comment = "\n".join(f"# {line}".rstrip() for line in docstring.splitlines())
    foreign = [node for node in imports if isinstance(node, ast.Import) or not f"{node.module}".startswith(PROJECT)]
    return foreign, f"{comment}\n\n" + "\n".join(kept).strip()


def _defined(source: str) -> list[str]:
    """Names that a module defines at its top level."""
    names: list[str] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
    return names


def _merge_imports(nodes: Sequence[ast.Import | ast.ImportFrom]) -> str:
    """Each import once, ``from __future__`` first."""
    plain: set[str] = set()
    names: dict[str, set[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            plain |= {ast.unparse(ast.Import([alias])) for alias in node.names}
        else:
            names.setdefault(str(node.module), set()).update(ast.unparse(alias) for alias in node.names)
    future = names.pop("__future__", set())
    first = f"from __future__ import {', '.join(sorted(future))}\n\n" if future else ""
    froms = [f"from {module} import {', '.join(sorted(members))}" for module, members in sorted(names.items())]
    return first + "\n".join([*sorted(plain), *froms])


def check_network(name: str) -> None:
    """Raise SubmissionError where no run.py can be made for the network of that name."""
    known = [network for network in BUILDERS if network != "smp"]
    if name == "smp":
        raise SubmissionError(
            "A network of segmentation-models-pytorch cannot be submitted: run.py may need torch, numpy and Pillow "
            f"alone; train one of {', '.join(known)}."
        )
    if name not in known:
        raise SubmissionError(f"There is no network {name!r} to submit; choose one of {', '.join(known)}.")


def build_run_py(name: str) -> str:
    """The source of a run.py for the network of that name.

    It is labels.py, sizes.py, what reads photos, models/layers.py, the network's module and inference/predict.py.
    It needs torch, numpy and Pillow alone. Raises SubmissionError for an unknown name or a network that needs more.
    """
    check_network(name)
    network = sys.modules[BUILDERS[name].__module__]
    imports: list[ast.Import | ast.ImportFrom] = [ast.Import([ast.alias(word)]) for word in ("argparse", "sys")]
    parts: list[str] = []
    defined: list[str] = []
    modules = (labels, sizes, raw_photos, deep_photos, photos, layers, network, predict)
    for module in modules:
        source = inspect.getsource(module)
        own, text = _split(source)
        imports += own
        parts.append(f"# --- {module.__name__} ---\n#\n{text}")
        defined += _defined(source)
    twice = sorted({word for word in defined if defined.count(word) > 1})
    assert not twice, f"{', '.join(module.__name__ for module in modules)} define the same names: {twice}"
    head = '"""Face parsing of one photo: python3 run.py --input x.jpg --output y.png --weights ckpt.pth"""\n'
    main = MAIN.replace("NETWORK", BUILDERS[name].__name__)
    return "\n\n\n".join([f"{head}\n{_merge_imports(imports)}", *parts, main.strip("\n")]) + "\n"


def refuse_to_submit(content: Mapping[str, Any], path: Path) -> None:
    """Raise UsageError or SubmissionError where the challenge forbids the network of a checkpoint."""
    if content.get("track") != "challenge":
        raise UsageError(
            f"{path} was trained on the track {content.get('track')!r}, with what the challenge forbids; leave out "
            "--submission or name a checkpoint of the track 'challenge'."
        )
    check_network(content["model"].get("name", "unet"))
