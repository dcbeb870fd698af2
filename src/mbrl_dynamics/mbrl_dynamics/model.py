"""A trained ensemble, ready to predict: physical units in and out, as few operations as can be."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mbrl_dynamics.chunks import in_chunks
from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.hidden_layers import HiddenLayers
from mbrl_dynamics.hidden_layers import Layer as _Layer
from mbrl_dynamics.snapshot import Snapshot, TrainedEnsemble, decode


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What each member says of its own rows, in physical units.

    Attributes:
        mean: [E, N, S], the next state.
        variance: [E, N, S], of the next state; None: the members are deterministic, or it was not
            asked for.
        reward: [E, N], of the step; None: it is not learned.
        end: [E, N], probability that the step ends the episode; None: it is not learned.
    """

    mean: Tensor
    variance: Tensor | None
    reward: Tensor | None
    end: Tensor | None

    def viewed(self, groups: int, rows: int) -> Prediction:
        """The same with other leading dimensions, [groups, rows, ...]."""

        def view(value: Tensor) -> Tensor:
            return value.view(groups, rows, *value.shape[2:])

        return Prediction(
            view(self.mean),
            None if self.variance is None else view(self.variance),
            None if self.reward is None else view(self.reward),
            None if self.end is None else view(self.end),
        )


class DynamicsModel:
    """Predicts the next state with every elite of an ensemble at once; float32.

    Gradients are recorded where the inputs require one; otherwise memory is used again, and many
    rows go in chunks (``mbrl_dynamics.chunks``). It may be used from several threads at once.

    A model with a history of K takes the K last states and actions side by side, the newest first.

    The scaling of inputs and targets is folded, in float64, into the first and the last layer. The
    first layer takes [states, sines, cosines, actions], with zeros for what does not enter, so
    that no entry of the state has to be gathered.
    """

    def __init__(self, ensemble: TrainedEnsemble, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        architecture = ensemble.weights.architecture
        encoding = architecture.encoding
        chosen = list(ensemble.elites or range(architecture.members))
        self.members = len(chosen)
        self.state_dim = encoding.state_dim
        self.action_dim = encoding.action_dim
        self.history = encoding.history
        self.probabilistic = architecture.probabilistic
        self.learns_reward = architecture.learns_reward
        self.learns_termination = architecture.learns_termination
        angles = [k * self.state_dim + i for k in range(self.history) for i in encoding.circular]
        self._angles = torch.tensor(angles, dtype=torch.long)

        layers = [(w[chosen].double(), b[chosen].double()) for w, b in ensemble.weights.layers]
        layers[0] = _fold_inputs(layers[0], ensemble, encoding)
        hidden = [_single(layer) for layer in layers[:-1]]
        self._hidden = HiddenLayers(hidden, architecture.activation)
        self._clip = _clip_of_inputs(ensemble, encoding)

        predicted, count = list(encoding.predicted), architecture.targets
        scale = torch.from_numpy(ensemble.targets.std).double()
        shift = torch.from_numpy(ensemble.targets.mean).double()
        entries = len(predicted)
        mean = _spread(
            _columns(layers[-1], slice(0, entries), scale[:entries], shift[:entries]),
            predicted,
            self.state_dim,
        )
        self._mean = _single(mean)
        self.target_scale = torch.full((self.state_dim,), math.inf)
        """[S]: deviation of each target in the training data; infinite where there is none."""
        self.target_scale[predicted] = scale[:entries].float()
        self._keep: Tensor | None = None
        if encoding.targets_absolute:
            self._keep = torch.ones(self.state_dim)
            self._keep[list(encoding.targets_absolute)] = 0.0
        self._both: _Layer | None = None
        self._variance: _Layer | None = None
        if self.probabilistic:
            # exp of the log-variance in its soft bounds is, written out,
            # exp(low) + exp(high) * sigmoid(raw - high)
            low, high = (each[chosen, :, :entries].double() for each in ensemble.weights.bounds)
            weight, bias = _columns(layers[-1], slice(count, count + entries))
            raw = _spread((weight, bias - high), predicted, self.state_dim)
            self._both = _single(_beside(mean, raw))
            units = scale[:entries].square()
            self._variance = _single(
                _spread((low.exp() * units, high.exp() * units), predicted, self.state_dim)
            )
        self._heads = self._extra_heads(layers[-1], architecture.outputs, entries, scale, shift)
        limits = ensemble.limits
        self._low = torch.tensor(limits.state_low) if limits.state_low else None
        self._high = torch.tensor(limits.state_high) if limits.state_high else None

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

    def mapped(self, function: Callable[[Tensor], Tensor]) -> DynamicsModel:
        """The same model with every tensor replaced by what a function makes of it."""

        def changed(value: Any) -> Any:
            if isinstance(value, Tensor):
                return function(value)
            if isinstance(value, tuple):
                return tuple(changed(each) for each in value)
            return value.mapped(function) if isinstance(value, HiddenLayers) else value

        model = copy.copy(self)
        for name, value in vars(self).items():
            setattr(model, name, changed(value))
        return model

    def placed(self, device: str, precision: str) -> DynamicsModel:
        """The same model on a device of torch, in 'fp32' or in 'bf16'.

        In bf16 are weights and activations of the hidden layers after the first; what they add up
        to, and the states, stay in fp32.
        """
        model = self.mapped(lambda tensor: tensor.to(device))
        if precision == 'bf16':
            model._hidden = model._hidden.in_bf16()
        return model

    def only(self, members: Sequence[int]) -> DynamicsModel:
        """The same model with these of its members, by their place; any may come repeatedly."""
        places = torch.tensor(members, device=self._mean[0].device)

        def chosen(value: Any) -> Any:
            if isinstance(value, HiddenLayers):
                return value.mapped(lambda tensor: tensor[places])
            return value and tuple(tensor[places] for tensor in value)

        model = copy.copy(self)
        model.members = len(members)
        for name in ('_hidden', '_mean', '_both', '_variance', '_heads'):
            setattr(model, name, chosen(getattr(self, name)))
        return model

    def predict_mean(self, state: Tensor, action: Tensor) -> Tensor:
        """Mean next state of each member, on its own rows.

        Args:
            state: [E, N, K * S], physical units, the newest first.
            action: [E, N, K * A], physical units, the newest first.

        Returns:
            [E, N, S], physical units.
        """
        return self.predict(state, action, variance=False).mean

    def predict(self, state: Tensor, action: Tensor, variance: bool = True) -> Prediction:
        """All that each member says of its own rows.

        Args:
            state: [E, N, K * S], physical units, the newest first.
            action: [E, N, K * A], physical units, the newest first.
            variance: whether that is wanted.
        """
        rows, most = state.shape[1], self._hidden.chunk
        recorded = torch.is_grad_enabled() and (state.requires_grad or action.requires_grad)
        if recorded or rows <= most:
            return self._predict(state, action, variance)
        return _joined(
            in_chunks(lambda at: self._predict(state[:, at], action[:, at], variance), rows, most)
        )

    def _predict(self, state: Tensor, action: Tensor, variance: bool) -> Prediction:
        features = self._features(state, action)
        spread = None
        if variance and self._both is not None and self._variance is not None:
            both = torch.baddbmm(self._both[1], features, self._both[0])
            out, raw = both.split(self.state_dim, dim=-1)
            low, high = self._variance
            spread = torch.addcmul(low, high, raw.sigmoid())
        else:
            out = torch.baddbmm(self._mean[1], features, self._mean[0])
        reward = end = None
        if self._heads is not None:
            heads = torch.baddbmm(self._heads[1], features, self._heads[0])
            reward = heads[..., 0] if self.learns_reward else None
            end = heads[..., -1].sigmoid() if self.learns_termination else None
        return Prediction(self._next(state, out), spread, reward, end)

    def _next(self, state: Tensor, out: Tensor) -> Tensor:
        """Next states of what the network predicts, which is mostly the change."""
        newest = state[..., : self.state_dim]
        out = out + newest if self._keep is None else torch.addcmul(out, newest, self._keep)
        if self._low is not None or self._high is not None:
            out = torch.clamp(out, self._low, self._high)
        return out

    def _features(self, state: Tensor, action: Tensor) -> Tensor:
        parts = [state, action]
        if len(self._angles):
            angles = state.index_select(-1, self._angles)
            parts[1:1] = [angles.sin(), angles.cos()]
        x = torch.cat(parts, dim=-1)
        if self._clip is not None:
            x = torch.clamp(x, *self._clip)
        return self._hidden(x)

    def _extra_heads(
        self, layer: _Layer, outputs: int, reward: int, scale: Tensor, shift: Tensor
    ) -> _Layer | None:
        """Columns of the reward and of the end's logit."""
        parts = []
        if self.learns_reward:
            at = slice(reward, reward + 1)
            parts.append(_columns(layer, at, scale[at], shift[at]))
        if self.learns_termination:
            parts.append(_columns(layer, slice(outputs - 1, outputs)))
        if not parts:
            return None
        weights, biases = zip(*parts)
        return _single((torch.cat(weights, dim=-1), torch.cat(biases, dim=-1)))


def _joined(parts: list[Prediction]) -> Prediction:
    """Rows of several predictions, one after the other."""

    def join(name: str) -> Tensor | None:
        found = [getattr(part, name) for part in parts]
        return None if found[0] is None else torch.cat(found, dim=1)

    mean = join('mean')
    assert mean is not None
    return Prediction(mean, join('variance'), join('reward'), join('end'))


def _single(layer: _Layer) -> _Layer:
    return layer[0].float().contiguous(), layer[1].float().contiguous()


def _columns(
    layer: _Layer, at: slice, scale: Tensor | None = None, shift: Tensor | None = None
) -> _Layer:
    """Some outputs of the last layer, in physical units where a scaling is given."""
    weight, bias = layer[0][..., at], layer[1][..., at]
    if scale is None or shift is None:
        return weight, bias
    return weight * scale, bias * scale + shift


def _spread(tensors: _Layer, columns: list[int], width: int) -> _Layer:
    """The last dimension at these places among ``width``, and zeros elsewhere."""
    wide = [tensor.new_zeros(*tensor.shape[:-1], width) for tensor in tensors]
    for target, source in zip(wide, tensors):
        target[..., columns] = source
    return wide[0], wide[1]


def _beside(first: _Layer, second: _Layer) -> _Layer:
    """Two layers of the same inputs as one, outputs side by side."""
    return torch.cat([first[0], second[0]], dim=-1), torch.cat([first[1], second[1]], dim=-1)


def _raw_columns(encoding: Encoding) -> list[int]:
    """Where each input of the networks stands in [states, sines, cosines, actions]."""
    history, states = encoding.history, encoding.history * encoding.state_dim
    angles, actions = history * len(encoding.circular), history * encoding.action_dim
    plain = [k * encoding.state_dim + i for k in range(history) for i in encoding.plain]
    return plain + list(range(states, states + 2 * angles + actions))


def _raw_width(encoding: Encoding) -> int:
    return encoding.history * (
        encoding.state_dim + 2 * len(encoding.circular) + encoding.action_dim
    )


def _fold_inputs(layer: _Layer, ensemble: TrainedEnsemble, encoding: Encoding) -> _Layer:
    """The first layer for unscaled [states, sines, cosines, actions]."""
    weight, bias = layer
    scaled = weight / torch.from_numpy(ensemble.inputs.std)[:, None]
    bias = bias - torch.from_numpy(ensemble.inputs.mean)[None, None, :] @ scaled
    folded = weight.new_zeros(len(weight), _raw_width(encoding), weight.shape[2])
    folded[:, _raw_columns(encoding)] = scaled
    return folded, bias


def _clip_of_inputs(ensemble: TrainedEnsemble, encoding: Encoding) -> _Layer | None:
    """Bounds of unscaled [states, sines, cosines, actions]; None: there are none."""
    if ensemble.limits.input_clip == 0:
        return None
    reach = ensemble.limits.input_clip * ensemble.inputs.std
    low = torch.full((_raw_width(encoding),), -math.inf)
    high = torch.full((_raw_width(encoding),), math.inf)
    columns = _raw_columns(encoding)
    low[columns] = torch.from_numpy(ensemble.inputs.mean - reach).float()
    high[columns] = torch.from_numpy(ensemble.inputs.mean + reach).float()
    return low, high
