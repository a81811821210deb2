"""Downloads of competitions as they come, small: folders of images beside tables of labels and a sample submission."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

BREEDS = ("beagle", "boxer", "pug")
"""Labels of the images, one after the other."""


def images(folder: Path, names: list[str]) -> None:
    """Write black images of 4 x 4 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.zeros((4, 4, 3), dtype=np.uint8))


def table(path: Path, header: str, rows: list[str]) -> None:
    """Write a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


def breed(number: int) -> str:
    """Return the breed of an image."""
    return BREEDS[number % 3]


def labelled(root: Path, header: str, labels: list[str], sample: str) -> None:
    """Write a training image and a row of train.csv for each label, and one test image."""
    images(root / "train", [f"t{number}.jpg" for number in range(len(labels))])
    images(root / "test", ["x.jpg"])
    table(root / "train.csv", header, [f"t{number},{label}" for number, label in enumerate(labels)])
    table(root / "sample_submission.csv", "id,label", [f"x,{sample}"])


def csv_with_endings(root: Path) -> None:
    """Write images whose table names them with their endings."""
    images(root / "train_images", [f"{number}.png" for number in range(9)])
    images(root / "test_images", ["x.png", "y.png"])
    table(root / "train.csv", "image,breed", [f"{number}.png,{breed(number)}" for number in range(9)])
    table(root / "sample_submission.csv", "image,breed", ["x.png,pug", "y.png,pug"])


def names(root: Path) -> None:
    """Write images whose names tell their labels."""
    images(root / "train", [f"{('cat', 'dog')[n % 2]}.{n}.jpg" for n in range(6)])
    images(root / "test", ["1.jpg", "2.jpg"])
    table(root / "sample_submission.csv", "id,label", ["1,0.5", "2,0.5"])


def grades(root: Path) -> None:
    """Write labels that are whole numbers from 0 to 4."""
    images(root / "train", [f"t{number}.jpg" for number in range(10)])
    images(root / "test", ["x.jpg"])
    table(root / "train.csv", "id_code,diagnosis", [f"t{number},{number % 5}" for number in range(10)])
    table(root / "sample_submission.csv", "id_code,diagnosis", ["x,0"])


def names_of_two_words(root: Path) -> None:
    """Write labels of two words each."""
    labelled(root, "id,species", ["sugar maple", "red oak", "black ash"], "red oak")
