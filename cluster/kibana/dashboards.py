"""Writes the dashboards for Kibana: `python cluster/kibana/dashboards.py > cluster/kibana/dashboards.ndjson`.

Where the indices have another prefix than ours: `--prefix PREFIX`.
"""

import argparse

from saved_objects import Dashboard, Panel, count, days, lines, number, words


def _against(name: str, title: str, source: str, *, is_number: bool = True) -> Panel:
    """Return the score over a hyperparameter: mean, lowest and highest of the experiments with each value."""
    data_type = "number" if is_number else "string"
    return Panel(
        name=f"score-by-{name}",
        title=f"Score by {title}",
        kind="experiment",
        chart="line" if is_number else "bar",
        columns=[
            words(title, source, data_type=data_type, size=50),
            number("mean", "average"),
            number("lowest", "min"),
            number("highest", "max"),
        ],
    )


DASHBOARDS = [
    Dashboard(
        name="experiments",
        title="kaggle_ray: experiments across users",
        description="Every experiment with its honest score. Choose one competition: scores of two do not compare.",
        panels=[
            Panel(
                name="experiments-table",
                title="Experiments",
                kind="experiment",
                columns=[
                    words("experiment", "name", by="4", size=100),
                    words("user", "user", by="4"),
                    words("run", "run_id", by="4"),
                    words("metric", "metric", by="4"),
                    number("rank by", "max", "rank_by"),
                    number("score", "average"),
                    number("± folds", "average", "score_std"),
                    number("weight", "average", "weight"),
                    number("seconds", "sum", "duration_s"),
                ],
            ),
            Panel(
                name="experiments-by-user",
                title="Experiments by user",
                kind="experiment",
                chart="bar_stacked",
                columns=[
                    words("user", "user", by="2"),
                    words("competition", "competition", by="2"),
                    count("experiments"),
                ],
            ),
            Panel(
                name="scores-over-time",
                title="Scores over time, by user",
                kind="experiment",
                chart="line",
                columns=[days("last event"), words("user", "user"), number("score", "average")],
            ),
            Panel(
                name="trials-by-status",
                title="Trials by status",
                kind="trial",
                chart="bar_stacked",
                columns=[words("user", "user", by="2"), words("status", "status", by="2"), count("trials")],
            ),
        ],
    ),
    Dashboard(
        name="folds",
        title="kaggle_ray: fold spread",
        description="How far the folds of an experiment lie apart: a difference that is smaller is none.",
        panels=[
            Panel(
                name="fold-spread",
                title="Scores of the folds, by experiment",
                kind="trial",
                where='status : "committed"',
                chart="bar",
                columns=[
                    words("experiment", "name", size=50),
                    number("lowest fold", "min"),
                    number("median fold", "median"),
                    number("highest fold", "max"),
                ],
            ),
            Panel(
                name="fold-deviation",
                title="Standard deviation of the folds, by experiment",
                kind="trial",
                where='status : "committed"',
                chart="bar",
                columns=[
                    words("experiment", "name", by="1", size=50),
                    number("standard deviation", "standard_deviation"),
                ],
            ),
            Panel(
                name="score-by-fold",
                title="Score by fold, of each experiment",
                kind="trial",
                where='status : "committed"',
                chart="line",
                columns=[
                    words("fold", "fold", data_type="number", size=50),
                    words("experiment", "name"),
                    number("score", "average"),
                ],
            ),
            Panel(
                name="score-by-epoch",
                title="Score by epoch, mean of the folds of each experiment",
                kind="epoch",
                chart="line",
                columns=[
                    words("epoch", "epoch", data_type="number", size=200),
                    words("experiment", "name"),
                    number("score", "average"),
                ],
            ),
        ],
    ),
    Dashboard(
        name="hyperparameters",
        title="kaggle_ray: hyperparameters against score",
        description="The score over each hyperparameter, whatever the others are. Choose one competition.",
        panels=[
            _against("lr", "learning rate", "numeric_hyperparameters.lr"),
            _against("model", "model", "categorical_hyperparameters.model", is_number=False),
            _against("weight-decay", "weight decay", "numeric_hyperparameters.weight_decay"),
            _against("batch-size", "batch size", "numeric_hyperparameters.batch_size"),
            _against("image-size", "image size", "numeric_hyperparameters.image_size"),
            _against("epochs", "epochs", "numeric_hyperparameters.epochs"),
            _against("augment", "augmentation", "categorical_hyperparameters.augment", is_number=False),
            _against("optimizer", "optimizer", "categorical_hyperparameters.optimizer", is_number=False),
        ],
    ),
    Dashboard(
        name="cost",
        title="kaggle_ray: cost",
        description="Where the time goes: seconds of trials, images per second, memory.",
        panels=[
            Panel(
                name="seconds-by-user",
                title="Seconds of trials, by user and competition",
                kind="trial",
                chart="bar_stacked",
                columns=[
                    words("user", "user", by="2"),
                    words("competition", "competition", by="2"),
                    number("seconds", "sum", "duration_s"),
                ],
            ),
            Panel(
                name="seconds-over-time",
                title="Seconds of trials over time, by user",
                kind="trial",
                chart="bar_stacked",
                columns=[days("last event"), words("user", "user"), number("seconds", "sum", "duration_s")],
            ),
            Panel(
                name="cost-of-experiments",
                title="What an experiment costs, and what it scores",
                kind="experiment",
                columns=[
                    words("experiment", "name", by="2", size=100),
                    words("user", "user", by="2"),
                    number("seconds", "sum", "duration_s"),
                    number("score", "average"),
                    number("epochs", "max", "epochs"),
                ],
            ),
            Panel(
                name="speed-of-hosts",
                title="Images per second and memory, by host",
                kind="epoch",
                columns=[
                    words("host", "host", by="1"),
                    number("images per second", "average", "samples_per_s"),
                    number("bytes of a process", "max", "resident_bytes"),
                    number("bytes of its GPU", "max", "gpu_peak_bytes"),
                ],
            ),
        ],
    ),
]


def main() -> None:
    """Print the saved objects."""
    parser = argparse.ArgumentParser(description="Print the dashboards, a saved object a line.")
    parser.add_argument("--prefix", default="kaggle-ray", help="what the names of the indices begin with")
    for line in lines(parser.parse_args().prefix, DASHBOARDS):
        print(line)


if __name__ == "__main__":
    main()
