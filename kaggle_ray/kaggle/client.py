"""Kaggle, as far as we ask it: its own command line in a process of its own.

The package exits the process that imports it without credentials, so it is never imported. Credentials are its own
affair: they are read by it from where it keeps them, and are taken out of whatever it prints.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Literal, Protocol

from kaggle_ray.errors import ConfigError, ServiceError
from kaggle_ray.typed_json import from_json, parse_json

PATIENCE_S = (1.0, 4.0, 10.0)
"""Waits before a question is asked again."""
_TIMEOUT_S = 900.0
"""Time-out of one command; an upload of run lengths may take minutes."""
_PAGE_SIZE = 200
"""Newest submissions that are looked at: more than a team makes in weeks."""
_SECRETS = ("KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME")
_TAKEN = "successfully submitted"
_NOT_UPLOADED = "could not submit to competition"
"""What the command prints, with exit code 0, where the file did not arrive."""
_HOPELESS = re.compile(
    r"\b40[0134]\b|unauthor|unauthenticated|authenticat|credential|permission|forbidden|not found", re.I
)
"""What asking again does not mend."""
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_DIGITS = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


class KaggleError(ServiceError):
    """Kaggle did not answer, or refused."""


class UploadError(KaggleError):
    """The file did not arrive, so that nothing was submitted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How many submissions a team has made, and how many it may make now."""

    num_today: int = 0
    num_total: int = 0
    num_allowed_now: int = 0
    limited_by_total: bool = False

    @property
    def is_spent(self) -> bool:
        """Whether none is left; of a team that has made none yet all numbers are 0, and tell nothing."""
        return self.num_allowed_now == 0 and self.num_today + self.num_total > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedSubmission:
    """A submission, as Kaggle lists it."""

    ref: int
    description: str
    status: Literal["pending", "complete", "error"]
    public_score: float | None
    private_score: float | None
    """Score on the other rows; None as long as the competition goes on."""


class Kaggle(Protocol):
    """What is asked of Kaggle, of one competition."""

    @property
    def slug(self) -> str:
        """The competition's name in its address."""
        ...

    def limits(self) -> Limits:
        """Return how many submissions may be made now."""
        ...

    def submissions(self) -> list[ListedSubmission]:
        """Return the newest submissions of the user's team."""
        ...

    def submit(self, file: Path, message: str) -> None:
        """Submit a file, once. Raise UploadError where nothing was submitted, KaggleError where that is not known."""
        ...


class KaggleCommand:
    """The official command line. What only asks is asked again; a submission is not."""

    def __init__(
        self, slug: str, *, sleep: Callable[[float], None] = time.sleep, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """Ask about the competition ``slug``.

        Raises:
            ConfigError: the slug is none, or the extra ``kaggle`` is not installed.
        """
        if not _SLUG.fullmatch(slug):
            raise ConfigError(
                f"expected a competition's name as in its address on Kaggle, such as a-b-c, got {slug!r}."
            )
        self.slug = slug
        self._sleep, self._timeout_s = sleep, timeout_s
        beside = Path(sys.executable).parent / "kaggle"
        program = str(beside) if beside.is_file() else shutil.which("kaggle")
        if program is None:
            raise ConfigError(
                "Kaggle's command line is not installed. Install the extra: pip install kaggle-ray[kaggle]"
            )
        self._program = program

    def limits(self) -> Limits:
        """Return how many submissions may be made now.

        Raises:
            KaggleError: there is no answer, or none that is understood.
        """
        text = self._ask("submission-limits", self.slug, "--json")
        value = parse_json(text, where="kaggle competitions submission-limits")
        names = {"numToday": "num_today", "numTotal": "num_total", "numAllowedNow": "num_allowed_now"}
        names |= {"limitedByTotal": "limited_by_total"} | {name: name for name in Limits.__dataclass_fields__}
        given = value if isinstance(value, Mapping) else {}
        fields = {names[key]: item for key, item in given.items() if key in names}
        return from_json(Limits, fields, where="kaggle competitions submission-limits")

    def submissions(self) -> list[ListedSubmission]:
        """Return the newest submissions of the user's team.

        Raises:
            KaggleError: there is no answer, or none that is understood.
        """
        text = self._ask("submissions", self.slug, "--csv", "--page-size", str(_PAGE_SIZE))
        lines = text.splitlines()
        header = next((number for number, line in enumerate(lines) if line.startswith("ref,")), None)
        if header is None:
            if "No submissions found" in text:
                return []
            raise KaggleError(f"kaggle competitions submissions: expected a table, got {_first_line(text)!r}.")
        return [_listed(row) for row in csv.DictReader(StringIO("\n".join(lines[header:])))]

    def submit(self, file: Path, message: str) -> None:
        """Submit a file, once.

        Raises:
            UploadError: the file did not arrive.
            KaggleError: it failed otherwise; whether Kaggle has taken it is not known.
        """
        code, text = self._run("submit", self.slug, "-f", str(file), "-m", message, "-q")
        if code == 0 and _TAKEN in text.lower():
            return
        kind = UploadError if _NOT_UPLOADED in text.lower() else KaggleError
        raise kind(f"kaggle competitions submit {self.slug}: {_first_line(text) or f'exit code {code}'}.")

    def _ask(self, *words: str) -> str:
        """Return what a question prints; it is asked again where that may help. Raises KaggleError."""
        for wait_s in (*PATIENCE_S, None):
            code, text = self._run(*words)
            if code == 0:
                return text
            if wait_s is None or _HOPELESS.search(text):
                break
            self._sleep(wait_s)
        raise KaggleError(f"kaggle competitions {' '.join(words[:2])}: {_first_line(text) or f'exit code {code}'}.")

    def _run(self, *words: str) -> tuple[int, str]:
        """Return exit code and output of a command, without secrets."""
        try:
            done = subprocess.run(
                [self._program, "-W", "competitions", *words],
                capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False,
                timeout=self._timeout_s,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return 1, f"no answer in {self._timeout_s:g} s"
        # An error is the last line of what is printed on stderr, after warnings.
        text = done.stdout if done.returncode == 0 else f"{done.stdout}\n{done.stderr}"
        return done.returncode, without_secrets(text)


def without_secrets(text: str) -> str:
    """Return a text without the credentials in the environment, and without what signs an address."""
    for name in _SECRETS:
        if value := os.environ.get(name):
            text = text.replace(value, "***")
    return re.sub(r"(https?://[^\s?]+)\?\S+", r"\1?***", text)


def _listed(row: dict[str, str]) -> ListedSubmission:
    try:
        status = row["status"].rpartition(".")[2].lower()  # SubmissionStatus.COMPLETE
        return ListedSubmission(
            ref=int(row["ref"]),
            description=row["description"],
            status="complete" if status == "complete" else "error" if status == "error" else "pending",
            public_score=_score(row["publicScore"]),
            private_score=_score(row["privateScore"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise KaggleError(f"kaggle competitions submissions: expected a submission, got {row}: {error!r}.") from error


def _score(text: str) -> float | None:
    return float(text) if _DIGITS.fullmatch(text or "") else None


def _first_line(text: str) -> str:
    """Return the line of an output that says what is wrong: the last one, where a traceback is printed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if "Traceback" in text else lines[0]).rstrip(".") if lines else ""


_: type[Kaggle] = KaggleCommand
