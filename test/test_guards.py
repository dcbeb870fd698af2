"""Every guard that tools/guards.yaml names can still be taken out, and its tests are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
GUARDS = yaml.safe_load((ROOT / 'tools' / 'guards.yaml').read_text())


@pytest.mark.parametrize('guard', GUARDS, ids=lambda guard: guard['guard'])
def test_a_guards_texts_and_tests_are_there(guard: dict[str, Any]) -> None:
    sources = [path.read_text() for path in (ROOT / guard['package']).rglob('*.py')]
    for replacement in guard['without']:
        assert any(replacement['old'] in text for text in sources), replacement['old']
    for test in guard['tests']:
        file, _, name = test.partition('::')  # of some all tests of a file
        assert f'def {name.partition("[")[0]}' in (ROOT / file).read_text(), test
