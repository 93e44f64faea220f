"""`python -m mobilenets`."""

from mobilenets.cli.main import main

if __name__ == "__main__":
    main()
