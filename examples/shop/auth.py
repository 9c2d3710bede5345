"""Who a request comes from."""

from __future__ import annotations

import secrets

from fastapi import HTTPException

_customers: dict[str, str] = {}
"""The customer that each token was given to."""


def login(user: str, password: str) -> bool:
    """Say whether the password is right: in this shop, any that has eight characters."""
    return bool(user) and len(password) >= 8


def get_token(user: str) -> str:
    """Return the token that a customer sends with the next requests."""
    token = secrets.token_urlsafe(18)
    _customers[token] = user
    return token


def customer_of(authorization: str, session_id: str) -> str:
    """Return the customer whose token stands in the Authorization header or in the session cookie."""
    customer = _customers.get(authorization.removeprefix("Bearer ")) or _customers.get(session_id)
    if customer is None:
        raise HTTPException(401, "log in first")
    return customer


def require_admin(username: str, password: str) -> None:
    """Refuse everybody but the administrator."""
    if username != "admin" or not login(username, password):
        raise HTTPException(403, "administrators only")
