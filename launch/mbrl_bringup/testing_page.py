"""For tests: what a page of ``mbrl watch`` gives to a browser."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any


def content(file: Path) -> dict[str, Any]:
    """The data of a page, as ``page.js`` reads them."""
    match = re.search(r'id="data">([^<]+)<', file.read_text())
    assert match is not None
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(match[1])))
    return found
