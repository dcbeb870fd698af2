"""Print the parameter table of a node's settings, for its README.

python tools/parameter_table.py mbrl_mpc.settings:MpcSettings
"""

from __future__ import annotations

import importlib
import sys

from mbrl_common.settings import Setting, describe


def row(leaf: Setting) -> str:
    """One line of the table."""
    default = 'required' if leaf.required else f'`{_plain(leaf.default)}`'
    live = ', live' if leaf.live else ''
    return f'| `{leaf.name}` | {leaf.expectation()}{live} | {default} | {leaf.description} |'


def table(cls: type) -> str:
    """The whole table, in Markdown."""
    head = ['| parameter | type and range | default | meaning |', '|---|---|---|---|']
    return '\n'.join(head + [row(leaf) for leaf in describe(cls)])


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


if __name__ == '__main__':
    if len(sys.argv) != 2 or ':' not in sys.argv[1]:
        sys.exit(f'usage: {sys.argv[0]} MODULE:CLASS')
    module, name = sys.argv[1].split(':')
    print(table(getattr(importlib.import_module(module), name)))
