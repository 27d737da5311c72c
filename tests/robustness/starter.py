"""Starts trainings at once, for tests that kill them: a process that has imported all there is, and forks.

A test cannot fork its own process: threads, which torch has started for other tests, do not survive it. This one has
computed nothing and has none. It reads a line of JSON and answers with one:

    {"words": [...], "log": FILE, "first": SOURCE}  starts train.py with these words in a session of its own, where the
                                                    Python code SOURCE has run: its process id
    {"process": ID}                                 its exit code, minus the signal that ended it; null while it runs
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "src"))

import train
from face_parsing.training import run_folder


def start(words: list[str], log: str, first: str) -> int:
    """The id of a process that trains, and prints to the file log."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        os.setsid()
        for descriptor, path in enumerate((os.devnull, log, log)):  # in place of the pipes to the test
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND if descriptor else os.O_RDONLY
            os.dup2(os.open(path, flags), descriptor)
        exec(first, {})
        code = train.main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def answer(request: dict[str, Any], running: set[int]) -> int | None:
    """Do what one line asks for."""
    if "words" in request:
        process = start(request["words"], request["log"], request["first"])
        running.add(process)
        return process
    found, status = os.waitpid(request["process"], os.WNOHANG)
    if not found:
        return None
    running.remove(found)
    return os.waitstatus_to_exitcode(status)


def main() -> int:
    """Answer until the test closes the pipe; what still runs then is killed."""
    run_folder.plot_history = lambda *files: None  # drawing takes longer than the training
    running: set[int] = set()
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), running)), flush=True)
    for process in running:
        os.kill(process, signal.SIGKILL)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
