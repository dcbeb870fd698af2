"""A page as HTML, whole or not at all on disk."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mbrl_bringup.report.blocks import Page
from mbrl_bringup.report.run import GivenWrongly
from mbrl_common.files import replaced

TEMPLATE = 'page.html'


def render(page: Page) -> str:
    """The page as one HTML document; nothing that a run says can become markup in it."""
    environment = Environment(
        loader=PackageLoader('mbrl_bringup.report', '.'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        page=page,
        made=datetime.datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z'),
        version=_version(),
    )


def check_target(path: Path) -> None:
    """Whether a page can be written there.

    Raises:
        GivenWrongly: if not.
    """
    if path.is_dir():
        raise GivenWrongly(f'{path} is a folder; --out names the file')
    if path.exists() and path.suffix not in ('.html', '.htm'):
        raise GivenWrongly(f'{path} is there already, and is no page; it is not written over')
    if not path.parent.is_dir():
        raise GivenWrongly(f'there is no folder {path.parent} to put the page into')
    if not os.access(path.parent, os.W_OK):
        raise GivenWrongly(f'{path.parent} must not be written to; give --out')


def write(path: Path, html: str) -> None:
    """Put it there in one step; what was there before stays if that fails.

    Raises:
        OSError: if it cannot be written.
    """
    with replaced(path) as partial:
        partial.write_text(html, encoding='utf-8')


def _version() -> str:
    try:
        return importlib.metadata.version('mbrl_bringup')
    except importlib.metadata.PackageNotFoundError:
        return ''
