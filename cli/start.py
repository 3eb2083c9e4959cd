"""Starts the command line for the script `./sliceline`."""

import signal


def main() -> None:
    """Run a command. Ctrl-C while the commands are still being loaded just ends it: nothing has begun."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cli.__main__ import app

    signal.signal(signal.SIGINT, signal.default_int_handler)
    app(prog_name="./sliceline")


if __name__ == "__main__":
    main()
