"""`onspec serve`."""

import os
from pathlib import Path
from typing import Annotated

import typer


def command(
    recipes: Annotated[list[Path], typer.Argument(metavar="RECIPE", help="Recipe files (.onspec).")],
    host: Annotated[
        str, typer.Option(envvar="ONSPEC_HOST", help="Address to listen on; 0.0.0.0 for all of IPv4.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="ONSPEC_PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="ONSPEC_TOKEN_FILE", help="Tokens, one a line, in the clear or as sha256:HEX. Needed off loopback."
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the engine; all cores if not given.")] = None,
    max_queue: Annotated[int, typer.Option(min=1, help="Images waiting or in work; one more is answered 503.")] = 32,
    max_body_mb: Annotated[float, typer.Option(min=0.001, help="Largest request, MB.")] = 64,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, help="Largest image, megapixels; seen in its header, before it is unpacked.")
    ] = 128,
) -> int:
    """Judge images over HTTP: POST /api/inspect takes an image file and answers with the verdict.

    Tokens are read from --token-file, otherwise from ONSPEC_TOKENS. Stops on Ctrl-C or SIGTERM after it has answered
    what it had accepted.

    Example: onspec serve tile.onspec --port 8000, then: curl --data-binary @part.png localhost:8000/api/inspect
    """
    # OpenCV takes its limit from the environment when it is imported; a few KB of PNG can unpack to many GB.
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(round(max_megapixels * 1e6))
    _require_packages()
    from onspec.recipe.reading import open_package
    from onspec.runtime.inspector import Inspector
    from onspec.service.app import create_app
    from onspec.service.logs import log_to_stderr
    from onspec.service.server import address_of, listen, serve
    from onspec.service.tokens import Tokens, require_tokens

    tokens = Tokens.read(token_file)
    require_tokens(host, tokens)
    inspectors = [Inspector(open_package(path), engine=engine, threads=threads) for path in recipes]
    app = create_app(inspectors, tokens=tokens, max_body_mb=max_body_mb, max_queue=max_queue)
    sock = listen(host, port)
    log_to_stderr()
    typer.echo(f"onspec: {address_of(sock)} judges with {', '.join(i.identity for i in inspectors)}", err=True)
    serve(app, sock)
    return 0


def _require_packages() -> None:
    from importlib.util import find_spec

    from onspec.domain import MissingExtraError

    if any(find_spec(name) is None for name in ("fastapi", "uvicorn", "python_multipart")):
        raise MissingExtraError("onspec serve", "serve")
