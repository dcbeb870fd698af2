"""The bag's schema and encoding against the installed message and others' readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.records import Schema
from mcap_ros2.decoder import DecoderFactory

from mbrl_dynamics.bag_schema import SCHEMA, SCHEMA_NAME, encode_cdr, from_message
from mbrl_dynamics.transition import Transition


def test_the_schema_is_the_message_as_it_is_installed() -> None:
    ament = pytest.importorskip('ament_index_python.packages')
    pytest.importorskip('mbrl_msgs')
    share = Path(ament.get_package_share_directory('mbrl_msgs'))
    installed = (share / 'msg' / 'Transition.msg').read_text().strip()
    assert SCHEMA.split('=' * 80)[0].strip() == installed


@pytest.mark.parametrize('width', [0, 1, 3])
@pytest.mark.parametrize('robot', ['', 'a', '/ns/mpc_controller', 'Zähler'])
def test_others_decode_what_we_encode(
    robot: str,
    width: int,
    make_transition: Callable[..., Transition],
    assert_same: Callable[[Transition, Transition], None],
) -> None:
    transition = make_transition(
        41, robot=robot, session=2**64 - 1, terminated=True, action=np.zeros(width)
    )
    schema = Schema(1, SCHEMA.encode(), 'ros2msg', SCHEMA_NAME)
    decode = DecoderFactory().decoder_for('cdr', schema)
    assert decode is not None
    assert_same(from_message(decode(encode_cdr(transition))), transition)


def test_it_is_the_encoding_of_the_middleware(
    make_transition: Callable[..., Transition],
    assert_same: Callable[[Transition, Transition], None],
) -> None:
    serialization = pytest.importorskip('rclpy.serialization')
    message: Any = pytest.importorskip('mbrl_msgs.msg').Transition
    transition = make_transition(17)
    read = serialization.deserialize_message(encode_cdr(transition), message)
    assert_same(from_message(read), transition)
