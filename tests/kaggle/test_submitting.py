from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from kaggle_ray.errors import LeaseError, StoreError, SubmissionError
from kaggle_ray.kaggle.client import KaggleCommand, KaggleError, Limits, ListedSubmission, UploadError, without_secrets
from kaggle_ray.kaggle.listing import submissions_table
from kaggle_ray.kaggle.submitting import Submitting
from kaggle_ray.store.opening import open_run
from kaggle_ray.store.run import RunStore
from kaggle_ray.submission.kaggle_records import records_of
from kaggle_ray.testing.kaggle_server import TOKEN, FakeKaggle, Fault, kaggle_server

SLUG = "dogs-vs-cats"


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return run_with("id,label\n1,0.5\n", tmp_path)


def run_with(text: str, folder: Path, run_id: str = "first") -> RunStore:
    (folder / "draft.csv").write_text(text)
    store = open_run(folder / "runs" / "dogs_vs_cats" / run_id)
    store.save_submission("submission", folder / "draft.csv", {"method": "greedy", "score_honest": 0.125})
    return store


@dataclass
class Told:
    """A Kaggle that takes submissions, or fails as it is told to."""

    slug: str = SLUG
    failures: list[KaggleError | BaseException | None] = field(default_factory=list)
    takes: list[bool] = field(default_factory=list)
    """Whether a submission is taken although it fails; by default where it does not."""
    taken: list[str] = field(default_factory=list)
    num_hidden: int = 0
    """Lists that a new submission is not yet in."""
    left: Limits = field(default_factory=lambda: Limits(num_today=1, num_total=9, num_allowed_now=4))
    status: Literal["pending", "complete", "error"] = "complete"

    def limits(self) -> Limits:
        return self.left

    def submissions(self) -> list[ListedSubmission]:
        if self.taken and self.num_hidden:
            self.num_hidden -= 1
            return []
        return [
            ListedSubmission(ref=number, description=text, status=self.status, public_score=0.2, private_score=None)
            for number, text in enumerate(self.taken, start=7)
        ]

    def submit(self, file: Path, message: str) -> None:
        failure = self.failures.pop(0) if self.failures else None
        if failure is None or (self.takes and self.takes.pop(0)):
            self.taken.append(message)
        if failure is not None:
            raise failure


def submitting(store: RunStore, kaggle: Told) -> Submitting:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return Submitting(store=store, kaggle=kaggle, sleep=sleep, clock=lambda: now[0])


def test_a_submission_is_sent_once_and_its_score_recorded_beside_the_honest_one(store: RunStore) -> None:
    kaggle = Told()
    for _ in range(3):
        record = submitting(store, kaggle).submit("resnet")
    assert len(kaggle.taken) == 1
    assert kaggle.taken[0] == f"resnet [kaggle-ray {record.sha256[:12]}]"
    assert (record.state, record.ref, record.public_score, record.score_honest) == ("complete", 7, 0.2, 0.125)
    assert records_of(store) == [record]


def test_whoever_comes_after_a_crash_between_upload_and_record_finds_the_submission(store: RunStore) -> None:
    kaggle = Told(failures=[KeyboardInterrupt()], takes=[True])
    with pytest.raises(KeyboardInterrupt):
        submitting(store, kaggle).submit("resnet")
    assert [record.state for record in records_of(store)] == ["intended"]
    kaggle.num_hidden = 2  # and the list lags behind
    assert submitting(store, kaggle).submit("resnet").state == "complete"
    assert len(kaggle.taken) == 1


