"""The configuration: frozen sections, filled from defaults < YAML file < ``--set section.key=value``.

Pydantic checks it: unknown keys, wrong types and impossible values are collected over the whole configuration and
reported in one ``ConfigError``, each with its key, its value and what is allowed. This module does not import torch.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from face_parsing.config.data import ExternalData
from face_parsing.config.networks import NETWORKS
from face_parsing.config.optimization import Schedule, Stage
from face_parsing.config.renamed import RENAMED, current_key, keys_of, with_current_names
from face_parsing.config.sections import Config

# Of a YAML text, far beyond any that is meant.
MOST_CHARACTERS = 100_000
MOST_VALUES = 10_000
DEEPEST = 30


class ConfigError(ValueError):
    """Everything that is wrong with a configuration, one line a key."""


class _Loader(yaml.SafeLoader):
    """YAML whose 6e-4 is a number, as YAML 1.2 has it, and whose repeated key is an error.

    ruamel.yaml does both, but it is one more dependency, reads the ``yes`` of saved configs as text, and knows no end
    either: a list in itself, or one that stands in another ten times over, must be found out here.
    """

    def get_single_node(self) -> yaml.Node | None:
        """The text's tree, whose branches may grow together. Raises YAMLError for one far beyond what is meant."""
        root: yaml.Node | None = super().get_single_node()  # type: ignore[no-untyped-call]
        waiting, values = [(root, 0)] if root is not None else [], 0
        while waiting:  # one in itself has no end, so that it ends at a limit
            node, depth = waiting.pop()
            values += 1
            if depth > DEEPEST:
                raise yaml.YAMLError(f"it is nested more than {DEEPEST} deep, or inside itself")
            if values > MOST_VALUES:
                raise yaml.YAMLError(f"it holds more than {MOST_VALUES:,} values, aliases resolved")
            if isinstance(node, yaml.MappingNode):
                waiting += [(inner, depth + 1) for pair in node.value for inner in pair]
            elif isinstance(node, yaml.SequenceNode):
                waiting += [(inner, depth + 1) for inner in node.value]
        return root

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        plain = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        seen: set[Any] = set()
        for key in plain:
            name = self.construct_object(key, deep=True)  # type: ignore[no-untyped-call]
            if isinstance(name, Hashable) and name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is given twice", node.start_mark)
            if isinstance(name, Hashable):
                seen.add(name)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes text that _Loader would read as a number."""


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
    )

_ADAPTER = TypeAdapter(Config)


def parse_yaml(text: str, source: str) -> Any:
    """The values in a YAML text, as plain containers. Raises ConfigError that begins with source."""
    try:
        if len(text) > MOST_CHARACTERS:
            raise ConfigError(f"{source} has more than {MOST_CHARACTERS:,} characters; it cannot be meant.")
        return yaml.load(text, Loader=_Loader)
    except ConfigError:
        raise
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{source} is not valid YAML: it is nested too deeply.") from None
    except Exception as error:  # '!!int x' and '2001-99-99' make the reader raise anything at all
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{source} cannot be used: {reason}.") from None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
    except OSError as error:
        looked = "" if path.is_absolute() else f" (looked for at {path.absolute()})"
        raise ConfigError(f"The config file {path} cannot be read: {error.strerror}{looked}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The config file {path} is not a UTF-8 text file.") from None
    values = parse_yaml(text, f"The config file {path}")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"The config file {path} holds a {type(values).__name__}; it needs sections such as 'data:'.")
    return values


def _merge(base: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extra.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _set(values: dict[str, Any], override: str) -> list[str]:
    """Put one ``section.key=value`` into values; a number in the path picks an entry of a list.

    Returns a note on each old name that it has.
    """
    path, equals, text = override.partition("=")
    given = path.strip().split(".")
    keys = current_key(given)
    if len(keys) > DEEPEST:
        raise ConfigError(f"--set {override[:50]}...: the key has {len(keys)} parts; none has more than a few.")
    if not equals or not all(given):
        raise ConfigError(f"--set {override}: write it as section.key=value, for example optimizer.lr=3e-3.")
    value = parse_yaml(text, f"--set {override}: the value")
    try:
        value, notes = with_current_names(value, ".".join(key for key in keys if not key.isdecimal()))
    except ValueError as error:
        raise ConfigError(f"--set {override}: {error}.") from None
    if keys != given:
        notes.append(f"{'.'.join(given)} is called {'.'.join(keys)} now")
    place: Any = values
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        where = ".".join(keys[:depth])
        if isinstance(place, list):
            if not key.isdecimal() or int(key) >= len(place):
                entries = f"the entries 0 to {len(place) - 1}, not {key!r}" if place else "no entries; set all of it"
                raise ConfigError(f"--set {override}: {where} has {entries}.")
            if last:
                place[int(key)] = value
            else:
                place = place[int(key)]
        elif isinstance(place, dict):
            if last:
                place[key] = value
            else:
                place = place.setdefault(key, {})
        else:
            raise ConfigError(f"--set {override}: {where} is a value, not a section.")
    return notes


def _known_keys(location: Sequence[str | int]) -> list[str]:
    """The fields of the section at location, which may run through lists; the model's name follows on model."""
    section: Any = Config
    for key in location:
        if section is NETWORKS:
            section = NETWORKS[str(key)]
        elif section is Config and key == "model":
            section = NETWORKS
        elif isinstance(key, int):  # an entry of the only two lists of sections
            section = Stage if section is Schedule else ExternalData
        else:
            field = {f.name: f for f in dataclasses.fields(section)}.get(key)
            if field is None:
                return []
            default = field.default
            section = type(default) if dataclasses.is_dataclass(default) else section
    return [f.name for f in dataclasses.fields(section)]


