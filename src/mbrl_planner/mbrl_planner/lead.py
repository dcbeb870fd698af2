"""From the newest known state to the one in which a plan takes effect.

Making a plan takes time, and so does its way to the robot. What the robot does meanwhile is known,
so the state is carried ahead through the model, and the plan begins where it will be executed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from mbrl_dynamics.propagation import Model
from mbrl_planner.requests import Problem


def carry_ahead(problems: Sequence[Problem], model: Model) -> list[Problem]:
    """The same problems from the states that are predicted for when their plans take effect.

    Each step goes from one state to the mean of the members' mean next states. A step of duration
    d < 1 goes a share of d along the straight line there: d of the predicted change, also for
    entries that are predicted as absolute values. Angles are not wrapped, neither in states nor in
    what is predicted.

    A history is kept one control period apart: the whole window moves a share of d along the
    straight lines between its states, so that it ends in the predicted one, and the actions are
    the means over the periods between. Whole steps shift it, exactly.

    Problems without a lead come back as they are. Where the model diverges, states are not finite.
    In float32, as the model computes.
    """
    led = [place for place, each in enumerate(problems) if each.lead_steps]
    answer = list(problems)
    if not led:
        return answer
    windows, past = (
        torch.tensor(np.stack(arrays), dtype=torch.float32).unflatten(1, (-1, width))
        for arrays, width in (
            ([problems[place].window for place in led], model.state_dim),
            ([_past(problems[place], model) for place in led], model.action_dim),
        )
    )
    for step in range(max(problems[place].lead_steps for place in led)):
        rows = [row for row, place in enumerate(led) if problems[place].lead_steps > step]
        now = [problems[led[row]] for row in rows]
        action = np.stack([each.lead_actions[step] for each in now])
        share = torch.tensor([each.lead_durations[step] for each in now], dtype=torch.float32)
        share = share[:, None, None]
        states = windows[rows]
        past[rows, 0] = torch.tensor(action, dtype=torch.float32)
        actions = past[rows]
        seen, done = (each.flatten(1).repeat(model.members, 1, 1) for each in (states, actions))
        after = model.predict(seen, done, variance=False).mean.mean(0)
        windows[rows] = torch.lerp(states, torch.cat([after[:, None], states[:, :-1]], 1), share)
        past[rows, 1:] = torch.lerp(actions[:, 1:], actions[:, :-1], share)
    for place, window, actions in zip(led, windows.double().numpy(), past.double().numpy()):
        answer[place] = dataclasses.replace(
            problems[place],
            state=window[0],
            window=window.reshape(-1),
            past_actions=actions[1:].reshape(-1),
        )
    return answer


def _past(problem: Problem, model: Model) -> np.ndarray:
    """[K * A], the past actions behind a place for the one that is in force."""
    return np.concatenate([np.zeros(model.action_dim), problem.past_actions])
