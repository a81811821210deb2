from __future__ import annotations

import asyncio
import email
import email.policy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as SmtpEnvelope

import kaggle_ray
from kaggle_ray.errors import ConfigError
from kaggle_ray.reporters.envelope import Envelope
from kaggle_ray.reporters.events import RunEnded, RunFailed, RunInterrupted, RunKilled, RunStalled, RunStarted
from kaggle_ray.reporters.mail.message import Addresses
from kaggle_ray.reporters.mail.sink import MailSink, make_sink
from kaggle_ray.reporters.sink import ReadArtifact
from kaggle_ray.testing.reporter_contract import addressed, every_kind_of_event, sample_pictures
from kaggle_ray.testing.sink_contract import check_sink
from kaggle_ray.testing.toy import TINY, TOY_FILE

STORY = every_kind_of_event()
(START,) = (envelope for envelope in STORY if isinstance(envelope.event, RunStarted))
(END,) = (envelope for envelope in STORY if isinstance(envelope.event, RunEnded))
UNDER_WAY = STORY[: STORY.index(next(each for each in STORY if isinstance(each.event, RunInterrupted)))]
ADDRESSES = {"from": "runs@example.org", "to": "me@example.org, you@example.org"}


@dataclass
class Box:
    """Takes mail in this process; may refuse for a while."""

    mails: list[EmailMessage] = field(default_factory=list)
    num_refusals: int = 0

    def deliver(self, mail: EmailMessage) -> None:
        if self.num_refusals:
            self.num_refusals -= 1
            raise ConnectionError("refused")
        self.mails.append(mail)

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


def sink_of(box: Box, read_artifact: ReadArtifact = lambda key: None) -> MailSink:
    addresses = Addresses(sender="runs@example.org", to=("me@example.org",))
    return MailSink(box, addresses, read_artifact, live_page="http://here:8097")


def subjects_of(*told: Sequence[Envelope], recalled: Sequence[Envelope] = ()) -> list[str]:
    box = Box()
    sink = sink_of(box)
    sink.recall(recalled)
    for envelopes in told:
        sink.send(envelopes)
    return box.subjects


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def test_a_complete_run_s_mail_has_the_pictures_of_the_ensemble_s_samples_that_are_there() -> None:
    box = Box()
    story = [each for each in STORY if not isinstance(each.event, RunInterrupted | RunFailed | RunKilled | RunStalled)]
    there = {"artifacts/samples/e-oof.jpg": sample_pictures()["artifacts/samples/e-oof.jpg"]}
    sink_of(box, there.get).send(story)
    attached = {part.get_filename(): part.get_content() for part in box.mails[0].iter_attachments()}
    assert attached.keys() == {"curves.png", "oof-samples.jpg"}
    assert attached["oof-samples.jpg"] == there["artifacts/samples/e-oof.jpg"]


def test_a_complete_run_is_one_mail_with_its_score_board_picture_and_places() -> None:
    box = Box()
    story = [each for each in STORY if not isinstance(each.event, RunInterrupted | RunFailed | RunKilled | RunStalled)]
    sink_of(box).send(story)
    (mail,) = box.mails
    assert mail["Subject"] == "[kaggle-ray] toy: complete, log_loss 0.25000"
    text = text_of(mail)
    assert "Ensemble (greedy): log_loss 0.25000, honest." in text
    assert "| resnet [a] |" in text
    assert "failed: resnet [a] fold 1: OSError: [Errno 5] bad disk" in text
    assert "Submission: runs/toy/run-1/submissions/best.csv" in text
    assert "Live: http://here:8097" in text
    (picture,) = mail.iter_attachments()
    assert picture.get_content().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("last", "subject", "line"),
    [
        (RunFailed(error="no GPU. Wait.", how_to_resume="kaggle-ray run toy"), "FAILED", "no GPU. Wait."),
        (RunStalled(silent_s=1800.0), "nothing was heard of it for a while", "30:00 before this mail"),
        (
            RunInterrupted(
                reason="sigterm", num_committed=1, num_trials=2, how_to_resume="kaggle-ray run toy", how_to_ensemble="x"
            ),
            "stopped",
            "1 of 2 trials are safe",
        ),
    ],
)
def test_a_run_that_does_not_come_to_its_end_says_why_and_how_to_go_on(
    last: RunFailed | RunStalled | RunInterrupted, subject: str, line: str
) -> None:
    box = Box()
    sink_of(box).send([*UNDER_WAY, addressed(last, time=5000.0)])
    (mail,) = box.mails
    assert mail["Subject"] == f"[kaggle-ray] toy: {subject}"
    assert line in text_of(mail)
    assert "Go on: kaggle-ray run toy" in text_of(mail) or isinstance(last, RunStalled)


def test_what_its_user_stops_is_no_mail() -> None:
    stop = RunInterrupted(reason="ctrl-c", num_committed=1, num_trials=2, how_to_resume="x", how_to_ensemble="y")
    assert subjects_of([*UNDER_WAY, addressed(stop, time=5000.0)]) == []


def test_that_a_driver_was_killed_is_told_once_another_begins() -> None:
    again = replace(START, time=9000.0)
    assert subjects_of(UNDER_WAY, [again]) == ["[kaggle-ray] toy: its driver was killed"]
    assert subjects_of([again], recalled=UNDER_WAY) == ["[kaggle-ray] toy: its driver was killed"]


