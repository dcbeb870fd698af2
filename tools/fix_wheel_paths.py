"""Make the CMake files of the ROS 2 wheels point into the virtual environment they live in.

The wheels' exported targets carry two include paths of the machine that built them (Python's and
NumPy's). CMake refuses any package that depends on them until both exist. Run it with the virtual
environment's own interpreter; it changes nothing outside that environment, and nothing twice.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

BUILD_PYTHON = re.compile(r'/opt/python/[^;"\s>]*?/include/python3\.\d+')
BUILD_NUMPY = re.compile(r'/opt/[^;"\s>]*?/numpy/_?core/include')


def fix(prefix: Path) -> int:
    """Rewrite the CMake files under ``prefix/share``; returns how many were changed."""
    import numpy

    python_include = sysconfig.get_path('include')
    numpy_include = numpy.get_include()
    changed = 0
    for path in sorted(prefix.glob('share/*/cmake/*.cmake')):
        text = path.read_text()
        mended = BUILD_NUMPY.sub(numpy_include, text)
        mended = BUILD_PYTHON.sub(python_include, mended)
        if mended != text:
            path.write_text(mended)
            changed += 1
    return changed


if __name__ == '__main__':
    if sys.prefix == sys.base_prefix:
        sys.exit(f'{sys.argv[0]}: run it with the interpreter of the virtual environment')
    print(f'mended {fix(Path(sys.prefix))} CMake files of the ROS 2 wheels')
