"""Configs that nobody should trust, each with what must become of it."""

from __future__ import annotations

from collections.abc import Iterator

from hostile_case import Case, folder_named, link_named, written


def _yaml_laughs() -> bytes:
    lines = ["a0: &a0 [lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    return "\n".join(lines).encode()


def _yaml_merges() -> bytes:
    lines = ["a0: &a0 {k: 1, l: 2}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
    return "\n".join(lines).encode()


_CONFIGS: dict[str, tuple[bytes, str]] = {
    "aliases ten times over": (_yaml_laughs(), "holds more than 10,000 values"),
    "merges ten times over": (_yaml_merges(), "holds more than 10,000 values"),
    "a list in itself": (b"data: &d [*d]", "nested more than 30 deep, or inside itself"),
    "a mapping in itself": (b"&d data: &e {root: x, more: *e}", "nested more than 30 deep, or inside itself"),
    "a key that is itself": (b"? &a [*a]\n: 1", "nested more than 30 deep, or inside itself"),
    "an object": (b"run: !!python/object/apply:os.mkdir ['code-was-run']", "not valid YAML.*python/object"),
    "an object by name": (b"run: !!python/name:os.system", "not valid YAML"),
    "a module": (b"run: !!python/module:os", "not valid YAML"),
    "an own tag": (b"run: !run {seed: 1}", "not valid YAML"),
    "brackets 2000 deep": (b"[" * 2000, "nested too deeply|not valid YAML"),
    "brackets 100 deep": (b"data: " + b"[" * 100 + b"]" * 100, "nested more than 30 deep"),
    "mappings 900 deep": (b"{a: " * 900 + b"1" + b"}" * 900, "nested"),
    "more than a megabyte": (b"# " + b"x" * 2_000_000, "has more than 100,000 characters"),
    "6000 keys": (b"\n".join(b"k%d: 1" % i for i in range(6_000)), "holds more than 10,000 values"),
    "a number of 5000 digits": (b"run: {seed: " + b"9" * 5000 + b"}", "cannot be used: Exceeds the limit"),
    "a number of 9000 hex digits": (b"run: {seed: 0x" + b"f" * 9000 + b"}", "cannot be used: Exceeds the limit"),
    "a number of 30 digits": (b"run: {seed: " + b"9" * 30 + b"}", r"run\.seed = 9+: input should be less than"),
    "an empty whole number": (b"run: {seed: !!int ''}", "cannot be used"),
    "a wrong truth": (b"run: {seed: !!bool maybe}", "cannot be used"),
    "a wrong time": (b"run: {seed: !!timestamp x}", "cannot be used"),
    "no such day": (b"run: {seed: 2001-99-99}", "cannot be used: month must be in 1..12"),
    "a day for a key": (b"2001-01-01: 1", "cannot be used"),
    "a list for a key": (b"? [a]\n: 1", "not valid YAML"),
    "half a surrogate": (b'run: {output: "\\ud800"}', "half of a surrogate pair"),
    "binary for text": (b"run: {output: !!binary aGk=}", ""),
    "a set": (b"run: {seed: !!set {1, 2}}", "run.seed"),
    "nan": (b"optimizer: {lr: .nan}", r"optimizer\.lr"),
    "infinity": (b"optimizer: {lr: .inf}", r"optimizer\.lr"),
    "1e999": (b"optimizer: {lr: 1e999}", r"optimizer\.lr"),
    "image size of 10**9": (b"schedule: {stages: [{image_size: 1000000000, epochs: 3}]}", "image_size"),
    "a section that is a list": (b"run: [1]", "run"),
    "a section that is nothing": (b"run:", "run"),
    "a name that is a mapping": (b"model: {name: {a: b}}", r"model\.name"),
    "no text": (bytes(range(256)), "not a UTF-8 text file|not valid YAML"),
    "zeros": (bytes(1000), "not valid YAML"),
    "two documents": (b"run: {seed: 1}\n---\nrun: {seed: 2}", "not valid YAML"),
    "another encoding": ("run: {seed: 1}".encode("utf-16"), "not a UTF-8 text file|not valid YAML"),
    "tabs": (b"run:\n\tseed: 1", "not valid YAML"),
    "keys twice": (b"run: {seed: 1, seed: 2}", "'seed' is given twice"),
    "a key of the class": (b"__class__: {a: 1}", "unknown key"),
    "nothing": (b"", ""),
}


def configs() -> Iterator[Case]:
    """Configs."""
    for name, (data, expected) in _CONFIGS.items():
        yield Case(name, written("c.yaml", data), expected)
    yield Case("a device without end", link_named("c.yaml", "/dev/zero"), "has more than 100,000|not valid YAML")
    yield Case("a folder", folder_named("c.yaml"), "cannot be read")
    yield Case("nothing there", lambda folder: folder / "c.yaml", "cannot be read")
