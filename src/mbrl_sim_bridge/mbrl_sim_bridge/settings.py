"""Settings of a simulation and of the ``sim_bridge`` node."""

from __future__ import annotations

import dataclasses

from mbrl_common.settings import setting
from mbrl_common.task import TaskSettings


@dataclasses.dataclass(frozen=True)
class SimSettings:
    """Which simulation, and how it is shown (section ``sim``)."""

    environment: str = setting(
        'name of the environment, from the entry points mbrl_sim_bridge.environments'
    )
    seed: int = setting('seed of the state shown before the first reset', 0, ge=0)
    state_repeat_period: float = setting(
        'wall-clock time after which the last joint state is sent again [s]', 0.5, ge=0.05, le=60.0
    )
    marker_rate: float = setting(
        'most marker messages per second of wall-clock time [Hz]', 30.0, ge=0.1, le=30.0, live=True
    )
    camera: str = setting("camera of the model to render from; '' is MuJoCo's free camera", 'side')
    render_width: int = setting('width of rendered frames [pixels]', 480, ge=16, le=4096)
    render_height: int = setting('height of rendered frames [pixels]', 180, ge=16, le=4096)


@dataclasses.dataclass(frozen=True)
class SimBridgeSettings:
    """All that a simulation needs: the task it plays, and itself."""

    task: TaskSettings
    sim: SimSettings
