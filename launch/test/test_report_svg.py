"""Drawings as they stand in a page."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from mbrl_bringup.report.svg import inline
from mbrl_bringup.testing_report import PageReader, fetched


def draw(points: int = 3, name: str = 'x', scale: str = 'linear', span: float = 10.0) -> Any:
    """A line from 1 to ``span``, with a name and a legend."""
    figure = Figure(figsize=(4, 3))
    axes = figure.add_subplot()
    axes.plot(np.linspace(0, 1, points), np.linspace(1, span, points), label=name)
    axes.set(yscale=scale, xlabel=name)
    axes.legend()
    return figure


def texts(svg: str) -> list[str]:
    return [each.words for each in PageReader(svg).all('text')]


def test_a_drawing_is_an_element_that_scales_and_has_a_name() -> None:
    svg = inline(draw, 'Some curve')
    page = PageReader(svg)
    (root,) = page.all('svg')
    assert root.attributes['role'] == 'img'
    assert root.attributes['aria-label'] == 'Some curve'
    assert 'viewbox' in root.attributes
    assert not {'width', 'height'} & root.attributes.keys()
    assert fetched(page) == []
    assert 'http' not in svg


@pytest.mark.parametrize('name', ['<b>&"x"', '$x^2$', '$', 'μ'])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    svg = inline(lambda: draw(name=name), 'a')
    assert texts(svg).count(name) == 2
    assert '<b>' not in svg


@pytest.mark.parametrize(('span', 'expected'), [(8.0, {'1', '2', '5'}), (1e5, {'10', '1000'})])
def test_powers_of_ten_are_numbers(span: float, expected: set[str]) -> None:
    found = texts(inline(lambda: draw(scale='log', span=span), 'a'))
    assert expected <= set(found)
    assert not any('$' in text or 'math' in text for text in found)


def test_names_in_two_drawings_are_not_the_same() -> None:
    names = [set(re.findall(r' id="([^"]+)"', inline(draw, title))) for title in ('a', 'b')]
    assert names[0]
    assert not names[0] & names[1]
    for title, own in zip(('a', 'b'), names):
        assert set(re.findall(r'url\(#([^)]+)\)', inline(draw, title))) <= own


def test_the_same_drawing_is_the_same_text() -> None:
    assert inline(draw, 'a') == inline(draw, 'a')


def test_a_line_of_very_many_points_becomes_a_picture() -> None:
    assert PageReader(inline(draw, 'a')).all('image') == []
    svg = inline(lambda: draw(points=100_000), 'a')
    (image,) = PageReader(svg).all('image')
    assert image.attributes['href'].startswith('data:image/png;base64,')
    assert len(svg) < 100_000
