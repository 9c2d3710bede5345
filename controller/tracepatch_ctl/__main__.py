"""`python -m tracepatch_ctl`: the command line where no script is installed (distroless images)."""

from .cli import main

if __name__ == "__main__":
    main()