def test_that_a_driver_was_killed_is_told_once_where_somebody_looked_after_it() -> None:
    box = Box()
    killed = addressed(RunKilled(how_to_resume="kaggle-ray run toy"), time=8000.0)
    sink_of(box).send([*UNDER_WAY, killed, replace(START, time=9000.0)])
    (mail,) = box.mails
    assert mail["Subject"] == "[kaggle-ray] toy: its driver was killed"
    assert "Go on: kaggle-ray run toy" in text_of(mail)


def test_a_run_that_is_called_again_with_nothing_left_to_do_is_no_mail() -> None:
    story = [*UNDER_WAY, END]
    again = [replace(START, time=9000.0), replace(END, time=9010.0)]
    assert len(subjects_of(story, again)) == 1
    assert subjects_of(again, recalled=story) == []


def test_what_was_refused_is_sent_later_and_nothing_twice() -> None:
    box = Box(num_refusals=2)
    sink = sink_of(box)
    story = [*UNDER_WAY, END]
    for _ in range(2):
        with pytest.raises(ConnectionError):
            sink.send(story)
    sink.send(story)
    sink.send(story)
    assert len(box.mails) == 1


def test_a_name_cannot_add_a_header_or_move_a_cursor() -> None:
    box = Box()
    hostile = "toy\r\nBcc: all@example.org\x1b[2J"
    sink_of(box).send([replace(each, competition=hostile) for each in [*UNDER_WAY, END]])
    mail = email.message_from_bytes(box.mails[0].as_bytes(), policy=email.policy.default)
    assert "Bcc" not in mail
    assert isinstance(mail, EmailMessage)
    assert "\x1b" not in text_of(mail) + str(mail["Subject"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "set KAGGLE_RAY_MAIL_FROM"),
        ({**ADDRESSES, "hots": "x"}, r"unknown setting 'hots'. Did you mean 'host'\?"),
        (ADDRESSES, "set KAGGLE_RAY_MAIL_HOST"),
        ({**ADDRESSES, "by": "pigeon"}, "by is smtp or ses"),
        ({**ADDRESSES, "host": "x", "port": "smtp"}, "port is a number"),
        ({**ADDRESSES, "host": "x", "security": "some"}, "security is starttls, tls or none"),
        ({**ADDRESSES, "host": "x", "security": "none", "password": "p"}, "would travel unprotected"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_sink(settings, lambda key: None)


class Inbox:
    """The handler of a mail server that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: SmtpEnvelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients.append(envelope.rcpt_tos)
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    handler, loop = Inbox(), asyncio.new_event_loop()
    controller = UnthreadedController(handler, loop=loop, hostname="127.0.0.1", port=0)
    controller.begin()  # type: ignore[no-untyped-call]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert isinstance(controller.server, asyncio.Server)
    yield handler, controller.server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    controller.end()  # type: ignore[no-untyped-call]
    loop.close()


@pytest.mark.service
def test_a_mail_server_gets_the_mail_for_each_recipient(inbox: tuple[Inbox, int]) -> None:
    handler, port = inbox
    settings = {**ADDRESSES, "host": "127.0.0.1", "port": str(port), "security": "none"}
    make_sink(settings, lambda key: None).send([*UNDER_WAY, END])
    assert handler.recipients == [["me@example.org", "you@example.org"]]
    assert handler.mails[0]["Subject"] == "[kaggle-ray] toy: complete"


@pytest.mark.service
def test_mail_keeps_the_contract_of_sinks(inbox: tuple[Inbox, int]) -> None:
    _, port = inbox
    check_sink(make_sink, {**ADDRESSES, "host": "127.0.0.1", "port": str(port), "security": "none"})


@pytest.mark.service
def test_a_run_mails_its_end_once_however_often_it_is_called(
    inbox: tuple[Inbox, int], toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, port = inbox
    for name, value in {**ADDRESSES, "host": "127.0.0.1", "port": str(port), "security": "none"}.items():
        monkeypatch.setenv(f"KAGGLE_RAY_MAIL_{name.upper()}", value)
    for _ in range(2):
        result = kaggle_ray.run(
            TOY_FILE, data=toy_data, runs=tmp_path, run_id="x", launcher="local", device="cpu", threads=1,
            reporters=["mail"], experiments=[TINY],
        )  # fmt: skip
    (mail,) = handler.mails
    assert mail["Subject"].startswith("[kaggle-ray] toy: complete, log_loss ")
    assert f"Submission: {result.submission}" in text_of(mail)
    names = ["curves.png", "oof-samples.jpg", "test-samples.jpg"]
    assert [part.get_filename() for part in mail.iter_attachments()] == names


@pytest.mark.service
def test_a_server_without_tls_gets_no_password(inbox: tuple[Inbox, int]) -> None:
    handler, port = inbox
    settings = {**ADDRESSES, "host": "127.0.0.1", "port": str(port), "user": "me", "password": "secret"}
    with pytest.raises(Exception, match="STARTTLS"):
        make_sink(settings, lambda key: None).send([*UNDER_WAY, END])
    assert handler.mails == []


@pytest.mark.service
def test_amazon_takes_the_mail_of_a_verified_sender_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from botocore.exceptions import ClientError
    from moto import mock_aws
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.ses.models import ses_backends

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        sink = make_sink({**ADDRESSES, "by": "ses", "region": "us-east-1"}, lambda key: None)
        with pytest.raises(ClientError, match="Did not have authority to send"):
            sink.send([*UNDER_WAY, END])
        boto3.client("ses", region_name="us-east-1").verify_email_identity(EmailAddress=ADDRESSES["from"])
        sink.send([*UNDER_WAY, END])
        (sent,) = ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages
        assert "Subject: [kaggle-ray] toy: complete" in sent.raw_data
