"""What is found out while a DAG file is read, beside what Airflow's parser tells: old names, and the files that were read on the way.

It travels in the parser's list of warnings, as one object with the key `tradewind`.
"""

import importlib.util
import os
import sys

from tradewind_bridge import deadline, notices, plugins

MOST_FILES = 1_000


def install(processor):
    read = processor._parse_file

    def parse_file(request, log):
        asked = plugins.question()
        if asked is not None:
            found = {"old": [], "read": [], "answer": plugins.answer(asked)}
            return processor.DagFileParsingResult(
                fileloc=os.fspath(request.file), serialized_dags=[], warnings=[{"tradewind": found}]
            )
        called = deadline.asked()
        if called is not None:
            return deadline.call(called, request, log)
        files, last = watch(os.fspath(request.bundle_path)), plugins.last_runs()
        result = read(request, log)
        if result is not None:
            plugins.ask(result, last)
            found = {"old": notices.told(), "read": list(files.values())}
            result.warnings = [*(result.warnings or []), {"tradewind": found}]
        return result

    processor._parse_file = parse_file


def watch(folder):
    """Files below a folder that are opened to be read from now on, by path, with what they looked like just before.

    Without those that are written, too: a file would never be read to its end if what it writes were a reason to read it again.
    """
    files, written, root = {}, set(), os.path.join(folder, "")

    def hook(event, args):
        if event != "open" or not isinstance(args[0], str):
            return
        path = os.path.abspath(args[0])
        if not path.startswith(root):
            return
        if writes(*args[1:3]):
            written.add(path)
            files.pop(path, None)
            return
        try:
            if path.endswith(".pyc"):
                # Python looked at the source before it took what it had made of it.
                path = importlib.util.source_from_cache(path)
            about = os.stat(path)
        except (OSError, ValueError):
            return
        if path not in written and len(files) < MOST_FILES:
            files.setdefault(path, {"path": path, "modified": about.st_mtime_ns, "length": about.st_size})

    sys.addaudithook(hook)
    return files


def writes(mode, flags):
    if isinstance(mode, str):
        return not mode.startswith("r") or "+" in mode
    return bool(flags & (os.O_WRONLY | os.O_RDWR))
