"""Parameters of an objective; shared by whoever plans with it and whoever scores what was done."""

from __future__ import annotations

import dataclasses
import math

from mbrl_common.settings import SettingsError, setting


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
