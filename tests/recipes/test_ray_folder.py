"""recipes/ray_folder.py on a cluster of two workers: each photo once, one worker killed, a restart, shards."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_parsing import FaceParser
from face_parsing.data.photos import read_photo

pytestmark = pytest.mark.ray

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = 24

DYING = """
import os, signal, sys
from pathlib import Path
import ray_folder

class Dying(ray_folder.Worker):
    def parse(self, path):
        mark = self.output / "killed"
        if path.stem == "07" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().parse(path)

sys.exit(ray_folder.main(sys.argv[1:], worker=Dying))
"""


def started(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the recipe, or what else is named, to its end."""
    places = (str(ROOT / "src"), str(ROOT / "recipes"), os.environ.get("PYTHONPATH", ""))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of small photos, all different."""
    pytest.importorskip("ray")
    face = Image.fromarray(read_photo(ROOT / "docs" / "images" / "astronaut.jpg")).resize((96, 96))
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(PHOTOS):
        Image.fromarray(np.roll(np.array(face), 4 * i, axis=1)).save(folder / f"{i:02d}.png")
    return folder


def test_nothing_is_lost_when_a_worker_is_killed(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    (photos / "damaged.png").write_bytes(b"no photo")
    words = ["--input", str(photos), "--output", str(output), "--workers", "2", "--batch_size", "2"]
    done = started("-c", DYING, *words)
    assert (output / "killed").exists(), done.stderr
    assert done.returncode == 1, done.stderr
    assert "damaged.png: cannot be read as a photo" in done.stderr
    assert re.search(rf"^{PHOTOS + 1} of {PHOTOS + 1} files, {PHOTOS} photos, ", done.stdout, flags=re.M), done.stdout
    parser = FaceParser()
    assert sorted(path.name for path in (output / "masks").iterdir() if not path.name.startswith(".")) == [
        f"{i:02d}.png" for i in range(PHOTOS)
    ]
    for i in range(PHOTOS):
        with Image.open(output / "masks" / f"{i:02d}.png") as mask:
            np.testing.assert_array_equal(np.array(mask), parser(photos / f"{i:02d}.png").mask)

    gone = output / "masks" / "05.png"
    gone.unlink()
    (photos / "damaged.png").unlink()
    before = (output / "masks" / "06.png").stat().st_mtime_ns
    again = started(str(ROOT / "recipes" / "ray_folder.py"), *words)
    assert again.returncode == 0, again.stderr
    assert f"1 files to parse; {PHOTOS - 1} were there already" in again.stdout
    assert gone.exists()
    assert (output / "masks" / "06.png").stat().st_mtime_ns == before


def test_shards_become_shards(photos: Path, tmp_path: Path) -> None:
    shards, output = tmp_path / "shards", tmp_path / "out"
    shards.mkdir()
    for number in range(3):
        with tarfile.open(shards / f"{number}.tar", "w") as archive:
            for i in range(number, PHOTOS, 3):
                archive.add(photos / f"{i:02d}.png", f"{i:02d}.png")
    done = started(str(ROOT / "recipes" / "ray_folder.py"), "--input", str(shards), "--output", str(output))
    assert done.returncode == 0, done.stderr
    assert f"3 of 3 files, {PHOTOS} photos, " in done.stdout
    parser = FaceParser()
    for number in range(3):
        with tarfile.open(output / "masks" / f"{number}.tar") as archive:
            names = archive.getnames()
            assert names == [f"{i:02d}.png" for i in range(number, PHOTOS, 3)]
            for name in names:
                file = archive.extractfile(name)
                assert file is not None
                with Image.open(io.BytesIO(file.read())) as mask:
                    assert mask.mode == "P"
                    np.testing.assert_array_equal(np.array(mask), parser(photos / name).mask)
