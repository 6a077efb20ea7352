"""What is told about a DAG file that uses names of older versions of Airflow: at most once for each place, and never as an error."""

import sys

# Whose code stands between the file and us.
BETWEEN = ("importlib", "tradewind_bridge", "airflow", "attr", "functools")
MOST = 100

_told = {}


def tell(text):
    """Notes that the file at work uses something old."""
    file, line = place()
    if len(_told) < MOST:
        _told.setdefault((file, line, text))


def place():
    """The innermost line of code that is neither Python's nor Airflow's nor ours."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.split(".")[0] not in BETWEEN and "frozen importlib" not in frame.f_code.co_filename:
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return "", 0


def told():
    """All of it, as `{"file", "line", "text"}` in the order of telling."""
    return [{"file": file, "line": line, "text": text} for file, line, text in _told]
