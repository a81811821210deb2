"""The competition noun: what is to be predicted, how it is scored, and where its files are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kaggle_ray.config import SearchSpace
from kaggle_ray.config.described import ADDED_LATER
from kaggle_ray.config.settings import Settings
from kaggle_ray.data.auxiliary import check_auxiliary
from kaggle_ray.data.columns import Column, place_columns
from kaggle_ray.data.folds import FoldScheme
from kaggle_ray.data.head import Head, check_heads, metric_of
from kaggle_ray.data.normalization import Normalization
from kaggle_ray.data.reading import ImageReading, Reader, Reading
from kaggle_ray.data.samples import Samples
from kaggle_ray.data.submission_format import SubmissionFormat
from kaggle_ray.errors import ConfigError, DataError
from kaggle_ray.metrics import Metric
from kaggle_ray.types import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskSize:
    """Sides of a segmentation competition's masks, in pixels.

    >>> from kaggle_ray import MaskSize
    >>> MaskSize(full_height=1280, full_width=1918, height=320, width=480).height
    320
    >>> MaskSize(height=256, width=256).full_height is None  # masks are submitted each at its image's own size
    True

    Raises:
        ConfigError: on creation, where one of full height and width is left out.
    """

    full_height: int | None = None
    full_width: int | None = None
    """Height and width of the mask files and of the submission; None where these are of each image's own size."""
    height: int
    width: int
    """Height and width at which probabilities are kept, blended and scored; the submission enlarges them to full size
    before they are cut by the threshold."""
    own_sizes: Mapping[str, tuple[int, int]] | None = field(default=None, compare=False)
    """Full height and width by the sample's id, where each image has its own: looked up before a run, None before."""

    def __post_init__(self) -> None:
        """Check that both full sides are given, or none."""
        if (self.full_height is None) != (self.full_width is None):
            raise ConfigError("a mask size: expected full_height and full_width, or neither; got one of them.")

    @property
    def is_enlarged(self) -> bool:
        """Whether masks are submitted at another size than they are kept at."""
        return (self.height, self.width) != (self.full_height, self.full_width)

    @property
    def declared(self) -> tuple[int, int] | None:
        """Full height and width of all masks, None where each image has its own."""
        if self.full_height is None or self.full_width is None:
            return None
        return self.full_height, self.full_width

    def full_size(self, sample_id: str) -> tuple[int, int]:
        """Return the full height and width of a sample's mask.

        Raises:
            DataError: its image has to tell it, and does not decode.
        """
        if self.declared is not None:
            return self.declared
        assert self.own_sizes is not None, "they are looked up before anything is written"
        if sample_id not in self.own_sizes:
            raise DataError(f"sample {sample_id!r}: its image does not decode, so that its mask has no size.")
        return self.own_sizes[sample_id]


