"""Write the RViz configuration of every task, and one for any other: launch/rviz/*.rviz.

python tools/rviz_configs.py

All have the same displays; a task's own is the view: from the side, from above, or aslant.
"""

from __future__ import annotations

import dataclasses
import string
from pathlib import Path

FOLDER = Path(__file__).parent.parent / 'launch' / 'rviz'
ANY = 'any'


@dataclasses.dataclass(frozen=True)
class View:
    """How a task is looked at: from where, and at what [m, rad]."""

    plane: str  # that the grid lies in
    pitch: float
    yaw: float
    distance: float
    focus: tuple[float, float, float] = (0.0, 0.0, 0.0)


def side(distance: float, *focus: float) -> View:
    """Along y: x to the right, z up."""
    return View('XZ', 0.05, 4.7124, distance, (focus[0], 0.0, focus[1]))


def above(distance: float, *focus: float) -> View:
    """From above: x to the right, y up."""
    return View('XY', 1.5708, 4.7124, distance, (focus[0], focus[1], 0.0))


def aslant(distance: float, *focus: float) -> View:
    """From the front and above."""
    return View('XY', 0.5, 5.2, distance, (focus[0], focus[1], focus[2]))


VIEWS = {
    'ant': aslant(8.0, 0.0, 0.0, 0.5),
    'baoding_pddm': aslant(0.6, 0.0, -0.1, 0.2),
    'cartpole_balance': side(4.0, 0.0, 0.0),
    'cartpole_swingup': side(4.0, 0.0, 0.0),
    'cliff': side(6.0, 1.25, 0.5),
    'cube_pddm': aslant(0.6, 0.0, -0.05, 0.25),
    'half_cheetah': side(8.0, 1.0, 0.7),
    'half_cheetah_pets': side(8.0, 1.0, 0.7),
    'hopper': side(6.0, 1.0, 1.0),
    'inverted_double_pendulum': side(4.0, 0.0, 0.6),
    'inverted_pendulum': side(3.0, 0.0, 0.3),
    'point_maze': above(6.0, 0.0, 0.0),
    'pusher': aslant(2.5, 0.3, -0.3, -0.2),
    'pusher_pets': aslant(2.5, 0.3, -0.3, -0.2),
    'reacher': above(1.0, 0.0, 0.0),
    'reacher_pets': aslant(2.5, 0.3, -0.2, 0.0),
    'swimmer': above(8.0, 0.0, 0.0),
    'valve_pddm': aslant(0.8, 0.0, 0.0, 0.15),
    'walker2d': side(6.0, 1.0, 1.0),
    ANY: aslant(4.0, 0.0, 0.0, 0.0),
}

_TEMPLATE = string.Template("""\
# Written by tools/rviz_configs.py. Topics are relative: RViz is started in the robot's namespace.
Panels:
  - Class: rviz_common/Displays
    Name: Displays
  - Class: rviz_common/Views
    Name: Views
  - Class: rviz_common/Time
    Name: Time
Visualization Manager:
  Class: ""
  Displays:
    - Class: rviz_default_plugins/Grid
      Name: Grid
      Enabled: true
      Cell Size: 0.5
      Plane: $plane
      Plane Cell Count: 40
      Color: 90; 90; 90
      Alpha: 0.4
      Value: true
$displays
  Enabled: true
  Global Options:
    Background Color: 38; 40; 44
    Fixed Frame: world
    Frame Rate: 30
  Name: root
  Tools:
    - Class: rviz_default_plugins/MoveCamera
    - Class: rviz_default_plugins/Measure
  Value: true
  Views:
    Current:
      Class: rviz_default_plugins/Orbit
      Name: Current View
      Target Frame: world
      Distance: $distance
      Focal Point:
        X: $x
        Y: $y
        Z: $z
      Pitch: $pitch
      Yaw: $yaw
      Value: Orbit (rviz)
Window Geometry:
  Height: 720
  Width: 1200
""")
_DISPLAY = string.Template("""\
    - Class: rviz_default_plugins/$kind
      Name: $name
      Enabled: $enabled
      Topic:
        Value: $topic
        Depth: 5
        Durability Policy: Volatile
        History Policy: Keep Last
        Reliability Policy: Reliable
      Value: $enabled""")
DISPLAYS = (  # kind, name, topic, whether it is shown at start
    ('MarkerArray', 'Robot', 'markers', 'true'),
    ('MarkerArray', 'Plan', 'plan_markers', 'true'),
    ('MarkerArray', 'Candidates', 'candidates', 'true'),
    ('Path', 'Path of the first point', 'plan_path', 'false'),
)


def text_of(view: View) -> str:
    """The configuration with that view."""
    displays = [
        _DISPLAY.substitute(kind=kind, name=name, topic=topic, enabled=enabled)
        for kind, name, topic, enabled in DISPLAYS
    ]
    x, y, z = view.focus
    return _TEMPLATE.substitute(
        dataclasses.asdict(view), x=x, y=y, z=z, displays='\n'.join(displays)
    )


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, view in VIEWS.items():
        (FOLDER / f'{name}.rviz').write_text(text_of(view))


if __name__ == '__main__':
    main()
