"""A competition's file that brings its own loss, metric, decision, searcher, reporter and way to ensemble.

It is a text: loaded, it registers their names, which a test forgets again by ``registrations_undone``.
"""

FILE = '''
import dataclasses
import pathlib

import numpy as np

import kaggle_ray
from kaggle_ray.testing.toy import COMPETITION as TOY


@kaggle_ray.register_decision("rounded_up", whole_numbers=True)
class RoundedUp:
    """Answers 1 above a cut that the rows teach."""

    def fit(self, metric, target, values):
        cuts = [0.3, 0.4, 0.5, 0.6]
        return {"cut": cuts[int(np.argmax([metric.score(target, self.apply(values, {"cut": cut})) for cut in cuts]))]}

    def default(self, num_columns):
        return {"cut": 0.5}

    def apply(self, values, parameters):
        return (values > parameters["cut"]).astype(np.float32)


@kaggle_ray.register_searcher("halving")
def halving(of):
    """Half the best learning rate so far."""
    best = min(of.told, key=lambda told: told.loss, default=None)
    rate = 2e-2 if best is None else best.draw["lr"] / 2
    for number in range(100):
        yield {"lr": rate / 2**number}


@kaggle_ray.register_combiner("last_two")
class LastTwo:
    """Half of each of the two members whose ids come last."""

    def fit(self, members, target, fold_of, metric):
        chosen = sorted(members)[-2:]
        return kaggle_ray.WeightedMean(weights={each: 1 / len(chosen) for each in chosen})

    def from_json(self, value):
        return kaggle_ray.WeightedMean.from_json(value)


class Chat:
    """Writes what kinds of events it is told into a file."""

    name = "chat"

    def recall(self, envelopes):
        pass

    def send(self, envelopes):
        with (pathlib.Path(__file__).parent / "chat.txt").open("a") as file:
            file.writelines(f"{type(each.event).__name__}\\n" for each in envelopes)

    def close(self):
        pass


@kaggle_ray.register_reporter("chat")
def make_sink(settings, read_artifact):
    return Chat()


@kaggle_ray.register_loss("squared", "binary")
def squared(head, num_outputs):
    return lambda logits, targets: (logits.sigmoid() - targets).square().mean(dim=1)


@kaggle_ray.register_metric("hits", greater_is_better=True, decision="rounded_up")
def hits(target, values):
    return float(np.mean(target == values[:, 0]))


HEAD = dataclasses.replace(TOY.heads[0], metric=kaggle_ray.metric_by_name("hits"))
COMPETITION = dataclasses.replace(TOY, name="own_parts", heads=(HEAD,))
'''
"""The file of a competition named ``own_parts``; its reporter writes ``chat.txt`` beside it."""
