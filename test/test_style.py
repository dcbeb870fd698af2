"""Format, lint and types of everything in the repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(
    path.parent
    for path in [*ROOT.glob('src/*/package.xml'), ROOT / 'launch' / 'package.xml']
    if (path.parent / 'setup.py').exists()
)


def run(*command: str) -> None:
    """Run a tool at the top of the repository; what it complains of is the failure."""
    done = subprocess.run(
        [sys.executable, '-m', *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f'{" ".join(command)}\n{done.stdout}{done.stderr}'


def test_everything_is_formatted() -> None:
    run('ruff', 'format', '--check', '.')


def test_nothing_is_found_by_the_linter() -> None:
    run('ruff', 'check', '.')


@pytest.mark.timeout(300)
def test_types_are_right() -> None:
    packages = [argument for path in PACKAGES for argument in ('-p', _module(path))]
    run('mypy', *packages)


@pytest.mark.timeout(300)
def test_types_of_tools_are_right() -> None:
    folders = ('tools', 'benchmarks', 'examples')
    files = [str(path) for name in folders for path in ROOT.glob(f'{name}/*.py')]
    run('mypy', *files)


@pytest.mark.parametrize('package', PACKAGES, ids=lambda path: path.name)
def test_a_package_is_complete(package: Path) -> None:
    module = _module(package)
    for name in ('LICENSE', 'README.md', 'package.xml', 'setup.cfg', f'{module}/py.typed'):
        assert (package / name).is_file(), name
    assert (package / 'resource' / module).is_file()


def test_no_version_is_pinned_twice() -> None:
    seen: dict[str, str] = {}
    for path in sorted((ROOT / 'requirements').glob('*.txt')):
        for line in path.read_text().splitlines():
            if line.strip() and not line.startswith('#'):
                name, pinned, version = line.partition('==')
                assert pinned, f'{path.name}: {line} is not pinned'
                if '; python_version' not in version:
                    assert name.lower() not in seen, f'{name}: {path.name}, {seen[name.lower()]}'
                seen[name.lower()] = path.name


def _module(package: Path) -> str:
    (resource,) = (package / 'resource').iterdir()
    return resource.name
