"""`mobilenets`, and `python -m mobilenets`."""

from mobilenets.runtime import signals


def main() -> None:
    """Runs the command; a signal while it is imported ends it as later on."""
    with signals.ending_at_once():
        from mobilenets.cli import main as cli

        cli.main()


if __name__ == "__main__":
    main()
