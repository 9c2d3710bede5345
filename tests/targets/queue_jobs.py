"""What the workers of test_jobs run: plain functions, whatever library calls them."""

from __future__ import annotations

from pathlib import Path


def send_email(user: int, subject: str = "") -> str:
    return render(user, subject)


def render(user: int, subject: str) -> str:
    return f"{subject} for {user}"


def refuse(user: int) -> None:
    render(user, "refused")
    raise ValueError("no such user")


def recover(user: int) -> str:
    try:
        refuse(user)
    except ValueError:
        return render(user, "recovered")
    return ""


def again(user: int) -> None:
    refuse(user)


def touch(path: str) -> None:
    Path(path).touch()


JOBS = (send_email, refuse, recover, touch)
