"""`onspec serve`."""

import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.service.drift_window import DriftPolicy
    from onspec.service.recording import Archiving

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def command(
    recipes: Annotated[
        list[Path] | None, typer.Argument(metavar="RECIPE...", help="Recipe files (.onspec).", show_default=False)
    ] = None,
    host: Annotated[
        str, typer.Option(envvar="ONSPEC_HOST", help="Address to listen on; 0.0.0.0 for all of IPv4.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="ONSPEC_PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    grpc: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve the inference protocol over gRPC here, too.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="ONSPEC_TOKEN_FILE", help="Tokens, one a line, as NAME:ROLE:sha256:HEX. Needed off loopback."
        ),
    ] = None,
    recipes_folder: Annotated[
        Path | None,
        typer.Option("--recipes", metavar="DIR", help="Keep loaded recipes and the active versions here."),
    ] = None,
    require_signed: Annotated[
        bool, typer.Option("--require-signed", help="Load only recipes that --public-key proves.")
    ] = False,
    public_key: Annotated[
        Path | None, typer.Option(help="Ed25519 public key (PEM) that recipes are signed for.")
    ] = None,
    production: Annotated[bool, typer.Option("--production", help="Load only released recipes.")] = False,
    db: Annotated[
        str | None,
        typer.Option(
            metavar="URL", envvar="ONSPEC_DB", help="Record every verdict here: a file as records.db, or postgresql://…"
        ),
    ] = None,
    db_files: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Images and spool of --db; beside the file if not given."),
    ] = None,
    keep_ok: Annotated[
        float, typer.Option(min=0, max=1, help="Share of OK images that are kept; all others are.")
    ] = 0.01,
    keep_days: Annotated[float | None, typer.Option(min=0, help="Keep images so long.")] = None,
    keep_gb: Annotated[
        float | None, typer.Option(min=0, help="Keep at most so many GB of images; the oldest go.")
    ] = None,
    keep_maps: Annotated[bool, typer.Option("--keep-maps", help="Keep the score maps of NG and REVIEW, too.")] = False,
    prune_reviewed: Annotated[
        bool, typer.Option("--prune-reviewed", help="These limits take images of reviewed parts, too; they are labels.")
    ] = False,
    db_wait_ms: Annotated[
        float, typer.Option(min=0, help="What a verdict waits for the database, ms; then see --db-failure.")
    ] = 200.0,
    db_failure: Annotated[
        str,
        typer.Option(help="Then spool keeps its record on this disk until the database takes it; error gives none."),
    ] = "spool",
    station: Annotated[
        str | None, typer.Option(help="Name of this station in the records; the machine's if not given.")
    ] = None,
    golden_every: Annotated[
        str | None, typer.Option(metavar="TIME", help="Judge the golden samples anew so often: 30m, 1h, 1d.")
    ] = None,
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of an engine; the cores shared among the workers if not given.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes, each with an engine of its own.")] = 1,
    worker_timeout: Annotated[
        float, typer.Option(min=3, help="Replace one of several workers that gives no sign of life so long, s.")
    ] = 10,
    max_batch: Annotated[int, typer.Option(min=1, help="Images of a recipe taken from the queue at a time.")] = 8,
    max_wait_ms: Annotated[
        float, typer.Option(min=0, help="How long the first image of a batch waits for others, ms.")
    ] = 0.0,
    max_queue: Annotated[
        int, typer.Option(min=1, help="Images of a recipe waiting or in work; one more is answered 503.")
    ] = 32,
    deadline_ms: Annotated[
        float, typer.Option(min=1, help="From an image's arrival to its verdict; later is answered 504.")
    ] = 30_000.0,
    max_body_mb: Annotated[float, typer.Option(min=0.001, help="Largest request, MB.")] = 64,
    max_recipe_mb: Annotated[float, typer.Option(min=0.001, help="Largest recipe file that may be sent, MB.")] = 512,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, help="Largest image, megapixels; seen in its header, before it is unpacked.")
    ] = 128,
    max_rate: Annotated[
        float | None, typer.Option(min=0.001, help="Requests a second of a token, or without tokens of an address.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(envvar="ONSPEC_TLS_CERT", help="Certificate with its chain (PEM); speaks TLS only.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(envvar="ONSPEC_TLS_KEY", help="Private key of --tls-cert (PEM, no password).")
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append who changed what, JSON lines chained by their hashes.")
    ] = None,
    drift_window: Annotated[
        int, typer.Option(min=0, help="Judged images that are compared with training at a time; 0 does without.")
    ] = 500,
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="ONSPEC_WEBHOOK", help="Post it here when drift begins, and when it ends."),
    ] = None,
    webhook_secret_file: Annotated[
        Path | None,
        typer.Option(envvar="ONSPEC_WEBHOOK_SECRET_FILE", help="Sign these posts with what this file holds."),
    ] = None,
    otlp: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="OTEL_EXPORTER_OTLP_ENDPOINT", help="Send traces to this collector."),
    ] = None,
) -> int:
    """Judge images over HTTP: POST /api/inspect takes an image file and answers with the verdict.

    Tokens are read from --token-file, otherwise from ONSPEC_TOKENS. Stops on Ctrl-C or SIGTERM after it has answered
    what it had accepted.

    Example: onspec serve tile.onspec --port 8000, then: curl --data-binary @part.png localhost:8000/api/inspect
    """
    # OpenCV takes its limit from the environment when it is imported; a few KB of PNG can unpack to many GB.
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(round(max_megapixels * 1e6))
    _require_packages(grpc=grpc is not None, db=db is not None)
    from onspec.domain import UsageError
    from onspec.service import running
    from onspec.service.app import Settings
    from onspec.service.logs import log_to_stderr
    from onspec.service.queue import BatchPolicy
    from onspec.service.recipes import Opening
    from onspec.service.server import address_of, listen, serve
    from onspec.service.tls import Tls
    from onspec.service.tokens import Tokens, require_tokens
    from onspec.service.tracing import otlp_address

    if require_signed and public_key is None:
        raise UsageError("--require-signed needs the key that proves the signature: --public-key KEY.pub")
    if not recipes and recipes_folder is None:
        raise UsageError("nothing to judge with; name a recipe file, or a folder to load recipes into: --recipes DIR")
    tokens = Tokens.read(token_file)
    require_tokens(host, tokens)
    if grpc is not None:
        require_tokens(_host(grpc), tokens)
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together; give both")
    tls = Tls(tls_cert, tls_key) if tls_cert and tls_key else None
    every_s = None if golden_every is None else _seconds(golden_every)
    served = running.Station(
        files=tuple(recipes or ()),
        folder=recipes_folder,
        workers=workers,
        opening=Opening(engine, threads, public_key, production),
        tokens=tokens,
        settings=Settings(
            max_body_mb=max_body_mb,
            max_recipe_mb=max_recipe_mb,
            golden_every_s=every_s,
            grpc=grpc,
            max_megapixels=max_megapixels,
            max_rate=max_rate,
            tls=tls,
            audit=audit,
            otlp=otlp_address(otlp),
            drift=_drift(drift_window, webhook, webhook_secret_file, station),
        ),
        policy=BatchPolicy(max_batch, max_wait_ms, max_queue, deadline_ms),
        silent_s=worker_timeout,
        archive=_archive(
            db, db_files, keep_ok, keep_days, keep_gb, not prune_reviewed, keep_maps, db_wait_ms, db_failure, station
        ),
    )
    with ExitStack() as stack:
        served = running.prepare(served, stack)
        app = running.application(served) if workers == 1 else None
        sock = listen(host, port)
        log_to_stderr()
        active = running.identities(served) if app is None else app.state.recipes.identities
        typer.echo(
            f"onspec: {address_of(sock, tls is not None)} judges with {', '.join(active) or 'no recipe yet'}", err=True
        )
        if app is not None:
            serve(app, sock, tls)
        else:
            running.run_workers(served, sock)
    return 0