def test_whoever_comes_after_a_crash_before_the_upload_submits(store: RunStore) -> None:
    kaggle = Told(failures=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        submitting(store, kaggle).submit("resnet")
    assert submitting(store, kaggle).submit("resnet").state == "complete"
    assert len(kaggle.taken) == 1


def test_an_upload_that_did_not_arrive_is_sent_again(store: RunStore) -> None:
    kaggle = Told(failures=[UploadError("503"), UploadError("503")])
    assert submitting(store, kaggle).submit("resnet").state == "complete"
    assert len(kaggle.taken) == 1


def test_a_lost_answer_is_looked_up_and_nothing_sent_again(store: RunStore) -> None:
    kaggle = Told(failures=[KaggleError("503")], takes=[True], num_hidden=2)
    assert submitting(store, kaggle).submit("resnet").state == "complete"
    assert len(kaggle.taken) == 1


def test_what_may_have_arrived_and_is_not_listed_is_an_error_and_not_sent_again(store: RunStore) -> None:
    kaggle = Told(failures=[KaggleError("503"), KaggleError("503")])
    with pytest.raises(KaggleError, match=r"503 It is not in the list .* looks for it before it sends anything"):
        submitting(store, kaggle).submit("resnet")
    assert (kaggle.taken, len(kaggle.failures)) == ([], 1)


def test_a_recorded_submission_that_the_list_no_longer_shows_is_not_sent_again(store: RunStore) -> None:
    kaggle = Told()
    first = submitting(store, kaggle).submit("resnet")
    kaggle.taken.clear()
    assert submitting(store, kaggle).submit("resnet") == first
    assert kaggle.taken == []


def test_another_runs_same_file_is_the_same_submission(store: RunStore, tmp_path: Path) -> None:
    kaggle = Told()
    submitting(store, kaggle).submit("resnet")
    other = run_with("id,label\n1,0.5\n", tmp_path, "second")
    assert submitting(other, kaggle).submit("again").ref == 7
    assert len(kaggle.taken) == 1


def test_limits_are_asked_first_and_a_new_teams_zeros_are_none(store: RunStore) -> None:
    kaggle = Told(left=Limits(num_today=5, num_total=50))
    with pytest.raises(KaggleError, match=r"no submission is left today: 5 were made today, 50 in all"):
        submitting(store, kaggle).submit("resnet")
    assert (kaggle.taken, records_of(store)) == ([], [])
    kaggle.left = Limits()
    assert submitting(store, kaggle).submit("resnet").ref == 7


def test_a_file_that_kaggle_finds_wrong_is_an_error(store: RunStore) -> None:
    with pytest.raises(SubmissionError, match="has refused submission 7"):
        submitting(store, Told(status="error")).submit("resnet")


def test_a_score_that_takes_longer_is_fetched_by_the_next_command(store: RunStore) -> None:
    kaggle = Told(status="pending")
    assert submitting(store, kaggle).submit("resnet", wait_s=30).state == "submitted"
    kaggle.status = "complete"
    assert submitting(store, kaggle).submit("resnet").state == "complete"
    assert len(kaggle.taken) == 1


def test_two_at_once_are_refused(store: RunStore) -> None:
    with store.lease.held(), pytest.raises(LeaseError):
        submitting(store, Told()).submit("resnet")


def test_a_run_without_a_submission_and_one_of_part_of_the_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no submission 'submission' yet"):
        submitting(open_run(tmp_path / "runs" / "x" / "y"), Told()).submit("resnet")
    with pytest.raises(SubmissionError, match="part of the rows"):
        submitting(run_with("id,label\n1,0.5\n", tmp_path, "fast-dev-1"), Told()).submit("resnet")


def test_secrets_are_taken_out_of_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_secret")
    text = without_secrets("401 for KGAT_secret at https://storage/upload?X-Signature=abc in the end")
    assert text == "401 for *** at https://storage/upload?*** in the end"


# The official command line, against a server of ours -----------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKaggle]:
    pytest.importorskip("kagglesdk", reason="the extra kaggle is not installed")
    with kaggle_server(tmp_path) as fake:
        for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "KAGGLE_USERNAME", "KAGGLE_KEY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in fake.environment().items():
            monkeypatch.setenv(name, value)
        yield fake


def really(store: RunStore) -> Submitting:
    return Submitting(store=store, kaggle=KaggleCommand(SLUG, sleep=lambda _: None), sleep=lambda _: None)


@pytest.mark.service
def test_kaggles_own_command_line_submits_once_and_tells_the_score(server: FakeKaggle, store: RunStore) -> None:
    server.num_pending = 0
    record = really(store).submit('résumé, "quoted"')
    assert (record.state, record.ref, record.public_score, record.private_score) == ("complete", 1000, 0.12345, None)
    assert [each["description"] for each in server.submissions] == [f'résumé, "quoted" {record.marker}']
    assert list(server.blobs.values()) == [b"id,label\n1,0.5\n"]
    assert server.calls.index("GetSubmissionLimits") < server.calls.index("StartSubmissionUpload")
    assert TOKEN not in "".join(path.read_text() for path in Path(store.location).rglob("*.json"))


@pytest.mark.service
@pytest.mark.slow
def test_a_server_that_fails_and_forgets_gets_one_submission(server: FakeKaggle, store: RunStore) -> None:
    server.faults = {
        "ListSubmissions": Fault(status=503, times=2),
        "GetSubmissionLimits": Fault(status=500, times=1),
        "PUT": Fault(status=503, times=1),
        "CreateSubmission": Fault(status=502, after=True, times=1),
    }
    server.num_hidden = 1
    assert really(store).submit("resnet").public_score == 0.12345
    assert len(server.submissions) == 1
    assert server.calls.count("CreateSubmission") == 1


@pytest.mark.service
@pytest.mark.slow
def test_a_submission_that_the_server_refuses_is_told_in_its_words_and_may_be_tried_again(
    server: FakeKaggle, store: RunStore
) -> None:
    server.faults = {"CreateSubmission": Fault(status=403)}
    with pytest.raises(KaggleError, match="CreateSubmission fails, as it is told to"):
        really(store).submit("resnet")
    assert server.calls.count("CreateSubmission") == 1
    server.faults, server.private_score = {}, "0.2"
    assert really(store).submit("resnet").private_score == 0.2
    assert len(server.submissions) == 1


@pytest.mark.service
@pytest.mark.slow
def test_an_answer_that_does_not_come_is_an_error_and_no_credentials_are_one(
    server: FakeKaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults = {"GetSubmissionLimits": Fault(delay_s=6, times=4)}
    with pytest.raises(KaggleError, match=r"submission-limits dogs-vs-cats: no answer in 5 s"):
        KaggleCommand(SLUG, sleep=lambda _: None, timeout_s=5).limits()
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_of-nobody")
    with pytest.raises(KaggleError) as error:
        KaggleCommand(SLUG, sleep=lambda _: None).submissions()
    assert "KGAT_of-nobody" not in str(error.value)


def test_the_scores_are_listed_beside_the_honest_ones_and_asked_for_anew(store: RunStore) -> None:
    from rich.console import Console

    kaggle = Told(status="pending")
    submitting(store, kaggle).submit("resnet", wait_s=0)
    kaggle.status = "complete"
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(submissions_table([store], ask=lambda _: kaggle))
    text = console.export_text()
    assert "0.1250" in text
    assert "0.2000" in text
    assert "complete" in text
    assert json.loads((Path(store.location) / "kaggle" / f"{SLUG}.{records_of(store)[0].sha256[:12]}.json").read_text())
