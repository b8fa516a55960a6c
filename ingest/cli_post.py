"""`mkc post`: signs bodies and posts them as Meta does. Must never show a body or a secret."""

from __future__ import annotations

import argparse
import asyncio
import hmac
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import orjson
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from contracts.errors import InvalidSettings
from ingest.apps import load_apps
from ingest.receive import PATH
from runtime.settings import ProcessSettings, load


class PostSettings(ProcessSettings):
    """Settings of `mkc post`: `MKC_POST_*`."""

    model_config = SettingsConfigDict(env_prefix="MKC_POST_")

    health_port: int = 0
    """Not used: `mkc post` serves nothing."""
    url: str = Field(default="http://127.0.0.1:18080", pattern=r"^https?://")
    """The receiver's public address."""
    apps_file: Path | None = None
    """The apps file whose first secret of the app signs."""


def meta_headers(body: bytes, secret: bytes) -> dict[str, str]:
    """The headers with which Meta posts `body`, both signatures included. META.md section 3."""
    return {
        "User-Agent": "facebookexternalua",
        "Accept": "*/*",
        "Accept-Encoding": "deflate, gzip",
        "Content-Type": "application/json",
        "X-Hub-Signature": "sha1=" + hmac.digest(secret, body, "sha1").hex(),
        "X-Hub-Signature-256": "sha256=" + hmac.digest(secret, body, "sha256").hex(),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mkc post",
        description="Sign bodies with an app's secret and post them to the receiver as Meta does. "
        "Exit code 1 if any was not answered 200.",
    )
    parser.add_argument(
        "file", nargs="+", type=Path, help="a body, or a folder of bodies (*.json, recursively)"
    )
    parser.add_argument("--app", required=True, help="the app whose secret signs (as in the apps file)")
    parser.add_argument("--secret-id", help="which of the app's secrets signs (default: the first)")
    parser.add_argument("--url", help="the receiver (default: MKC_POST_URL)")
    parser.add_argument("--rate", type=float, metavar="N", help="at most N posts a second")
    parser.add_argument("--concurrency", type=int, default=8, metavar="N", help="posts at once (default 8)")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="post everything N times")
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="seconds to wait for an answer"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser


def _files(named: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in named:
        if path.is_dir():
            found += sorted(entry for entry in path.rglob("*.json") if entry.is_file())
        elif path.is_file():
            found.append(path)
        else:
            raise InvalidSettings("FILE: there is no such file or folder")
    if not found:
        raise InvalidSettings("FILE: the folder holds no *.json")
    return found


def _secret(settings: PostSettings, app_name: str, secret_id: str | None) -> bytes:
    if settings.apps_file is None:
        raise InvalidSettings("MKC_POST_APPS_FILE: is missing")
    apps, _ = load_apps(settings.apps_file, "MKC_POST_APPS_FILE")
    app = apps.get(app_name)
    if app is None:
        raise InvalidSettings("--app: the apps file has no app of that name")
    for secret in app.secrets:
        if secret_id in (None, secret.id):
            return secret.secret
    raise InvalidSettings("--secret-id: the app has no secret of that id")


@contextmanager
def _progress(total: int, show: bool) -> Iterator[Progress]:
    bar = Progress(
        TextColumn("posting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not show,
    )
    with bar:
        bar.add_task("posting", total=total)
        yield bar


async def _post_all(
    bodies: Iterable[Path], url: str, secret: bytes, arguments: argparse.Namespace, bar: Progress
) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    started = time.monotonic()
    upcoming = enumerate(bodies)
    timeout = aiohttp.ClientTimeout(total=arguments.timeout)

    async def worker(session: aiohttp.ClientSession) -> None:
        for number, path in upcoming:
            if arguments.rate:
                await asyncio.sleep(max(0.0, started + number / arguments.rate - time.monotonic()))
            body = await asyncio.to_thread(path.read_bytes)
            try:
                async with session.post(url, data=body, headers=meta_headers(body, secret)) as response:
                    await response.read()
                    outcomes[str(response.status)] += 1
            except (aiohttp.ClientError, TimeoutError, OSError):
                outcomes["no_answer"] += 1
            bar.advance(bar.task_ids[0])

    connector = aiohttp.TCPConnector(limit=arguments.concurrency)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await asyncio.gather(*(worker(session) for _ in range(max(1, arguments.concurrency))))
    return outcomes


def main(arguments: list[str]) -> int:
    """Run `mkc post`. Exit codes: 0 all answered 200, 1 not all, 2 wrong usage or settings."""
    given = _parser().parse_args(arguments)
    settings = load(PostSettings)
    secret = _secret(settings, given.app, given.secret_id)
    files = _files(given.file) * max(1, given.repeat)
    url = (given.url or settings.url).rstrip("/") + PATH + given.app
    started = time.monotonic()
    with _progress(len(files), show=sys.stderr.isatty() and not given.json) as bar:
        outcomes = asyncio.run(_post_all(files, url, secret, given, bar))
    seconds = time.monotonic() - started
    if given.json:
        summary = {
            "posted": len(files),
            "seconds": round(seconds, 3),
            "status": dict(sorted(outcomes.items())),
        }
        sys.stdout.write(orjson.dumps(summary).decode() + "\n")
    else:
        sys.stdout.write(f"{len(files)} posted in {seconds:.1f} s\n")
        for status, number in sorted(outcomes.items()):
            sys.stdout.write(f"  {status:<9} {number}\n")
        if "no_answer" in outcomes:
            sys.stderr.write(
                f"mkc post: no answer at {url}: is it running? --url or MKC_POST_URL says where it is\n"
            )
    return 0 if set(outcomes) == {"200"} else 1
