"""A matplotlib figure as SVG within a page: nothing in it leads outside, no name is twice."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

_MANY = 1500  # points of a line, above which a picture of it is smaller
_REFERENCE = re.compile(r'url\(#([^)]+)\)')


def inline(draw: Callable[[], Any], title: str) -> Markup:
    """Draw a figure as an element ``svg``, which scales with the page.

    Texts stay texts: they can be found and copied. Lines of very many points become pictures.

    Args:
        draw: makes matplotlib's figure; names in it are taken as they are, not as formulas.
        title: for those who cannot see it; also tells its parts from those of other figures.
    """
    from matplotlib import rc_context

    settings: dict[Any, Any] = {
        'svg.fonttype': 'none',
        'svg.hashsalt': title,
        'text.parse_math': False,
        'axes.spines.top': False,
        'axes.spines.right': False,
        'figure.facecolor': 'white',
    }
    data = io.BytesIO()
    with rc_context(settings):
        figure = draw()
        for axes in figure.axes:
            for line in axes.lines:
                line.set_rasterized(len(line.get_xdata()) > _MANY)
            for axis in (axes.xaxis, axes.yaxis):
                if axis.get_scale() == 'log':
                    _label_plainly(axis)
        figure.savefig(data, format='svg', dpi=150, metadata={'Date': None})
    root = ElementTree.fromstring(data.getvalue())
    for child in list(root):
        if child.tag.endswith('metadata'):
            root.remove(child)
    prefix = re.sub(r'\W+', '-', title.lower())
    for element in root.iter():
        _plain(element, prefix)
    _drop_unused_names(root)
    for name in ('width', 'height', 'version'):
        root.attrib.pop(name, None)
    root.attrib |= {'role': 'img', 'aria-label': title}
    return Markup(ElementTree.tostring(root, encoding='unicode', short_empty_elements=False))


def _label_plainly(axis: Any) -> None:
    """Numbers as 0.01: powers of ten are formulas to matplotlib, and those are not understood."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if 0 < low < high else 1.0
    axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2.2 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axis.set_minor_formatter(NullFormatter())


def _plain(element: ElementTree.Element, prefix: str) -> None:
    """As HTML has it: without namespaces; and names that no other figure has."""
    element.tag = element.tag.rpartition('}')[2]
    attributes = dict(element.attrib)
    element.attrib.clear()
    for key, value in attributes.items():
        name = key.rpartition('}')[2]
        if name == 'id':
            value = f'{prefix}-{value}'
        elif name == 'href' and value.startswith('#'):
            value = f'#{prefix}-{value[1:]}'
        else:
            value = _REFERENCE.sub(rf'url(#{prefix}-\1)', value)
        element.set(name, value)


def _drop_unused_names(root: ElementTree.Element) -> None:
    used = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == 'href':
                used.add(value[1:])
            used.update(_REFERENCE.findall(value))
    for element in root.iter():
        if element.attrib.get('id') not in used:
            element.attrib.pop('id', None)
