from __future__ import annotations

import pytest

from mbrl_common.settings import SettingsError
from mbrl_sim_bridge.environments import make_environment


def test_unknown_environment_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"'cartpole_pts'.*'cartpole_pets'"):
        make_environment('cartpole_pts')
