"""Optimisers by name: whatever installed package names one in the group is found."""

from __future__ import annotations

from mbrl_common.plugins import make_plugin
from mbrl_planner.optimizer import Optimizer
from mbrl_planner.optimizer_settings import GROUP, OptimizerSettings


def make_optimizer(settings: OptimizerSettings) -> Optimizer:
    """The optimiser that the settings name.

    Raises:
        SettingsError: nobody or several packages claim the name, or what does cannot be loaded.
    """
    optimizer: Optimizer = make_plugin(GROUP, settings.name, 'optimizer.name', settings)
    return optimizer
