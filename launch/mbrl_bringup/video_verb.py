"""``mbrl video``: a recorded episode as a film. Needs no graph, no rclpy and no screen."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from mbrl_bringup.argument_types import positive

EXIT_FAILED = 1
EXIT_USAGE = 2


def add_parser(verbs: Any) -> None:
    """Add the command line to the subparsers of ``mbrl``."""
    video = verbs.add_parser(
        'video',
        help='draw a recorded episode as a film, MP4 or GIF',
        description='Draw a recorded episode as a film that plays at the speed the robot had. '
        'Needs no running graph and no screen. Ends with 0 if it is written, 1 if something '
        'failed, 2 if something given is wrong.',
    )
    video.add_argument(
        'path', type=Path, metavar='PATH', help='a run folder, a folder of bags, or a bag'
    )
    video.add_argument(
        '--episode',
        default='best',
        metavar='N',
        help='its number, or best (the highest return, of the planned ones if it is known which '
        'are), or last (default: best)',
    )
    video.add_argument(
        '-o',
        '--out',
        type=Path,
        metavar='FILE',
        help='ends in .mp4 or .gif (default: NAME-episode-N.mp4 here)',
    )
    which = video.add_mutually_exclusive_group()
    which.add_argument('--task', metavar='TASK', help="name of the task (default: the run's)")
    which.add_argument(
        '--params-file', type=Path, metavar='FILE', help="parameter file (default: the run's)"
    )
    video.add_argument(
        '--frame-rate',
        type=positive,
        default=25.0,
        metavar='HZ',
        help='most frames per second of simulated time (default: 25)',
    )
    video.add_argument(
        '--size', type=_size, metavar='WxH', help="in pixels (default: the parameter file's)"
    )
    video.add_argument(
        '--camera', metavar='NAME', help="of the model (default: the parameter file's)"
    )


def run(arguments: argparse.Namespace, terminal: Any) -> int:
    """Run the verb; returns the exit code."""
    from mbrl_common.settings import SettingsError
    from mbrl_dynamics.bag import BagError

    try:
        return _run(arguments, terminal)
    except SettingsError as error:
        terminal.error(str(error))
        return EXIT_USAGE
    except (BagError, OSError) as error:
        terminal.error(str(error))
        return EXIT_FAILED


def _run(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_bringup.recorded import find_episode
    from mbrl_common.settings import SettingsError
    from mbrl_common.taskfile import node_settings
    from mbrl_sim_bridge.settings import SimBridgeSettings
    from mbrl_sim_bridge.video import check_name, write_video

    if arguments.out is not None:
        check_name(arguments.out)  # before bags are read
    episode = find_episode(arguments.path, arguments.episode)
    overrides: dict[str, Any] = {}
    if arguments.size is not None:
        overrides['sim.render_width'], overrides['sim.render_height'] = arguments.size
    if arguments.camera is not None:
        overrides['sim.camera'] = arguments.camera
    settings = node_settings(_params_file(arguments), 'sim_bridge', SimBridgeSettings, overrides)
    width = episode.states.shape[1]
    if width != settings.task.state_dim:
        raise SettingsError(
            [
                f'{episode.bag} has states of {width} numbers; those of the task '
                f"'{settings.task.name}' have {settings.task.state_dim}"
            ]
        )
    name = arguments.path.resolve().stem
    if arguments.path != episode.bag:  # the name of a bag says enough
        name += f'-episode-{episode.number}'
    out = arguments.out or Path(f'{name}.mp4')
    with terminal.bar(f'episode {episode.number}', 'frames') as progress:
        try:
            write_video(out, settings, episode.states, arguments.frame_rate, progress)
        except OSError as error:
            raise OSError(f'{out} cannot be written: {error.strerror or error}') from error
    gain = episode.episode_return
    known = '' if math.isnan(gain) else f', return {gain:.1f}'
    seconds = len(episode.states) * settings.task.control_period
    terminal.console.print(
        f'{out}: episode {episode.number}{known}, {seconds:.1f} s, '
        f'{out.stat().st_size / 1e6:.2f} MB',
        markup=False,
    )
    return 0


def _params_file(arguments: argparse.Namespace) -> Path:
    from mbrl_bringup.recorded import params_file_beside
    from mbrl_bringup.tasks import params_file_of
    from mbrl_common.settings import SettingsError

    if arguments.params_file is not None:
        return Path(arguments.params_file)
    if arguments.task is not None:
        return params_file_of(arguments.task)
    found = params_file_beside(arguments.path)
    if found is None:
        raise SettingsError(
            [
                f'{arguments.path} does not say of which task it is; give --task or --params-file '
                '(`mbrl tasks` lists the tasks)'
            ]
        )
    return found


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f'{text} must be as 640x480')
    return int(width), int(height)
