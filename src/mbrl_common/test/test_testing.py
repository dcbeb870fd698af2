from __future__ import annotations

import os

import pytest

from mbrl_common.testing import isolated_domain


def test_domains_in_use_are_not_given_again() -> None:
    before = os.environ.get('ROS_DOMAIN_ID')
    with isolated_domain() as first, isolated_domain() as second:
        assert first != second
        assert os.environ['ROS_DOMAIN_ID'] == str(second)
    assert os.environ.get('ROS_DOMAIN_ID') == before


@pytest.mark.parametrize('error', [TimeoutError, OSError, ValueError])
def test_an_error_inside_a_domain_comes_out_as_it_is(error: type[Exception]) -> None:
    with pytest.raises(error, match='what was waited for'), isolated_domain():
        raise error('what was waited for')