def _archive(
    db: str | None,
    files: Path | None,
    ok_share: float,
    days: float | None,
    gigabytes: float | None,
    reviewed: bool,
    maps: bool,
    wait_ms: float,
    on_failure: str,
    station: str | None,
) -> "Archiving | None":
    if db is None:
        return None
    from onspec.domain import UsageError
    from onspec.records.archive import Safety
    from onspec.records.images import KeepPolicy
    from onspec.service.recording import Archiving

    if on_failure not in ("spool", "error"):
        raise UsageError(f"--db-failure {on_failure!r}; choose spool, error")
    safety = Safety(wait_ms, "error" if on_failure == "error" else "spool")
    return Archiving(db, files, KeepPolicy(ok_share, days, gigabytes, reviewed, maps), safety, station)


def _drift(window: int, url: str | None, secret_file: Path | None, station: str | None) -> "DriftPolicy | None":
    import socket

    from onspec.domain import UsageError
    from onspec.service.drift_window import DriftPolicy
    from onspec.service.webhook import Address

    if window == 0 and url is not None:
        raise UsageError("--webhook posts what is found of drift, and --drift-window 0 looks for none; leave one out")
    if url is None and secret_file is not None:
        raise UsageError("--webhook-secret-file signs posts to --webhook URL; give it, too")
    if window == 0:
        return None
    try:
        secret = None if secret_file is None else secret_file.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"{secret_file}: cannot be read ({error.strerror})") from None
    address = None if url is None else Address(url, secret)
    return DriftPolicy(window, webhook=address, station=station or socket.gethostname())


def _seconds(text: str) -> float:
    from onspec.domain import UsageError

    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if match is None or float(match[1]) == 0:
        raise UsageError(f"--golden-every {text!r}: give a time over 0 with its unit, as 30m, 1h or 1d")
    return float(match[1]) * _UNITS[match[2]]


def _host(address: str) -> str:
    from onspec.domain import UsageError

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--grpc {address!r}: give HOST:PORT, as 127.0.0.1:8001")
    return host.strip("[]")


def _require_packages(grpc: bool, db: bool) -> None:
    from importlib.util import find_spec

    from onspec.domain import MissingExtraError

    needed = {
        "serve": (
            "fastapi",
            "uvicorn",
            "python_multipart",
            "prometheus_client",
            *(("sqlalchemy", "alembic") if db else ()),
        ),
        "grpc": ("grpc", "google.protobuf") if grpc else (),
    }
    for extra, names in needed.items():
        if any(find_spec(name) is None for name in names):
            raise MissingExtraError("onspec serve --grpc" if extra == "grpc" else "onspec serve", extra)
