"""`python -m mobilenets`."""

from mobilenets.cli import main

if __name__ == "__main__":
    main()
