"""Optimisers by name: whatever installed package names one in the group is found."""

from __future__ import annotations

from importlib.metadata import entry_points

from mbrl_common.settings import SettingsError
from mbrl_planner.optimizer import Optimizer
from mbrl_planner.optimizer_settings import GROUP, OptimizerSettings, unknown_optimizer


def make_optimizer(settings: OptimizerSettings) -> Optimizer:
    """The optimiser that the settings name.

    Raises:
        SettingsError: nobody or several packages claim the name, or what does cannot be loaded.
    """
    unknown = unknown_optimizer(settings.name)
    if unknown is not None:
        raise SettingsError([unknown])
    found = entry_points(group=GROUP, name=settings.name)
    places = sorted({point.value for point in found})
    if len(places) > 1:
        raise SettingsError(
            [
                f"parameter 'optimizer.name': {settings.name!r} is claimed by several: "
                f'{", ".join(places)}'
            ]
        )
    try:
        optimizer: Optimizer = next(iter(found)).load()(settings)
    except Exception as error:  # a third party's code: whatever it raises, say whose it is
        raise SettingsError(
            [f"parameter 'optimizer.name': {settings.name!r} ({places[0]}): {error}"]
        ) from error
    return optimizer
