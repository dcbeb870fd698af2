"""``mbrl record``: what a graph said, read back by others, and shown again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip('mbrl_msgs')
from geometry_msgs.msg import Point
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from visualization_msgs.msg import Marker, MarkerArray

from mbrl_bringup.record.bag_folder import BagFolder
from mbrl_bringup.record.definitions import UnknownType, definition_of
from mbrl_bringup.testing import run_episodes, running
from mbrl_bringup.testing_page import content
from mbrl_bringup.testing_sink import Heard
from mbrl_bringup.watch.bag import WatchedBag
from mbrl_bringup.watch.intake import Place
from mbrl_common.qos import STANDARD
from mbrl_common.settings import SettingsError
from mbrl_common.testing import Probe, isolated_domain
from mbrl_dynamics.bag_schema import SCHEMA
from mbrl_dynamics.ros_bag import RosBag

COMMAND = [sys.executable, '-c', 'from mbrl_bringup.cli import main; main()']
DRAWN = ('/markers', '/plan_markers', '/candidates')


def begin(*arguments: str) -> subprocess.Popen[str]:
    """The command, once it records."""
    process = subprocess.Popen(
        [*COMMAND, 'record', '--timeout', '60', *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, 'PYTHONUNBUFFERED': '1'},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert 'Recording the graph' in line, line + process.stdout.read()
    return process


def end(process: subprocess.Popen[str], how: signal.Signals = signal.SIGINT) -> str:
    process.send_signal(how)
    output, _ = process.communicate(timeout=60.0)
    return output


@pytest.fixture(scope='module')
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag of a graph that has learned a little and planned."""
    folder = tmp_path_factory.mktemp('record')
    short = {'dynamics': {'training.updates_after_episode': 100, 'training.every_steps': 0}}
    with running(0, folder / 'run', short) as (_, probe):
        process = begin('-o', str(folder / 'bag'))
        try:
            probe.wait_until(lambda: probe.node.count_subscribers('candidates'), 60.0, 'recording')
            for episode in range(2):
                run_episodes(
                    probe,
                    timeout=120.0,
                    episodes=1,
                    first_episode=episode,
                    exploration_episodes=1 - episode,
                    max_steps=60,
                ).result(240.0)
        finally:
            output = end(process)
    assert process.returncode == 130 and 'is not recorded' not in output, output
    return folder / 'bag'


def metadata(folder: Path) -> dict[str, Any]:
    text = (folder / 'metadata.yaml').read_text()
    found: dict[str, Any] = yaml.safe_load(text)['rosbag2_bagfile_information']
    return found


@pytest.mark.timeout(600)
def test_all_that_is_watched_is_in_the_bag(recorded: Path) -> None:
    counts = {topic.name: topic.count for topic in RosBag(recorded).topics.values()}
    wanted = [*DRAWN, '/plan_path', '/plan', '/controller_status', '/training_status']
    wanted += ['/transition', '/joint_states', '/command', '/observation', '/diagnostics']
    assert all(counts.get(topic) for topic in wanted), counts
    assert counts['/transition'] == 120, 'none was lost'
    assert '/model' not in counts, 'a planner would take it for its own when it is played'


@pytest.mark.timeout(600)
def test_every_message_is_read_by_the_definitions_in_the_file(recorded: Path) -> None:
    (file,) = recorded.glob('*.mcap')
    counts: dict[str, int] = {}
    times = []
    with file.open('rb') as stream:
        reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == 'ros2'
        for schema, channel, record, _message in reader.iter_decoded_messages():
            assert schema is not None and schema.encoding == 'ros2msg'
            counts[channel.topic] = counts.get(channel.topic, 0) + 1
            times.append(record.log_time)
    about = metadata(recorded)
    assert sorted(times) == times
    assert about['message_count'] == len(times) == about['files'][0]['message_count']
    assert about['starting_time']['nanoseconds_since_epoch'] == times[0]
    assert about['duration']['nanoseconds'] == times[-1] - times[0]
    topics = about['topics_with_message_count']
    assert {t['topic_metadata']['name']: t['message_count'] for t in topics} == {
        **{t['topic_metadata']['name']: 0 for t in topics},
        **counts,
    }


@pytest.mark.timeout(600)
def test_the_description_is_what_rosbag2_asks_for(recorded: Path) -> None:
    """Of version 9: rosbag2_storage/yaml.hpp of Jazzy, which throws at a field that is missing."""
    about = metadata(recorded)
    assert about['version'] == 9 and about['storage_identifier'] == 'mcap'
    assert about['relative_file_paths'] == [file.name for file in recorded.glob('*.mcap')]
    assert about['compression_format'] == about['compression_mode'] == ''
    assert about['custom_data'] == {} and about['ros_distro']
    assert '&id' not in (recorded / 'metadata.yaml').read_text()
    qos = {}
    for each in about['topics_with_message_count']:
        topic = each['topic_metadata']
        assert topic['serialization_format'] == 'cdr'
        assert topic['type_description_hash'].startswith('RIHS01_')
        (profile, *_) = topic['offered_qos_profiles']
        assert set(profile) == {
            *('history', 'depth', 'reliability', 'durability', 'deadline', 'lifespan'),
            *('liveliness', 'liveliness_lease_duration', 'avoid_ros_namespace_conventions'),
        }
        qos[topic['name']] = profile['reliability'], profile['durability']
    assert qos['/controller_status'] == ('reliable', 'transient_local')
    assert qos['/markers'] == ('reliable', 'volatile')
    with next(recorded.glob('*.mcap')).open('rb') as stream:
        reader = make_reader(stream)
        (record,) = [record for record in reader.iter_metadata() if record.name == 'rosbag2']
        assert yaml.safe_load(record.metadata['serialized_metadata']) == about
        summary = reader.get_summary()
    assert summary is not None
    for channel in summary.channels.values():
        (profile, *_) = yaml.safe_load(channel.metadata['offered_qos_profiles'])
        assert (profile['reliability'], profile['durability']) == qos[channel.topic]
        assert channel.metadata['topic_type_hash'].startswith('RIHS01_')


