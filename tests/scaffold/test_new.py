"""What the files of a new competition do not tell is asked; answers are taken or refused; nothing is overwritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kaggle_ray.cli import main
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.scaffold import write
from kaggle_ray.scaffold.answers import Answers, UnclearError
from kaggle_ray.scaffold.new import new_competition
from kaggle_ray.testing.downloads import (
    breed,
    csv_with_endings,
    grades,
    images,
    labelled,
    names,
    names_of_two_words,
    table,
)

Layout = Callable[[Path], None]


def marked_tags(root: Path) -> None:
    labelled(root, "id,tags", ["cloud|road", "road", "cloud"], "road")


def pairs_of_words(root: Path) -> None:
    names = [f"{color} {kind}" for color in ("red", "black", "white") for kind in ("cat", "dog", "fox")]
    labelled(root, "id,animal", names, "red cat")


def boxes(root: Path) -> None:
    labelled(root, "id,PredictionString", ["1.0 0 0 50 50", "0.5 3 4 9 9"], "1.0 0 0 50 50")


def points(root: Path) -> None:
    labelled(root, "id,where", ["3 7 3 9", "5 5", "8 1"], "1 1")


def no_label(root: Path) -> None:
    labelled(root, "id,breed", ["pug", "", "boxer"], "pug")


def numbers_for_names(root: Path) -> None:
    labelled(root, "id,breed", ["pug", "boxer", "beagle"], "0")


def masks_beside_images(root: Path) -> None:
    for part in ("images", "masks"):
        images(root / "train" / part, ["a.png", "b.png"])
    images(root / "test", ["x.png"])
    table(root / "sample_submission.csv", "id,label", ["x,0.5"])


def columns_of_others(root: Path) -> None:
    labelled(root, "id,breed", ["pug", "boxer", "beagle"], "")
    table(root / "sample_submission.csv", "id,pug,boxer,poodle", ["x,0.3,0.3,0.4"])


def packed_and_parquet(root: Path) -> None:
    images(root / "test", ["x.jpg"])
    images(root / "train", ["a.jpg", "b.jpg"])
    (root / "labels.parquet").write_bytes(b"PAR1")
    (root / "extra.zip").write_bytes(b"PK")
    table(root / "sample_submission.csv", "id,label", ["x,0.5"])


def paths_in_the_table(root: Path) -> None:
    labelled(root, "id,breed", ["pug", "boxer"], "pug")
    table(root / "train.csv", "file,breed", ["train/t0.jpg,pug", "train/t1.jpg,boxer"])


def masks_in_a_column(root: Path) -> None:
    labelled(root, "id,rle_mask", ["1 1", "2 3", "4 5"], "1 1")
    images(root / "train" / "masks", [f"t{number}.jpg" for number in range(3)])
    images(root / "train" / "images", [f"t{number}.jpg" for number in range(3)])
    table(root / "sample_submission.csv", "id,rle_mask", ["x,1 1"])


def labels_in_names_of_two_folders(root: Path) -> None:
    names(root)
    images(root / "large", ["cat.0.jpg", "cat.1.jpg", "dog.1.jpg", "dog.2.jpg"])


def other_images_beside_labels_in_names(root: Path) -> None:
    names(root)
    images(root / "extra", ["a.jpg", "b.jpg"])


QUESTIONS: Mapping[Layout, str] = {
    masks_in_a_column: "column 'rle_mask' asks for masks: declare them by hand",
    labels_in_names_of_two_folders: "names tell their labels, found 2: large, train. Say it: --train FOLDER",
    other_images_beside_labels_in_names: r"train: the names .* there are images in extra, too\..* --train train",
    names: "of which is it the probability.* --positive dog",
    grades: "names of classes, or amounts.* --task multiclass or --task regression",
    marked_tags: r"labels such as 'cloud\|road' have '\|' in them: names, or several tags",
    pairs_of_words: "labels such as 'red cat' are of as many words each",
    boxes: "boxes, which no competition here predicts",
    points: "rows of numbers: boxes, points or run lengths",
    no_label: "1 of 3 images have an empty label",
    numbers_for_names: "the labels are 3 names, .* and the sample's cells numbers, such as '0'",
    masks_beside_images: "train/images, train/masks: have images of the same names: masks",
    columns_of_others: "Columns that are no label: poodle; labels without a column: beagle",
    packed_and_parquet: r"Not looked into: extra\.zip, labels\.parquet\. Unpack archives, and save tables as CSV",
    paths_in_the_table: "no table names the training images",
}


@pytest.mark.parametrize("layout", QUESTIONS, ids=lambda layout: layout.__name__)
def test_what_the_files_do_not_tell_is_asked(layout: Layout, tmp_path: Path) -> None:
    layout(tmp_path / "data")
    with pytest.raises(UnclearError, match=QUESTIONS[layout]):
        new_competition("pets", tmp_path / "data", into=tmp_path)
    assert not (tmp_path / "competitions").exists()


def test_two_tables_of_labels_are_a_question_and_its_answer_is_taken(tmp_path: Path) -> None:
    csv_with_endings(tmp_path)
    table(tmp_path / "old.csv", "image,breed", [f"{number}.png,{breed(number + 1)}" for number in range(9)])
    with pytest.raises(
        UnclearError, match=r"one table of labels, found 2: old\.csv, train\.csv. Say it: --labels FILE"
    ):
        new_competition("pets", tmp_path, into=tmp_path)
    assert new_competition("pets", tmp_path, answers=Answers(labels="train.csv"), into=tmp_path).num_train == 9


def test_a_download_without_sample_images_or_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        new_competition("pets", tmp_path / "nowhere", into=tmp_path)
    table(tmp_path / "data" / "train.csv", "id,label", ["a,b"])
    with pytest.raises(DataError, match="Unpack the archives"):
        new_competition("pets", tmp_path / "data", into=tmp_path)
    images(tmp_path / "data" / "train", ["a.jpg"])
    with pytest.raises(UnclearError, match=r"found none among train\.csv\. Say it: --sample"):
        new_competition("pets", tmp_path / "data", into=tmp_path)


def test_the_command_says_what_it_concluded_and_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    csv_with_endings(tmp_path / "data")
    main(["new", "my-pets", "--data", "data"])
    out = capsys.readouterr().out
    assert "task: multiclass, 3 classes: beagle, boxer, pug" in out
    assert "metric: accuracy: no file tells it." in out
    assert "competitions/my_pets.py: 9 images to train on, 2 to predict" in out
    with pytest.raises(SystemExit, match="1"):
        main(["new", "my-pets", "--data", "data"])
    assert "is there already" in capsys.readouterr().err


def test_answers_are_taken_or_refused_and_never_passed_over(tmp_path: Path) -> None:
    marked_tags(tmp_path / "tags")
    (tmp_path / "tags" / "sample_submission.csv").rename(tmp_path / "tags" / "format.csv")
    with pytest.raises(UnclearError, match=r"--sample absent: expected a sample submission; there are: format\.csv"):
        new_competition("pets", tmp_path / "tags", answers=Answers(sample="absent"), into=tmp_path)
    names_of_two_words(tmp_path / "names")
    with pytest.raises(UnclearError, match="--task regression: labels and sample tell multiclass"):
        new_competition("pets", tmp_path / "names", answers=Answers(task="regression"), into=tmp_path)
    answers = Answers(sample="format.csv", task="multiclass")
    done = new_competition("pets", tmp_path / "tags", answers=answers, into=tmp_path)
    assert done.conclusion.classes == ("cloud", "cloud|road", "road")


@pytest.mark.parametrize("layout", [labels_in_names_of_two_folders, other_images_beside_labels_in_names])
def test_the_folder_to_train_on_is_the_one_that_is_named(layout: Layout, tmp_path: Path) -> None:
    layout(tmp_path / "data")
    done = new_competition("x", tmp_path / "data", answers=Answers(train="train", positive="cat"), into=tmp_path)
    assert (done.conclusion.train_folder, done.num_train) == ("train", 6)
    with pytest.raises(UnclearError, match=r"--train trian: expected a folder with images, .* there are: .*train"):
        new_competition("y", tmp_path / "data", answers=Answers(train="trian"), into=tmp_path)


def test_images_without_an_ending_are_told(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "abc").write_bytes(b"")
    (tmp_path / "test.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"There are test\.zip\. 1 file has no ending: images need one, such as \.jpg"):
        new_competition("pets", tmp_path, into=tmp_path)


def test_a_slug_that_is_no_name_of_a_module_becomes_one(tmp_path: Path) -> None:
    csv_with_endings(tmp_path / "data")
    assert new_competition("2024-pets", tmp_path / "data", into=tmp_path).competition.name == "competition_2024_pets.py"
    with pytest.raises(ConfigError, match="is there already"):
        new_competition("2024-pets", tmp_path / "data", into=tmp_path)


def test_a_cpu_begins_with_a_pretrained_network_where_its_weights_are_here_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for version, model in (("0.1", "timm/tf_efficientnet_lite0"), (None, "resnet9")):
        monkeypatch.setattr(write, "find_spec", lambda name, version=version: version)
        assert f'"model": "{model}"' in write.space_text("pets")
