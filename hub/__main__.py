"""`hub`, and `python -m hub`."""

import sys


def main() -> None:
    """Run the command line; say what is missing where only the agent's packages are installed."""
    try:
        from hub.cli.main import main as run  # noqa: PLC0415 - its packages may not be there
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in {"hub", "wire"}:
            raise
        sys.stderr.write(f"hub: {error.name} is not installed: install the extra, pip install 'lockerhub[hub]'.\n")
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
