"""Where the bodies are, for whoever wants TF; the markers need none."""

from __future__ import annotations

import mujoco
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.node import Node

from mbrl_common.drawing import FRAME
from mbrl_common.qos import STANDARD


class TransformPublisher:
    """Publishes ``/tf``, while somebody listens, where ``tf2_msgs`` is installed."""

    def __init__(self, node: Node) -> None:
        self._prefix = node.get_namespace().strip('/')
        self._publisher = None
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            return
        self._kind = TFMessage
        self._publisher = node.create_publisher(TFMessage, '/tf', STANDARD)

    @property
    def watched(self) -> bool:
        """Whether anybody listens."""
        return self._publisher is not None and self._publisher.get_subscription_count() > 0

    def publish(self, model: mujoco.MjModel, data: mujoco.MjData, stamp: Time) -> None:
        """Send where the bodies are, in a state whose kinematics MuJoCo has computed."""
        if self._publisher is not None:
            transforms = transforms_of(model, data, self._prefix)
            for transform in transforms:
                transform.header.stamp = stamp
            self._publisher.publish(self._kind(transforms=transforms))


def transforms_of(
    model: mujoco.MjModel, data: mujoco.MjData, prefix: str = ''
) -> list[TransformStamped]:
    """From the frame ``world`` to each body that has a name.

    Args:
        model: of the robot.
        data: a state whose kinematics MuJoCo has computed.
        prefix: put before the bodies' names and a slash, to tell several robots apart.
    """
    transforms = []
    for body in range(1, model.nbody):
        name = model.body(body).name
        if not name:
            continue
        x, y, z = data.xpos[body].tolist()
        qw, qx, qy, qz = data.xquat[body].tolist()
        transform = Transform(
            translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)
        )
        child = f'{prefix}/{name}' if prefix else name
        entry = TransformStamped(child_frame_id=child, transform=transform)
        entry.header.frame_id = FRAME
        transforms.append(entry)
    return transforms
