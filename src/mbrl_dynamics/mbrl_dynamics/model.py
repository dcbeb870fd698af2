"""A trained ensemble, ready to predict: physical units in and out, as few operations as can be."""

from __future__ import annotations

import torch
from torch import Tensor

from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import ACTIVATIONS, bound_logvar
from mbrl_dynamics.snapshot import Snapshot, TrainedEnsemble, decode


class DynamicsModel:
    """Predicts the next state with every member of an ensemble at once; float32, no gradients.

    The scaling of inputs and targets is folded, in float64, into the first and the last layer. The
    first layer takes [state, sines, cosines, action], with zeros for the angles themselves, so
    that no entry of the state has to be gathered.
    """

    def __init__(self, ensemble: TrainedEnsemble, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        architecture = ensemble.weights.architecture
        self.members = architecture.members
        self.state_dim = architecture.encoding.state_dim
        self.action_dim = architecture.encoding.action_dim
        self._activate = ACTIVATIONS[architecture.activation].forward
        self._angles = torch.tensor(architecture.encoding.angles, dtype=torch.long)
        layers = [(w.double(), b.double()) for w, b in ensemble.weights.layers]
        layers[0] = _fold_inputs(layers[0], ensemble, architecture.encoding)
        self._layers = [(w.float().contiguous(), b.float()) for w, b in layers[:-1]]
        weight, bias = layers[-1]
        scale = torch.from_numpy(ensemble.targets.std)
        shift = torch.from_numpy(ensemble.targets.mean)
        s = self.state_dim
        self._mean = (
            (weight[..., :s] * scale).float().contiguous(),
            (bias[..., :s] * scale + shift).float().contiguous(),
        )
        self._raw = (weight[..., s:].float().contiguous(), bias[..., s:].float().contiguous())
        self._bounds = ensemble.weights.min_logvar, ensemble.weights.max_logvar
        self._variance_scale = (scale * scale).float()

    @classmethod
    def from_bytes(cls, data: bytes) -> DynamicsModel:
        """The model in a snapshot's bytes.

        Raises:
            SnapshotError: if anything about them is wrong; see ``mbrl_dynamics.snapshot.decode``.
        """
        return cls(*decode(data))

    def to_bytes(self) -> bytes:
        """The snapshot that this model was made from."""
        return self.snapshot.data

    @torch.no_grad()
    def predict_mean(self, state: Tensor, action: Tensor) -> Tensor:
        """Mean next state of each member, on its own rows.

        Args:
            state: [E, N, S], physical units.
            action: [E, N, A], physical units.

        Returns:
            [E, N, S], physical units.
        """
        weight, bias = self._mean
        return state + torch.baddbmm(bias, self._features(state, action), weight)

    @torch.no_grad()
    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the next state of each member, on its own rows.

        Args:
            state: [E, N, S], physical units.
            action: [E, N, A], physical units.

        Returns:
            mean and variance, each [E, N, S], physical units (squared).
        """
        features = self._features(state, action)
        mean = torch.baddbmm(self._mean[1], features, self._mean[0])
        raw = torch.baddbmm(self._raw[1], features, self._raw[0])
        return state + mean, bound_logvar(raw, *self._bounds).exp() * self._variance_scale

    def _features(self, state: Tensor, action: Tensor) -> Tensor:
        angles = state.index_select(-1, self._angles)
        x = torch.cat([state, angles.sin(), angles.cos(), action], dim=-1)
        for weight, bias in self._layers:
            x = self._activate(torch.baddbmm(bias, x, weight))
        return x


def _fold_inputs(
    layer: tuple[Tensor, Tensor], ensemble: TrainedEnsemble, encoding: Encoding
) -> tuple[Tensor, Tensor]:
    """The first layer for unscaled [state, sines, cosines, action]."""
    weight, bias = layer
    scaled = weight / torch.from_numpy(ensemble.inputs.std)[:, None]
    bias = bias - torch.from_numpy(ensemble.inputs.mean)[None, None, :] @ scaled
    others = list(encoding.others)
    folded = weight.new_zeros(
        len(weight), encoding.input_dim + len(encoding.angles), weight.shape[2]
    )
    folded[:, others] = scaled[:, : len(others)]
    folded[:, encoding.state_dim :] = scaled[:, len(others) :]
    return folded, bias
