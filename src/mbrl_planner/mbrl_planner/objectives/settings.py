"""Parameters of an objective; shared by whoever plans with it and whoever scores what was done."""

from __future__ import annotations

import dataclasses
import math

from mbrl_common.settings import SettingsError, setting

ROBOTS = 'mbrl_sim_bridge.environments'
"""Where ``objective.robot`` is looked up, as ``sim.environment`` is."""


@dataclasses.dataclass(frozen=True)
class ObjectiveSettings:
    """Which objective, and the weights of its terms where they differ from its own.

    A list of ``name=value`` because a ROS parameter cannot be a mapping.
    """

    name: str = setting('name of the objective, in the entry-point group mbrl_planner.objectives')
    weights: tuple[str, ...] = setting(
        "weights of the objective's terms, each as 'term=value'; others keep their default",
        (),
        live=True,
    )

    goal: tuple[float, ...] = setting(
        "goal where none is given, as the objective takes it; empty: the objective's own", ()
    )
    healthy: tuple[str, ...] = setting(
        "bounds of the state, each 'entry=low:high', outside of which the episode ends; * stands "
        'for any part of a name',
        (),
    )
    robot: str = setting(
        "distance: environment whose model says where parts are, named as in 'sim.environment'", ''
    )
    distances: tuple[str, ...] = setting(
        "distance: terms, each 'term=part to part', of sites, bodies, or 'the goal'", ()
    )
    metric: str = setting(
        "distance: 'length', its 'square', or the 'sum' of |x|, |y| and |z|",
        'length',
        choices=('length', 'square', 'sum'),
    )

    def __post_init__(self) -> None:
        self.weight_values()

    def weight_values(self) -> dict[str, float]:
        """The weights as a mapping.

        Raises:
            SettingsError: for an entry that is not ``term=value``, not finite, or there twice.
        """
        values: dict[str, float] = {}
        problems = []
        for entry in self.weights:
            name, _, text = entry.partition('=')
            name = name.strip()
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not name or not math.isfinite(value):
                problems.append(
                    f"parameter 'objective.weights' has {entry!r}; an entry must be 'term=value' "
                    "with a finite number, such as 'control=0.01'"
                )
            elif name in values:
                problems.append(f"parameter 'objective.weights' has the term {name!r} twice")
            values[name] = value
        if problems:
            raise SettingsError(problems)
        return values