@pytest.mark.timeout(600)
def test_a_bag_is_watched_as_the_graph_was(recorded: Path) -> None:
    heard, notes = Heard(), []
    bag = WatchedBag(recorded, Place('/', None))
    bag.play(heard, notes.append)
    assert bag.has_markers and not notes
    assert {'markers/cartpole_pets/cylinders', 'plan_markers/plan/lines'} <= set(heard.drawn)
    assert {'plan_markers/goal/points', 'candidates/candidates/lines'} <= set(heard.drawn)
    assert {robot for robot, _ in heard.values} == {''}
    values = {name: found for (_, name), found in heard.values.items()}
    assert len(values['reward/step']) == 120
    assert len(values['return/episode']) == 2, 'both were seen from their begin to their end'
    assert values['training/progress'] and values['plan_time/each']
    assert sorted(heard.arrivals) == heard.arrivals and heard.arrivals[0] > 1e9
    assert any('episode 1' in text for _, text in heard.remarks)


@pytest.mark.timeout(600)
def test_a_page_is_made_of_a_bag(recorded: Path, tmp_path: Path) -> None:
    page = tmp_path / 'a.html'
    command = [*COMMAND, 'watch', str(recorded), '--task', 'cartpole_swingup', '--save', str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'saved to' in done.stdout
    found = content(page)
    assert {'markers', 'plan_markers', 'candidates'} <= {each['name'] for each in found['topics']}
    assert len(found['blobs']) > 10, 'it moves'
    (reward,) = [plot for plot in found['plots'] if 'reward' in plot['title'].lower()]
    assert max(len(curve['points']) for curve in reward['curves']) == 120


@pytest.mark.timeout(120)
def test_of_a_recording_that_was_killed_there_is_what_came_before(tmp_path: Path) -> None:
    cloud = Marker(type=Marker.POINTS)
    cloud.points = [Point(x=float(number % 997)) for number in range(20_000)]
    with isolated_domain(), Probe(namespace='/lab') as probe:
        publisher = probe.node.create_publisher(MarkerArray, 'markers', STANDARD)
        outside = probe.node.create_publisher(MarkerArray, '/elsewhere', STANDARD)
        process = begin('--namespace', 'lab', '-o', str(tmp_path / 'bag'))
        about = tmp_path / 'bag' / 'metadata.yaml'
        deadline = time.monotonic() + 60.0
        while not (about.exists() and metadata(tmp_path / 'bag')['message_count'] > 10):
            assert time.monotonic() < deadline
            publisher.publish(MarkerArray(markers=[cloud]))
            outside.publish(MarkerArray())
            time.sleep(0.05)
        end(process, signal.SIGKILL)
    bag = RosBag(tmp_path / 'bag')
    assert set(bag.topics) == {'/lab/markers'} and not bag.finished
    assert len(list(bag.messages(['/lab/markers']))) > 5


def test_what_is_given_wrongly_is_refused(tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        return done.returncode, done.stderr

    (tmp_path / 'there').mkdir()
    code, text = run('record', '-o', 'there')
    assert code == 2 and 'there is there already; nothing is written over' in text
    with isolated_domain():
        code, text = run('record', '-o', 'new', '--timeout', '0.5')
    assert code == 1 and "no graph in namespace '/': nobody sends anything" in text
    assert not (tmp_path / 'new').exists()
    code, text = run('watch', 'nowhere', '--save', 'a.html')
    assert code == 2 and 'there is no nowhere' in text
    (tmp_path / 'foreign.mcap').write_text('no bag')
    code, text = run('watch', 'foreign.mcap', '--save', 'a.html')
    assert code == 1 and 'foreign.mcap: is no MCAP file' in text
    assert not (tmp_path / 'a.html').exists()


def test_a_bag_without_the_topics_says_what_it_has(tmp_path: Path) -> None:
    bag = BagFolder(tmp_path / 'bag')
    kind = 'std_msgs/msg/Bool'
    bag.add_topic('/switch', kind, definition_of(kind), [], '')
    bag.write('/switch', b'\0\1\0\0\1', 5, 5)
    bag.close()
    with pytest.raises(SettingsError, match=r'nothing that can be shown.*/switch \(std_msgs'):
        WatchedBag(tmp_path / 'bag', Place('/', None))


def test_a_definition_has_all_that_it_is_made_of() -> None:
    def bare(text: str) -> list[str]:
        lines = [line.partition('#')[0].split() for line in text.splitlines()]
        return [' '.join(words) for words in lines if words]

    assert bare(definition_of('mbrl_msgs/msg/Transition')) == bare(SCHEMA)
    markers = definition_of('visualization_msgs/msg/MarkerArray')
    for part in ('visualization_msgs/Marker', 'std_msgs/Header', 'geometry_msgs/Quaternion'):
        assert markers.count(f'MSG: {part}\n') == 1
    with pytest.raises(UnknownType, match='no definition of nobody_msgs/msg/Thing'):
        definition_of('nobody_msgs/msg/Thing')
