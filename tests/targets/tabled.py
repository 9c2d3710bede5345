"""Applications of all frameworks that are installed, never served, beside tasks and threads; for what `targets` finds."""

import asyncio
import contextlib
import sys
import threading

import tracepatch


async def items(request): ...


async def item(request): ...


def view(request=None, n=0): ...


class Loud:
    """Runs something whenever anybody asks: nobody may."""

    def __getattribute__(self, name):
        print("asked for", name, flush=True)
        return object.__getattribute__(self, name)


loud = Loud()

with contextlib.suppress(ImportError):
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route, WebSocketRoute

    inner = Starlette(routes=[Route("/users/{id:int}", item, methods=["PUT"])])
    outer = Starlette(
        routes=[
            Route("/star/{id}", item, methods=["POST"]),
            WebSocketRoute("/socket", items),
            Mount("/admin", app=inner),
            Mount("/files", app=Loud()),
        ]
    )

with contextlib.suppress(ImportError):
    from fastapi import APIRouter, FastAPI

    api, router, deep = FastAPI(), APIRouter(prefix="/v1"), APIRouter(prefix="/deep")
    deep.get("/inn")(view)
    router.get("/things/{thing}")(view)
    router.include_router(deep)
    api.include_router(router, prefix="/api")

with contextlib.suppress(ImportError):
    from flask import Blueprint, Flask

    flask = Flask("routed")
    flask.add_url_rule("/flask/<int:n>", view_func=view, methods=["DELETE"])
    printed = Blueprint("printed", "routed", url_prefix="/printed")
    printed.add_url_rule("/page", view_func=view)
    flask.register_blueprint(printed)

with contextlib.suppress(ImportError):
    from aiohttp import web

    served, below = web.Application(), web.Application()
    served.router.add_get("/aio/{name}", item)
    below.router.add_post("/below", item)
    served.add_subapp("/sub", below)

with contextlib.suppress(ImportError):
    import tornado.web

    class Handler(tornado.web.RequestHandler):
        def get(self, number): ...

    tornadoed = tornado.web.Application([(r"/tornado/(\d+)", Handler)])

with contextlib.suppress(ImportError):
    import django
    from django.conf import settings

    settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="none")
    django.setup()
    from django.urls import include, path

    urlpatterns = [path("django/<int:n>/", view), path("more/", include([path("inside", view)]))]


with contextlib.suppress(ImportError):
    from celery import Celery

    tasks = Celery("routed", broker="memory://")
    tasks.task(name="shop.send")(view)
    tasks.finalize()

with contextlib.suppress(ImportError):
    from huey import MemoryHuey

    consumer = MemoryHuey()
    consumer.task()(view)

with contextlib.suppress(ImportError):
    import dramatiq
    from dramatiq.brokers.stub import StubBroker

    broker = StubBroker()
    dramatiq.actor(view, actor_name="act", broker=broker)


async def waits(leave):
    await leave.wait()


async def main():
    leave = asyncio.Event()
    named = [asyncio.create_task(waits(leave), name=f"items-{number}") for number in range(2)]
    unnamed = [asyncio.create_task(waits(leave)) for _ in range(3)]
    await asyncio.sleep(0)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    leave.set()
    await asyncio.gather(*named, *unnamed)


tracepatch.start(service="routed")
ended = threading.Event()
threading.Thread(target=ended.wait, name="pool-items", daemon=True).start()
asyncio.run(main())
ended.set()
