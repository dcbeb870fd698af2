"""What the sources never do, so that no message, model or bag can make a node run or write it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted(
    path
    for pattern in ('src/*/mbrl_*/**/*.py', 'launch/mbrl_bringup/**/*.py', 'launch/*.launch.py')
    for path in ROOT.glob(pattern)
)
# Each of them runs what it reads.
UNPICKLERS = {'pickle', 'cPickle', '_pickle', 'dill', 'cloudpickle', 'joblib', 'marshal', 'shelve'}
RUN = {'eval', 'exec', 'compile', '__import__'}
UNSAFE = {
    'os.system',
    'os.popen',
    'yaml.load',
    'yaml.load_all',
    'yaml.full_load',
    'yaml.unsafe_load',
    'torch.jit.load',
    'torch.hub.load',
}
SAFE_ONLY_WITH = {
    'torch.load': ('weights_only', True),
    'np.load': ('allow_pickle', False),
    'numpy.load': ('allow_pickle', False),
}
# Strings that a message brings into a node, and what they are.
STRINGS = {
    'Transition.msg': {'robot'},
    'TransitionAck.msg': {'robot'},
    'ModelSnapshot.msg': {'architecture'},
    'Observation.msg': {'names'},
    'Plan.msg': {'term_names'},
    'TrainingStatus.msg': {'text'},
    'ControllerStatus.msg': {'mode', 'text'},
    'ModelEvaluation.msg': {'source', 'state', 'text'},
    'SetMode.srv': {'mode'},
    'Evaluate.srv': {'source'},  # the one path: a bag, which is read and never written
}


def complaints(source: str) -> Iterator[str]:
    """What is wrong in a source file."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, 'lineno', 0)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or '']
            for module in modules:
                if module.partition('.')[0] in UNPICKLERS:
                    yield f'line {line}: imports {module}'
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            keywords = {
                keyword.arg: keyword.value.value
                for keyword in node.keywords
                if isinstance(keyword.value, ast.Constant)
            }
            if name in RUN or name in UNSAFE:
                yield f'line {line}: calls {name}'
            if keywords.get('shell'):
                yield f'line {line}: {name} with a shell'
            if name in SAFE_ONLY_WITH:
                key, value = SAFE_ONLY_WITH[name]
                if keywords.get(key) is not value:
                    yield f'line {line}: {name} without {key}={value}'


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: path.name)
def test_nothing_that_is_read_can_run(path: Path) -> None:
    assert not [f'{path}, {complaint}' for complaint in complaints(path.read_text())]


def test_the_suites_sources_were_found() -> None:
    packages = {path.relative_to(ROOT).parts[-2] for path in SOURCES}
    assert packages >= {'mbrl_common', 'mbrl_dynamics', 'mbrl_planner', 'mbrl_mpc', 'mbrl_bringup'}


@pytest.mark.parametrize(
    'line',
    [
        'import pickle',
        'from cloudpickle import loads',
        'eval(message.text)',
        'yaml.load(file)',
        'torch.load(path)',
        'torch.load(path, weights_only=False)',
        'np.load(path)',
        'subprocess.run(text, shell=True)',
    ],
)
def test_what_is_looked_for_would_be_found(line: str) -> None:
    assert len([*complaints(line)]) == 1


@pytest.mark.parametrize('line', ['model.eval()', 're.compile(x)', 'yaml.safe_load(file)'])
def test_what_only_looks_like_it_is_left_alone(line: str) -> None:
    assert not [*complaints(line)]


def test_the_strings_that_a_message_brings_in_are_known_and_only_one_is_a_path() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / 'src' / 'mbrl_msgs').glob('*/*.[msa]*')):
        if path.suffix not in ('.msg', '.srv', '.action'):
            continue
        incoming = path.read_text().split('\n---')[0]  # a request or a goal; answers follow
        for text in incoming.splitlines():
            words = text.partition('#')[0].split()
            if len(words) > 1 and words[0].rstrip('[]') in ('string', 'wstring'):
                found.setdefault(path.name, set()).add(words[1])
    assert found == STRINGS
