"""A process for one evaluation that someone asked for: it may read bags, draw, and take its time.

Neither the node nor a training waits for it.
"""

from __future__ import annotations

from pathlib import Path

from mbrl_dynamics.child import join_parent
from mbrl_dynamics.evaluation import load
from mbrl_dynamics.evaluation_job import EvaluationError, EvaluationJob, EvaluationOutcome, run
from mbrl_dynamics.plots import draw


def evaluate_and_draw(job: EvaluationJob) -> EvaluationOutcome:
    """Do the job, pictures included."""
    try:
        outcome = run(job)
        if job.plots and outcome.folder:
            draw(load(Path(outcome.folder)), Path(outcome.folder))
    except Exception as error:
        return EvaluationOutcome(
            EvaluationError.INTERNAL_ERROR, f'the evaluation failed: {error!r}'
        )
    return outcome


def main() -> None:
    """Do the one job that comes."""
    connection = join_parent()
    connection.send(evaluate_and_draw(connection.recv()))


if __name__ == '__main__':
    main()