def _of_sections(key: str) -> list[str]:
    """The whole names of keys that are called so in their section, by their current name or an old one."""
    wanted = {key, *(new for old, new in RENAMED.items() if old.rpartition(".")[2] == key)}
    return [".".join(keys) for keys in keys_of(Config().to_dict(), []) if keys and keys[-1] in wanted]


def _sentence(error: Mapping[str, Any]) -> str:
    location = error["loc"]
    # What pydantic puts behind model is the network that was chosen, no key.
    network = location[1] if location[:1] == ("model",) and len(location) > 1 else None
    keys = ("model", *location[2:]) if network else location
    name = ".".join(str(part) for part in keys)
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        *most, last = (f"'{known}'" for known in NETWORKS)
        given = json.dumps(error["input"]["name"], default=str)
        return f"model.name = {given}: input should be {', '.join(most)} or {last}"
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = _known_keys(location[:-1])
        close = _of_sections(str(location[-1])) if len(location) == 1 else []
        close = close or difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        section = ".".join(str(part) for part in keys[:-1]) or "the config"
        if network and section == "model":
            section = f"model ({network})"
        return f"{name}: unknown key.{hint} Known in {section}: {', '.join(known)}"
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if error["type"] == "value_error":  # a rule over several keys, which names them itself
        return f"{name}: {message}" if name else message
    if error["type"] == "missing":
        return f"{name}: this key is required"
    message = message[:1].lower() + message[1:]
    return f"{name} = {json.dumps(error['input'], default=str)}: {message}"


def from_dict(values: Mapping[str, Any]) -> Config:
    """The config of plain nested containers. Raises ConfigError with all that is wrong."""
    try:
        # JSON is the strict mode in which a list may stand for a tuple and nothing else may change its type.
        text = json.dumps(values, default=str, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ConfigError("The configuration holds a lone half of a surrogate pair, which is no character.") from None
    except (ValueError, TypeError) as error:  # a key that is a date, for example
        raise ConfigError(f"The configuration cannot be used: {error}.") from None
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        lines = [_sentence(dict(item)) for item in error.errors()]
        raise ConfigError("The configuration is wrong:\n  " + "\n  ".join(lines)) from None


def _defaults(file_values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The config's defaults, with those of the network that file and overrides choose."""
    section = file_values.get("model")
    name = section.get("name") if isinstance(section, dict) else None
    for override in overrides:
        key, _, text = override.partition("=")
        if key.strip() == "model.name":
            name = parse_yaml(text, f"--set {override}: the value")
    network = NETWORKS.get(name) if isinstance(name, str) else None
    return (Config(model=network()) if network else Config()).to_dict()


def _refuse_two_names(overrides: Sequence[str]) -> None:
    """Raise ConfigError where one key is set by its old name and by its new one: which of them is meant, is unknown.

    Each may stand inside the value of a section. The overrides are such as ``_set`` takes.
    """
    given: dict[tuple[str, ...], str] = {}
    for override in overrides:
        path, _, text = override.partition("=")
        value = parse_yaml(text, f"--set {override}: the value")
        for keys in keys_of(value, path.strip().split(".")):
            name, new = ".".join(keys), tuple(current_key(keys))
            other = given.setdefault(new, name)
            if other != name:
                old, current = (name, other) if name != ".".join(new) else (other, name)
                raise ConfigError(f"--set {old} is the old name of {current}, and both are set; keep the new one.")


def load_config(path: Path | None = None, overrides: Iterable[str] = (), *, announce: bool = True) -> Config:
    """Defaults < the YAML file at path < overrides such as ``"optimizer.lr=3e-3"``.

    With ``announce``, a line on stderr answers each old name of a key by the new one.

    Raises ConfigError with everything that is wrong, one line a key.
    """
    file_values = _read_file(path) if path is not None else {}
    try:
        file_values, notes = with_current_names(file_values)
    except ValueError as error:
        raise ConfigError(f"The config file {path}: {error}.") from None
    overrides = list(overrides)
    values = _merge(_defaults(file_values, overrides), file_values)
    for override in overrides:
        notes += _set(values, override)
    _refuse_two_names(overrides)
    if announce:
        for note in dict.fromkeys(notes):
            print(f"Config: {note}.", file=sys.stderr)
    return from_dict(values)


def save_config(config: Config, path: Path) -> None:
    """Write the resolved config as YAML, readable by ``load_config``."""
    path.write_text(yaml.dump(config.to_dict(), Dumper=_Dumper, sort_keys=False), encoding="utf-8")
