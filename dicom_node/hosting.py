"""An engine for a node on another machine, from the command line."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from dicom_node.terminal import ConfigOption, load

__all__ = ["serve_engine"]


def serve_engine(
    config: ConfigOption,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks one.")] = 9470,
) -> None:
    """Lend engines to a node whose engine.address leads here, until SIGTERM or Ctrl-C.

    Models, device, workers and the secret are those of the configuration.
    """
    import structlog

    from dicom_node.engine.serving import EngineServer
    from dicom_node.settings.secrets import read_secret
    from dicom_node.supervisor import logs
    from dicom_node.supervisor.signals import stop_on_signal

    settings = load(config)
    engine = settings.engine
    logs.configure()
    server = EngineServer(
        host=host,
        port=port,
        secret=read_secret("engine.secret", engine.secret_file, engine.secret_env),
        models={name: str(path) for name, path in settings.model_paths().items()},
        device=engine.device,
        workers=engine.workers,
    )
    stop = threading.Event()
    with stop_on_signal(stop):
        threading.Thread(target=server.serve, name="listener", daemon=True).start()
        # A line for programs: they wait for this event and read the port.
        structlog.get_logger(__name__).info("engine_ready", port=server.port)
        stop.wait()
        server.close()
