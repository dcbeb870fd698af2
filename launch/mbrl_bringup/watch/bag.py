"""A recorded graph in place of one that runs: what a bag has is handed on as if it came now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mbrl_bringup.interruption import check_interrupted
from mbrl_bringup.watch.intake import KINDS, MARKERS, Intake, Place, Sink
from mbrl_common.settings import SettingsError
from mbrl_dynamics.ros_bag import RosBag, Topic, find_bags


class WatchedBag:
    """A bag that has something to show."""

    def __init__(self, path: Path, place: Place) -> None:
        """
        Args:
            path: a bag, or a folder with one below it that has markers.
            place: the topics of which are shown.

        Raises:
            SettingsError: there is no such bag, more than one, or none with what could be shown.
            BagError, OSError: it cannot be read.
        """
        if not path.exists():
            raise SettingsError([f'there is no {path}'])
        self._bag, self._place = _one_of(path), place
        self.path = self._bag.path
        self.topics = self._shown()
        if not self.topics:
            raise SettingsError(
                [
                    f'{self.path} has nothing that can be shown; its topics: '
                    f'{self._bag.describe_topics()}'
                ]
            )
        self.has_markers = any(topic.type == MARKERS for topic in self.topics)

    def play(self, sink: Sink, note: Callable[[str], object]) -> None:
        """Hand all of it to ``sink``, as fast as that takes it.

        Raises:
            BagError, OSError: it cannot be read further.
        """
        intake = Intake(sink, self._place, note)
        take = {topic.name: intake.taker(topic.type, topic.name) for topic in self.topics}
        for message in self._bag.messages(list(take)):
            check_interrupted()
            take[message.topic.name](message.message, message.log_time * 1e-9)

    def _shown(self) -> list[Topic]:
        return [
            topic
            for topic in self._bag.topics_of(KINDS)
            if self._place.below(topic.name) is not None
        ]


def _one_of(path: Path) -> RosBag:
    """The bag itself; or, of a folder with many, such as a run's, the one with markers."""
    found = [RosBag(each) for each in find_bags(path)]
    if len(found) > 1:
        drawn = [bag for bag in found if bag.topics_of([MARKERS])]
        if len(drawn) != 1:
            those = f'those with markers: {", ".join(str(bag.path) for bag in drawn)}'
            those = those if drawn else 'none of them with markers'
            raise SettingsError([f'{path} has {len(found)} bags, {those}; give one'])
        found = drawn
    return found[0]
