"""What a plan is to achieve: objectives by name, found through installed entry points."""

from __future__ import annotations

from mbrl_planner.objectives.base import Objective, Term
from mbrl_planner.objectives.registry import make_objective, objective_names
from mbrl_planner.objectives.settings import ObjectiveSettings

__all__ = ['Objective', 'ObjectiveSettings', 'Term', 'make_objective', 'objective_names']
