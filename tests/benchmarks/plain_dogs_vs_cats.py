"""What a user would write instead: one plain script, one model, five folds, Dogs vs. Cats from scratch.

    python tests/benchmarks/plain_dogs_vs_cats.py DATA [submission.csv]

A residual network of width 24 at 64 px, 25 epochs of one-cycle AdamW, mirrored and shifted images, mirror images at
test time, all cores in one process. It prints its seconds and its out-of-fold log loss, to be held against

    kaggle-ray run dogs_vs_cats --data DATA --space search_spaces/dogs_vs_cats_small.py
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from record import Measured, record_options
from rich.table import Table
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn
from torch.nn import functional

SIZE, WIDTH, EPOCHS, BATCH, LR, FOLDS = 64, 24, 25, 64, 3e-3, 5


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.skip(x))


def make_network() -> nn.Sequential:
    stem = [nn.Conv2d(3, WIDTH, 3, 2, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU()]
    blocks = [Block(WIDTH, WIDTH, 1), Block(WIDTH, 2 * WIDTH, 2), Block(2 * WIDTH, 4 * WIDTH, 2)]
    blocks.append(Block(4 * WIDTH, 8 * WIDTH, 2))
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * WIDTH, 1))


def load(paths: list[Path]) -> Tensor:
    images = [cv2.resize(cv2.imread(str(path)), (SIZE, SIZE), interpolation=cv2.INTER_AREA) for path in paths]
    return (torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255 - 0.45) / 0.25


def augment(images: Tensor) -> Tensor:
    padded = functional.pad(images, (6, 6, 6, 6), mode="reflect")
    batch = []
    for image in padded:
        top, left = torch.randint(0, 13, (2,)).tolist()
        crop = image[:, top : top + SIZE, left : left + SIZE]
        batch.append(crop.flip(2) if torch.rand(()) < 0.5 else crop)
    return torch.stack(batch)


@torch.no_grad()
def predict(network: nn.Module, images: Tensor) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    network.eval()
    batches = torch.split(images, 256)
    straight = torch.cat([torch.sigmoid(network(batch)) for batch in batches])
    mirrored = torch.cat([torch.sigmoid(network(batch.flip(3))) for batch in batches])
    return ((straight + mirrored) / 2)[:, 0].double().numpy()


def train(images: Tensor, labels: Tensor) -> nn.Module:
    network = make_network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=0.05)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps * EPOCHS)
    for _ in range(EPOCHS):
        network.train()
        order = torch.randperm(len(images))
        for rows in torch.split(order[: steps * BATCH], BATCH):
            loss = functional.binary_cross_entropy_with_logits(network(augment(images[rows]))[:, 0], labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.argument("submission", type=click.Path(path_type=Path), required=False)
@record_options
def main(data: Path, submission: Path | None, record: bool, note: str) -> None:
    """Cross-validate on the photographs of DATA, and write SUBMISSION where it is named."""
    started = time.perf_counter()
    torch.manual_seed(0)
    train_paths = sorted((data / "train").glob("*.jpg"))
    test_paths = sorted((data / "test").glob("*.jpg"), key=lambda path: int(path.stem))
    labels = np.array([path.name.startswith("dog") for path in train_paths], dtype=np.float32)
    images, test_images = load(train_paths), load(test_paths)
    oof, test = np.zeros(len(images)), np.zeros(len(test_images))
    for train_rows, valid_rows in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels):
        network = train(images[train_rows], torch.from_numpy(labels[train_rows]))
        oof[valid_rows] = predict(network, images[valid_rows])
        test += predict(network, test_images) / FOLDS
    if submission is not None:
        lines = [f"{path.stem},{value!r}" for path, value in zip(test_paths, test.tolist(), strict=True)]
        submission.write_text("\n".join(["id,label", *lines]) + "\n")
    table = Table("seconds", "out-of-fold log loss", title=f"{len(images)} photographs, {FOLDS} folds")
    table.add_row(f"{time.perf_counter() - started:.0f}", f"{log_loss(labels, oof):.4f}")
    measured = Measured(benchmark="plain_dogs_vs_cats", record=record, note=note)
    measured.show(table)
    measured.leave()


if __name__ == "__main__":
    main()
