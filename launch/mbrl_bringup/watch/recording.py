"""What Rerun is given: shapes, values and remarks at their times, and how they are laid out."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from mbrl_bringup.watch.intake import Lost, SaveError
from mbrl_bringup.watch.rviz import Orbit
from mbrl_bringup.watch.series import PLOTS, Remark
from mbrl_bringup.watch.shapes import (
    Arrows,
    Boxes,
    Cylinders,
    Ellipsoids,
    Lines,
    Points,
    Shapes,
    Triangles,
)

APPLICATION = 'mbrl'
TIMELINE = 'ros_time'
BAG_TIMELINE = 'bag_time'
LOOPBACK = '127.0.0.1'
_PORT = 9876
_MEMORY = '1GiB'  # of what a viewer that comes later is given; the oldest goes first
_FLUSH_TIMEOUT = 10.0  # [s]
_EPOCH = 1e8  # [s]; a clock beyond this has a date, others count from their start


class Recording:
    """One recording: served to viewers on this machine, written to a file, or both."""

    def __init__(
        self, name: str, file: Path | None, serve: bool, view: Orbit, from_bag: bool = False
    ) -> None:
        """
        Args:
            name: for people: what is watched.
            file: new file, or None.
            serve: whether viewers are to see it, at ``uri``.
            view: from where the scene is looked at.
            from_bag: whether it came at other times than it is given at.

        Raises:
            SaveError: if the file cannot be written.
        """
        self.uri = ''
        self._file = file
        self._from_bag = from_bag
        self._blueprint = blueprint(view, BAG_TIMELINE if from_bag else 'log_time')
        self._dated: bool | None = None
        self._named: set[tuple[str, ...]] = set()
        # Each of the two has a stream of its own, so that a full disk does not stop both.
        self._streams: list[rr.RecordingStream] = []
        self._lost: list[rr.RecordingStream] = []  # Rerun waits for ever to let go of such a one
        if serve:
            port = free_port(_PORT)
            self._begin(rr.GrpcServerSink(LOOPBACK, port, server_memory_limit=_MEMORY), name)
            self.uri = f'rerun+http://{LOOPBACK}:{port}/proxy'
        if file is not None:
            try:
                self._begin(rr.FileSink(file), name)
            except RuntimeError as error:
                self.close()
                raise SaveError(f'{file} cannot be written: {error}') from error

    def _begin(self, sink: rr.GrpcServerSink | rr.FileSink, name: str) -> None:
        stream = rr.RecordingStream(APPLICATION)
        stream.set_sinks(sink, default_blueprint=self._blueprint)
        stream.send_recording_name(name)
        # As in RViz, and in MuJoCo.
        stream.log('scene', rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        self._streams.append(stream)

    def arrived(self, seconds: float) -> None:
        """When what is given next was recorded [s]; of what comes now, Rerun knows by itself."""
        if self._from_bag:
            for stream in self._streams:
                stream.set_time(BAG_TIMELINE, timestamp=seconds)

    def at(self, seconds: float) -> None:
        """The ROS time of what is given next [s]; beside it Rerun keeps the time of arrival."""
        if self._dated is None:
            self._dated = seconds > _EPOCH
        for stream in self._streams:
            if self._dated:
                stream.set_time(TIMELINE, timestamp=seconds)
            else:
                stream.set_time(TIMELINE, duration=seconds)

    def draw(self, place: Sequence[str], shapes: Shapes | None) -> None:
        """Shapes under a name, instead of what was there; None: nothing."""
        drawn = rr.Clear(recursive=False) if shapes is None else archetype_of(shapes)
        self._log(['scene', *place], drawn)

    def value(self, name: str, robot: str, value: float) -> None:
        """A value of a curve; ``name`` is '<plot>/<curve>', ``robot`` may be empty."""
        plot, _, curve = name.partition('/')
        entity = [plot, *([robot] if robot else []), curve]
        if tuple(entity) not in self._named:
            self._named.add(tuple(entity))
            style: rr.AsComponents = rr.SeriesLines(names=' '.join(entity[1:]))
            if name == 'return/episode':
                style = rr.SeriesPoints(names=' '.join(entity[1:]), marker_sizes=4.0)
            self._log(entity, style, static=True)
        self._log(entity, rr.Scalars(value))

    def remark(self, source: str, remark: Remark) -> None:
        """Something to read."""
        level = rr.TextLogLevel.WARN if remark.fault else rr.TextLogLevel.INFO
        self._log(['log', source], rr.TextLog(remark.text, level=level))

    def _log(self, entity: list[str], what: rr.AsComponents, static: bool = False) -> None:
        for stream in self._streams:
            stream.log(entity, what, static=static)

    def flush(self) -> None:
        """Have all of it in the file.

        Raises:
            Lost: if it cannot be written.
        """
        if self._file is None:
            return
        try:
            self._streams[-1].flush(timeout_sec=_FLUSH_TIMEOUT)
        except RuntimeError as error:
            self._lost.append(self._streams.pop())
            raise Lost(f'{self._file} ends here: {error}') from error

    def close(self) -> None:
        """Finish the file, and serve no more."""
        for stream in self._streams:
            stream.disconnect()


def archetype_of(shapes: Shapes) -> rr.AsComponents:
    """The same for Rerun."""
    colours = shapes.colours
    if isinstance(shapes, (Boxes, Ellipsoids)):
        kind = rr.Boxes3D if isinstance(shapes, Boxes) else rr.Ellipsoids3D
        return kind(
            centers=shapes.centres,
            half_sizes=shapes.sizes / 2,
            quaternions=shapes.quaternions,
            colors=colours,
            fill_mode='solid',
        )
    if isinstance(shapes, Cylinders):
        return rr.Cylinders3D(
            centers=shapes.centres,
            lengths=shapes.sizes[:, 2],
            radii=shapes.sizes[:, :2].mean(axis=1) / 2,
            quaternions=shapes.quaternions,
            colors=colours,
            fill_mode='solid',
        )
    if isinstance(shapes, Lines):
        strips = np.split(shapes.points, np.cumsum(shapes.lengths)[:-1]) if len(colours) else []
        return rr.LineStrips3D(strips, radii=shapes.radii, colors=colours)
    if isinstance(shapes, Points):
        return rr.Points3D(shapes.positions, radii=shapes.radii, colors=colours)
    if isinstance(shapes, Triangles):
        # Only the colour of a whole surface may let something through.
        if len(colours) and (colours == colours[0]).all():
            return rr.Mesh3D(vertex_positions=shapes.corners, albedo_factor=colours[0])
        return rr.Mesh3D(vertex_positions=shapes.corners, vertex_colors=colours)
    assert isinstance(shapes, Arrows)
    return rr.Arrows3D(
        vectors=shapes.vectors, origins=shapes.origins, radii=shapes.radii, colors=colours
    )


def blueprint(view: Orbit, timeline: str) -> rrb.Blueprint:
    """The scene at the left, the plots beside it, what was said below."""
    plots = [
        rrb.TimeSeriesView(
            origin=f'/{plot}', name=title, plot_legend=rrb.PlotLegend(corner=rrb.Corner2D.LeftTop)
        )
        for plot, title in PLOTS.items()
    ]
    # As in RViz; left alone, it would stand back far enough for the longest of all rails.
    eye = rrb.EyeControls3D(position=view.eye, look_target=view.focus)
    left = rrb.Vertical(
        rrb.Spatial3DView(origin='/scene', name='Scene', eye_controls=eye),
        rrb.TextLogView(origin='/log', name='Said'),
        row_shares=[3, 1],
    )
    return rrb.Blueprint(
        rrb.Horizontal(left, rrb.Grid(*plots, grid_columns=2), column_shares=[2, 3]),
        # In lockstep the simulation has a time of its own; what came together is shown together.
        rrb.TimePanel(timeline=timeline, state='collapsed'),
        rrb.SelectionPanel(state='hidden'),
        rrb.BlueprintPanel(state='hidden'),
        auto_views=False,
    )


def free_port(first: int) -> int:
    """The first port from ``first`` on where nobody on this machine listens."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f'the ports {first} to {first + 99} are all in use')
