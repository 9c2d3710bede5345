"""The shop's HTTP endpoints. Tracing takes the one line that starts the agent."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import BackgroundTasks, Cookie, Depends, FastAPI, Form, Header, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel

import tracepatch

from . import auth, catalogue, deliveries, payments, receipts

tracepatch.start(service="shop")

app = FastAPI(title="shop", lifespan=deliveries.drivers)
admin_login = HTTPBasic()


class Basket(BaseModel):
    """What a customer wants to buy, and how to pay for it."""

    items: dict[str, int]
    card_number: str
    coupon: str | None = None


@app.post("/login")
def login(user: str = Form(), password: str = Form()) -> dict[str, str]:
    """Check a form login; runs in the thread pool because it is a plain function."""
    if not auth.login(user, password):
        raise HTTPException(401, "wrong user or password")
    return {"user": user, "token": auth.get_token(user)}


@app.get("/items")
def items(search: str = "") -> list[dict[str, Any]]:
    """List the catalogue."""
    return catalogue.find(search)


@app.post("/checkout")
async def checkout(
    basket: Basket,
    background: BackgroundTasks,
    authorization: str = Header(),
    session_id: str = Cookie(default=""),
) -> dict[str, Any]:
    """Price the basket, pay for it and leave the receipt to a background task."""
    customer = auth.customer_of(authorization, session_id)
    total, stock = await asyncio.gather(price(basket), reserve(basket))
    payment = await payments.charge(customer, total, basket.card_number)
    background.add_task(receipts.send, customer, payment["id"], total)
    return {"customer": customer, "total": total, "stock": stock, "payment": payment["id"]}


async def price(basket: Basket) -> int:
    """Return the price of a basket in cents."""
    total = 0
    for sku, count in basket.items.items():
        total += catalogue.price_of(sku) * count
    return payments.discounted(total, basket.coupon)


async def reserve(basket: Basket) -> str:
    """Reserve the items in the warehouse, which answers slowly."""
    await asyncio.sleep(0.02)
    return "reserved"


@app.post("/refund/{payment_id}")
async def refund(payment_id: str, amount: int, api_key: str) -> dict[str, str]:
    """Give money back. The bank declines every refund, so that there is something to look at."""
    try:
        return await payments.refund(payment_id, amount, api_key)
    except payments.DeclinedError as declined:
        raise HTTPException(502, "the bank declined") from declined


@app.get("/report")
async def report(admin: Annotated[HTTPBasicCredentials, Depends(admin_login)]) -> dict[str, int]:
    """Count the sales: slow, first because it waits and then because it works."""
    auth.require_admin(admin.username, admin.password)
    await asyncio.sleep(0.15)
    return {"sales": catalogue.count_sales("postgresql://shop:hunter2-dsn@db.internal/sales")}
