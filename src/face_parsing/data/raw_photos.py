"""Files that Pillow opens as something else than they are. Copied into a submission's ``run.py``.

Cameras' raw files open as the small preview that they begin with.
"""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageFile

# How raw files begin that are no TIFF, or that say so in their first bytes.
RAW_HEADS = (
    (0, b"FUJIFILMCCD-RAW"), (0, b"FOVb"), (0, b"IIRO"), (0, b"IIRS"), (0, b"MMOR"), (0, b"IIU\0"), (0, b"\0MRM"),
    (4, b"ftypcrx "), (6, b"HEAPCCDR"), (8, b"CR\x02\0"),
)  # fmt: skip

SUBFILE_TYPE, WIDTH, HEIGHT, BITS_PER_SAMPLE, PLANES, SUB_IFDS, DNG_VERSION = 254, 256, 257, 258, 284, 330, 50706
REDUCED = 1  # in SUBFILE_TYPE: a smaller version of another picture of the file

INTERLEAVE = "it holds 16-bit color, one channel after the other; save it with interleaved channels, or as PNG"
DEVELOP = "export it as JPEG, PNG or TIFF with the camera's program, darktable or RawTherapee"


def begins_raw(head: bytes) -> bool:
    """Whether the first 32 bytes of a file are those of a camera's raw file."""
    return any(head[place : place + len(word)] == word for place, word in RAW_HEADS)


def raw_reason(image: ImageFile.ImageFile, head: bytes) -> str | None:
    """Why an opened file is not what it shows: a camera's raw file, or a TIFF that begins with a preview."""
    tags = tags_of(image)
    if begins_raw(head) or DNG_VERSION in tags:
        return f"it is a camera's raw file; {DEVELOP}"
    if has_deep_planes(image) and image.tile and image.tile[0][0] == "raw":  # Pillow 13.0 takes them for 8 bits
        return INTERLEAVE
    large = _larger(image, tags, head) if tags else None
    if large is None:
        return None
    small = f"{image.width}x{image.height}"
    return f"it begins with a preview of {small} of a picture of {large[0]}x{large[1]}, as raw files do; {DEVELOP}"


def tags_of(image: Image.Image) -> Any:
    """A TIFF's tags and their values; none for other formats."""
    return getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}


def has_deep_planes(image: ImageFile.ImageFile) -> bool:
    """Whether a TIFF holds more than 8 bits a sample, one channel after the other."""
    tags = tags_of(image)
    return tags.get(PLANES) == 2 and max(tags.get(BITS_PER_SAMPLE, (8,))) > 8 and len(image.getbands()) > 1


def _larger(image: ImageFile.ImageFile, tags: Any, head: bytes) -> tuple[int, int] | None:
    """The size of a picture of which a TIFF's first one is a small version. Pages and pyramids have none."""
    inner = tags.get(SUB_IFDS, ())
    places = list(inner) if isinstance(inner, tuple) else [inner]
    if tags.get(SUBFILE_TYPE, 0) & REDUCED and tags.next:
        places.append(tags.next)
    sizes = [size for place in places if isinstance(place, int) and (size := _size_at(image, head, place))]
    largest = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return largest if largest[0] * largest[1] > image.width * image.height else None


def _size_at(image: ImageFile.ImageFile, head: bytes, place: int) -> tuple[int, int] | None:
    """Width and height of the picture whose tags begin at that byte, or None where none can be read."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2  # takes its milliseconds, and is loaded once it comes to this

    assert image.fp is not None
    before = image.fp.tell()
    try:
        tags = ImageFileDirectory_v2(head[:8])
        image.fp.seek(place)
        tags.load(image.fp)
        return int(tags[WIDTH]), int(tags[HEIGHT])
    except Exception:  # a damaged preview is no reason to refuse the picture
        return None
    finally:
        image.fp.seek(before)