@dataclass(frozen=True, kw_only=True, slots=True)
class Competition:
    """One image competition, declared in one file as ``COMPETITION = Competition(...)``.

    >>> from kaggle_ray import Competition, Head, Samples, SearchSpace, SubmissionFormat, as_ids, encode_labels
    >>> from kaggle_ray import join_images, metric_by_name, read_table
    >>> def read(folder):
    ...     train = read_table(folder / "train.csv", columns=["id", "label"])
    ...     test = read_table(folder / "sample_submission.csv", columns=["id"])
    ...     train_ids, test_ids = train["id"].tolist(), test["id"].tolist()
    ...     return Samples(
    ...         train_ids=as_ids(train_ids),
    ...         train_paths=join_images(train_ids, folder / "train", table=folder / "train.csv"),
    ...         target=encode_labels(train["label"].tolist(), ("cat", "dog"), ids=train_ids, where="train.csv"),
    ...         test_ids=as_ids(test_ids),
    ...         test_paths=join_images(test_ids, folder / "test", table=folder / "sample_submission.csv"),
    ...     )
    >>> COMPETITION = Competition(
    ...     name="pets",
    ...     heads=(Head(task="binary", classes=("cat", "dog"), metric=metric_by_name("log_loss")),),
    ...     read=read,
    ...     submission=SubmissionFormat(id_column="id", columns=("label",)),
    ...     default_space=lambda settings: SearchSpace(base={"model": "resnet18"}),
    ... )
    >>> COMPETITION.num_columns
    1
    """

    name: str
    heads: tuple[Head, ...]
    """What is to be predicted, and how it is scored; empty where ``resolve`` finds it out."""
    read: Callable[[Path], Samples]
    """Reads the rows from the data folder; raises DataError where files are missing or contradict each other."""
    submission: SubmissionFormat
    default_space: Callable[[Settings], SearchSpace]
    """The experiments to run where none are given, chosen for the machine."""
    folds: FoldScheme = field(default_factory=FoldScheme)
    prepare: Callable[[Path], None] | None = None
    """Writes the files into an empty folder, for a competition that carries them with it."""
    channels: int = 3
    """Channels of an image: 3 are red, green and blue; another number is taken from the file as it is."""
    reader: str | Reader | None = field(default=None, metadata=ADDED_LATER)
    """What reads the image files, where they are no photographs: a name of ``kaggle_ray.images.readers``, or a function
    as ``register_reader`` describes it. None decodes JPEG, PNG and the like."""
    images_per_file: int = field(default=1, metadata=ADDED_LATER)
    """Images of each file, such as the slices of a volume: an id has as many for each of its files."""
    normalization: Normalization | Literal["train"] | None = field(default=None, metadata=ADDED_LATER)
    """What images are normalised with; ``train``: mean and deviation over the training rows of each fold. None takes
    those of the network's library for photographs and what a reader gives of 8 bits, else ``train``."""
    mask: MaskSize | None = None
    """Size of the masks of a segmentation competition; None for any other."""
    reading: Reading | None = None
    """How the values of images and masks are read; None finds it out over the training files."""
    auxiliary_heads: tuple[Head, ...] = field(default=(), metadata=ADDED_LATER)
    """What the model learns beside ``heads``, of ``Samples.auxiliary_target`` or masks: trained by its ``loss_weight``
    and scored in each epoch, but neither submitted nor a part of the score that anything is chosen by."""
    resolve: Callable[[Competition, Path], Competition] | None = None
    """Returns the competition with what only its data folder tells, such as the names of the classes; see
    ``open_competition``. None where all is declared."""

    def __post_init__(self) -> None:
        """Raise ConfigError where heads, mask and submission contradict each other, once nothing is left to resolve."""
        if self.resolve is not None:
            return
        check_heads(self.heads, where=self.name)
        check_auxiliary(self.heads, self.auxiliary_heads, where=self.name)
        self._check_reader()
        if (self.mask is not None) != self.is_segmentation:
            raise ConfigError(f"{self.name}: a segmentation head and a mask size belong together, got one of them.")
        cells = self.submission.cells
        fitting: dict[str, tuple[Task, ...]] = {
            "label": ("binary", "multiclass"), "tags": ("multilabel",), "rle": ("segmentation",),
        }  # fmt: skip
        if cells in fitting and (len(self.heads) != 1 or self.heads[0].task not in fitting[cells]):
            raise ConfigError(
                f"{self.name}: cells of kind {cells!r} need one head of task {' or '.join(fitting[cells])}."
            )
        numbers = [head.name for head in self.heads if head.task == "regression"]
        if cells == "probabilities" and numbers:
            raise ConfigError(
                f"{self.name}: head {numbers[0]!r} predicts numbers, and cells of kind 'probabilities' are from 0 to "
                f"1. Set SubmissionFormat(cells='numbers')."
            )
        if cells == "tags":
            _check_tags(self.classes, self.submission, where=self.name)
        if self.is_segmentation and cells != "rle":
            raise ConfigError(f"{self.name}: masks are submitted as cells of kind 'rle', got {cells!r}.")
        place_columns(self.heads, self.submission)

    def _check_reader(self) -> None:
        of_images = self.reading.images if self.reading else None
        if self.reader is not None and of_images not in (None, ImageReading()):
            raise ConfigError(f"{self.name}: reader and reading.images both say how images are read, expected one.")
        if self.images_per_file < 1 or (self.images_per_file > 1 and self.reader is None):
            raise ConfigError(
                f"{self.name}: images_per_file: expected 1, or a reader of files with several images, got "
                f"{self.images_per_file}."
            )
        if isinstance(self.normalization, str) and self.normalization != "train":
            raise ConfigError(f"{self.name}: normalization: expected 'train' or numbers, got {self.normalization!r}.")

    @property
    def columns(self) -> tuple[Column, ...]:
        """What each of the submission's columns holds."""
        return place_columns(self.heads, self.submission)

    @property
    def is_segmentation(self) -> bool:
        """Whether masks are to be predicted."""
        return self.heads[0].task == "segmentation"

    @property
    def mask_head(self) -> Head:
        """The head whose truth are the mask files, where there are any."""
        return next((head for head in self.auxiliary_heads if head.task == "segmentation"), self.heads[0])

    @property
    def task(self) -> Task | None:
        """The task of the only head; None where there are several."""
        return self.heads[0].task if len(self.heads) == 1 else None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the only head; empty where there are several."""
        return self.heads[0].classes if len(self.heads) == 1 else ()

    @property
    def metric(self) -> Metric:
        """What a whole prediction is scored by."""
        return metric_of(self.heads)

    @property
    def num_columns(self) -> int:
        """C of a prediction."""
        num_outputs = sum(head.num_outputs for head in self.heads)
        return num_outputs if self.mask is None else num_outputs * self.mask.height * self.mask.width


def _check_tags(names: Sequence[str], fmt: SubmissionFormat, *, where: str) -> None:
    """Raise ConfigError for the first name that would not read back from a cell of several."""
    for name in names:
        cell = fmt.join_tags([name, name])
        # Others may split at any white space, and leave out what is blank around a name.
        loosely = [part.strip() for part in cell.split(fmt.separator.strip() or None)]
        if not fmt.split_tags(cell) == loosely == [name, name]:
            raise ConfigError(
                f"{where}: the label {name!r} would not read back from a cell of tags, in which {fmt.separator!r} "
                f"stands between the names. Rename it, or let SubmissionFormat(separator=...) be the one that the "
                f"sample submission uses."
            )
