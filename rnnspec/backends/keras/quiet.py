"""Import Keras without the log lines of TensorFlow."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rnnspec.backends.quiet import held_back_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Of absl since TensorFlow 2.19, and of TensorFlow itself before. absl heeds no variable.
_LOG_LINE = re.compile(
    r"(?:WARNING: All log messages before absl::InitializeLog\(\) is called"
    r"|[IWE]\d{4} \d\d:\d\d:\d+\.\d+ "
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] (?:external|tensorflow)/"
    r"|To enable the following instructions: ).*\n?"
)


@contextmanager
def without_logs(engine: str) -> Iterator[None]:
    """Hold back the log lines of TensorFlow while it is imported.

    If TF_CPP_MIN_LOG_LEVEL is set, they are left to it. Otherwise TensorFlow reads a level for
    later, and the environment is as before. Whatever else arrives at standard error follows.
    """
    if engine != "tensorflow" or "tensorflow" in sys.modules or _LEVEL in os.environ:
        yield
        return
    os.environ[_LEVEL] = "3"
    try:
        with held_back_stderr(lambda text: _LOG_LINE.sub("", text)):
            yield
    finally:
        os.environ.pop(_LEVEL, None)
