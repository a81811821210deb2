"""A table of layouts: what is concluded is right, or asked. What is written is a competition that opens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kaggle_ray.data.opening import load_competition, open_competition
from kaggle_ray.scaffold.answers import Answers, UnclearError
from kaggle_ray.scaffold.new import new_competition
from kaggle_ray.testing.downloads import (
    BREEDS,
    breed,
    csv_with_endings,
    grades,
    images,
    labelled,
    names,
    names_of_two_words,
    table,
)

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def folder_per_class(root: Path) -> None:
    for number in range(9):
        images(root / "train" / breed(number), [f"{number}.jpg"])
    images(root / "test" / "unknown", ["a.jpg", "b.jpg"])
    table(root / "sample_submission.csv", "file,beagle,boxer,pug", ["a.jpg,0.3,0.3,0.4", "b.jpg,0.3,0.3,0.4"])


def csv_without_endings(root: Path) -> None:
    images(root / "train", [f"{number}.jpg" for number in range(9)])
    images(root / "test", [f"{number}.jpg" for number in range(2)])  # the same ids as in train
    table(root / "labels.csv", "id,breed", [f"{number},{breed(number)}" for number in range(9)])
    table(root / "sample_submission.csv", "id,beagle,boxer,pug", ["0,0.3,0.3,0.4", "1,0.3,0.3,0.4"])


def one_hot(root: Path) -> None:
    images(root / "images", [f"t{number}.jpg" for number in range(9)] + ["x.jpg"])
    rows = [f"t{n}," + ",".join(str(int(breed(n) == each)) for each in BREEDS) for n in range(9)]
    table(root / "train.csv", "image_id,beagle,boxer,pug", rows)
    table(root / "test.csv", "image_id", ["x"])
    table(root / "sample_submission.csv", "image_id,beagle,boxer,pug", ["x,0.3,0.3,0.4"])


def several_hot(root: Path) -> None:
    images(root / "train", [f"t{number}.jpg" for number in range(9)])
    images(root / "test", ["x.jpg"])
    table(root / "train.csv", "id,cloud,road", [f"t{number},{number % 2},{int(number < 6)}" for number in range(9)])
    table(root / "sample_submission.csv", "id,cloud,road", ["x,0.5,0.5"])


def tags(root: Path) -> None:
    images(root / "train-jpg", [f"t{number}.jpg" for number in range(6)])
    images(root / "test-jpg", ["x.jpg"])
    of_rows = ["clear", "clear road", "road water", "water", "clear water", "road"]
    table(root / "train.csv", "image_name,tags", [f"t{number},{text}" for number, text in enumerate(of_rows)])
    table(root / "sample_submission.csv", "image_name,tags", ["x,clear road"])


def original(root: Path) -> None:
    inputs = root / "datasets" / "inputs"
    images(inputs / "trn_jpg", [f"trn_{number}.jpg" for number in range(9)])
    images(inputs / "tst_jpg", ["tst_0.jpg"])
    table(inputs / "metadata.csv", "name,label", [f"trn_{number},{breed(number)}" for number in range(9)])
    table(inputs / "sample_submission.csv", "name,label", ["tst_0,pug"])


def zero_or_one(root: Path) -> None:
    images(root / "train", [f"t{number}.tif" for number in range(6)])
    images(root / "test", ["x.tif"])
    table(root / "train_labels.csv", "id,label", [f"t{number},{number % 2}" for number in range(6)])
    table(root / "sample_submission.csv", "id,label", ["x,0.5"])


def amounts(root: Path) -> None:
    images(root / "train", [f"t{number}.jpg" for number in range(6)])
    images(root / "test", ["x.jpg"])
    table(root / "train.csv", "Id,Pawpularity", [f"t{number},{number + 0.5}" for number in range(6)])
    table(root / "sample_submission.csv", "Id,Pawpularity", ["x,38.4"])


def tags_that_are_numbers(root: Path) -> None:
    labelled(root, "id,Target", ["5 0", "16", "0", "5 16", "0 5 16"], "0")


def amounts_with_an_empty_sample(root: Path) -> None:
    labelled(root, "id,weight", [f"{number + 0.25}" for number in range(6)], "")


def one_or_two(root: Path) -> None:
    labelled(root, "id,has_cactus", ["1", "2", "1", "2"], "1")


@dataclass(frozen=True, kw_only=True)
class Right:
    """What has to be concluded."""

    task: str
    classes: tuple[str, ...]
    cells: str
    train_folder: str
    test_folder: str
    labels: str | None
    id_column: str | None
    num_train: int
    num_test: int
    answers: Answers = field(default_factory=Answers)


Layout = Callable[[Path], None]
LAYOUTS: dict[Layout, Right] = {
    folder_per_class: Right(
        task="multiclass", classes=BREEDS, cells="probabilities", train_folder="train", test_folder="test/unknown",
        labels=None, id_column=None, num_train=9, num_test=2,
    ),
    csv_with_endings: Right(
        task="multiclass", classes=BREEDS, cells="label", train_folder="train_images", test_folder="test_images",
        labels="train.csv", id_column="image", num_train=9, num_test=2,
    ),
    csv_without_endings: Right(
        task="multiclass", classes=BREEDS, cells="probabilities", train_folder="train", test_folder="test",
        labels="labels.csv", id_column="id", num_train=9, num_test=2,
    ),
    one_hot: Right(
        task="multiclass", classes=BREEDS, cells="probabilities", train_folder="images", test_folder="images",
        labels="train.csv", id_column="image_id", num_train=9, num_test=1,
    ),
    several_hot: Right(
        task="multilabel", classes=("cloud", "road"), cells="probabilities", train_folder="train", test_folder="test",
        labels="train.csv", id_column="id", num_train=9, num_test=1,
    ),
    tags: Right(
        task="multilabel", classes=("clear", "road", "water"), cells="tags", train_folder="train-jpg",
        test_folder="test-jpg", labels="train.csv", id_column="image_name", num_train=6, num_test=1,
    ),
    original: Right(
        task="multiclass", classes=BREEDS, cells="label", train_folder="datasets/inputs/trn_jpg",
        test_folder="datasets/inputs/tst_jpg", labels="datasets/inputs/metadata.csv", id_column="name", num_train=9,
        num_test=1,
    ),
    zero_or_one: Right(
        task="binary", classes=("0", "1"), cells="probabilities", train_folder="train", test_folder="test",
        labels="train_labels.csv", id_column="id", num_train=6, num_test=1,
    ),
    amounts: Right(
        task="regression", classes=(), cells="numbers", train_folder="train", test_folder="test",
        labels="train.csv", id_column="Id", num_train=6, num_test=1,
    ),
    names: Right(
        task="binary", classes=("dog", "cat"), cells="probabilities", train_folder="train", test_folder="test",
        labels=None, id_column=None, num_train=6, num_test=2, answers=Answers(positive="cat"),
    ),
    grades: Right(
        task="regression", classes=(), cells="numbers", train_folder="train", test_folder="test", labels="train.csv",
        id_column="id_code", num_train=10, num_test=1, answers=Answers(task="regression", metric="quadratic_kappa"),
    ),
    tags_that_are_numbers: Right(
        task="multilabel", classes=("0", "16", "5"), cells="tags", train_folder="train", test_folder="test",
        labels="train.csv", id_column="id", num_train=5, num_test=1,
    ),
    amounts_with_an_empty_sample: Right(
        task="regression", classes=(), cells="numbers", train_folder="train", test_folder="test", labels="train.csv",
        id_column="id", num_train=6, num_test=1,
    ),
    one_or_two: Right(
        task="binary", classes=("1", "2"), cells="label", train_folder="train", test_folder="test", labels="train.csv",
        id_column="id", num_train=4, num_test=1, answers=Answers(positive="2", metric="accuracy"),
    ),
    names_of_two_words: Right(
        task="multiclass", classes=("black ash", "red oak", "sugar maple"), cells="label", train_folder="train",
        test_folder="test", labels="train.csv", id_column="id", num_train=3, num_test=1,
    ),
}  # fmt: skip


def check(data: Path, into: Path, right: Right) -> None:
    done = new_competition("my-pets", data, answers=right.answers, into=into)
    found = done.conclusion
    assert (found.task, found.classes, found.cells) == (right.task, right.classes, right.cells)
    assert (found.train_folder, found.test_folder) == (right.train_folder, right.test_folder)
    assert (found.label_file, found.id_column) == (right.labels, right.id_column)
    assert (done.num_train, done.num_test) == (right.num_train, right.num_test)
    opened, samples = open_competition(load_competition(done.competition)[0], data)
    assert opened.name == "my_pets"
    assert len(samples.test_ids) == right.num_test
    assert not set(samples.train_ids) & set(samples.test_ids)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_a_layout_is_understood_and_what_is_written_opens(layout: Layout, tmp_path: Path) -> None:
    layout(tmp_path / "data")
    check(tmp_path / "data", tmp_path, LAYOUTS[layout])


def test_the_label_of_each_image_is_its_own(tmp_path: Path) -> None:
    for layout in (folder_per_class, csv_without_endings, one_hot):
        data = tmp_path / layout.__name__
        layout(data)
        done = new_competition("pets", data, into=data / "code")
        opened, samples = open_competition(load_competition(done.competition)[0], data)
        for sample_id, number in zip(samples.train_ids.tolist(), samples.target.tolist(), strict=True):
            digits = int("".join(filter(str.isdigit, sample_id)))
            assert opened.classes[number] == breed(digits)


def test_the_table_of_layouts_that_are_here_is_right(tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip("the downloads are not here")
    check(
        SHARED / "cifar-10",
        tmp_path / "a",
        Right(
            task="multiclass",
            classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
            cells="label",
            train_folder="train",
            test_folder="test",
            labels="trainLabels.csv",
            id_column="id",
            num_train=2500,
            num_test=1000,
        ),
    )
    check(
        SHARED / "natural-scenes-multilabel",
        tmp_path / "b",
        Right(
            task="multilabel",
            classes=("desert", "mountains", "sea", "sunset", "trees"),
            cells="tags",
            train_folder="train-jpg",
            test_folder="test-jpg",
            labels="train_v2.csv",
            id_column="image_name",
            num_train=400,
            num_test=200,
        ),
    )
    done = new_competition("leaf", SHARED / "leaf-classification", into=tmp_path / "c")
    assert (done.conclusion.task, len(done.conclusion.classes), done.num_train) == ("multiclass", 32, 160)
    assert (
        "192 columns that train.csv and test.csv both have, such as 'margin1'" in dict(done.conclusion.said)["not used"]
    )
    answers = Answers(train="train", positive="dog")
    done = new_competition("dogs", SHARED / "dogs-vs-cats-redux-kernels-edition", answers=answers, into=tmp_path / "d")
    assert (done.conclusion.classes, done.num_train, done.num_test) == (("cat", "dog"), 2000, 1000)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("dogs-vs-cats-redux-kernels-edition", "names tell their labels, found 2: originals, train.*--train FOLDER"),
        ("carvana-image-masking-challenge", "asks for masks"),
        ("tgs-salt-identification-challenge", "asks for masks"),
        ("planet-understanding-the-amazon-from-space", "each of the 1,000 ids of .* found none. Say it: --data"),
    ],
)
def test_what_is_not_certain_of_the_layouts_that_are_here_is_asked(folder: str, message: str, tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip("the downloads are not here")
    with pytest.raises(UnclearError, match=message):
        new_competition("x", SHARED / folder, into=tmp_path)
    assert not (tmp_path / "competitions").exists()
