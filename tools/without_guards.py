"""Take one guard after the other out of the sources, and see that its test fails.

    python tools/without_guards.py --only 'clock|plan'

Each entry of guards.yaml names texts to replace and the tests that must fail then. The sources are
changed in place, so a tree with changes that are not committed is refused, and put back after each.
Wants a build whose sources are linked (`make build`), and a machine with nothing else to do: 10 to
40 s for each. Ends with 1 if a test passes without its guard.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
_VERDICTS = {0: 'PASSED WITHOUT IT', 1: 'noticed'}


def changed(guard: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Files that a guard is in, each as it is and without it.

    Raises:
        LookupError: a text is not there any more.
    """
    files: dict[Path, tuple[str, str]] = {}
    for edit in guard['without']:
        found = False
        for path in sorted((ROOT / guard['package']).rglob('*.py')):
            before, after = files.get(path, (path.read_text(), path.read_text()))
            if edit['old'] in after:
                files[path] = before, after.replace(edit['old'], edit['new'])
                found = True
        if not found:
            raise LookupError(f'{guard["guard"]}: not in {guard["package"]}: {edit["old"]!r}')
    return files


def verdict_without(guard: dict[str, Any]) -> str:
    """What the tests of a guard say without it."""
    files = changed(guard)
    try:
        for path, (_, after) in files.items():
            path.write_text(after)
        tests = subprocess.run(
            [sys.executable, '-m', 'pytest', '-q', '-x', *guard['tests']],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=400,
        )
    except subprocess.TimeoutExpired:
        return 'noticed (it hung)'
    finally:
        for path, (before, _) in files.items():
            path.write_text(before)
    return _VERDICTS.get(tests.returncode, f'pytest ended with {tests.returncode}')


def main() -> None:
    """Try all that were asked for, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--only', default='', metavar='REGEX', help='guards with such a name')
    arguments = parser.parse_args()
    status = ['git', 'status', '--porcelain', '--untracked-files=no']
    if subprocess.run(status, cwd=ROOT, capture_output=True, text=True, check=True).stdout:
        sys.exit('error: there are changes that are not committed; commit or stash them first')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended'))  # and puts the sources back
    guards = yaml.safe_load((ROOT / 'tools' / 'guards.yaml').read_text())
    good = True
    for guard in guards:
        if re.search(arguments.only, guard['guard']):
            began = time.monotonic()
            verdict = verdict_without(guard)
            good &= verdict.startswith('noticed')
            print(f'{guard["guard"]:36s} {time.monotonic() - began:4.0f} s  {verdict}', flush=True)
    sys.exit(not good)


if __name__ == '__main__':
    main()
