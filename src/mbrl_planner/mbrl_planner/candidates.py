"""The candidates of an evaluation, for whoever wants to see them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from mbrl_planner.tube import thinned


@dataclasses.dataclass(frozen=True)
class Candidates:
    """What an optimiser tried last, for one robot. To make it costs nothing; to read it does.

    Attributes:
        returns: [N], of each candidate.
        paths: from indices [C] to states [C, H + 1, S].
    """

    returns: torch.Tensor
    paths: Callable[[torch.Tensor], torch.Tensor]

    def some(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Candidates from the worst to the best, at most so many: those two, and what lies evenly
        between them by rank. Those without a finite return are left out.

        Returns:
            states [C, H + 1, S] and returns [C], both float64.
        """
        returns = self.returns.double().cpu()
        order = torch.argsort(returns)
        order = order[torch.isfinite(returns[order])]
        chosen = order[torch.from_numpy(thinned(len(order), most))]
        states = self.paths(chosen)
        return states.double().cpu().numpy(), returns[chosen].numpy()
