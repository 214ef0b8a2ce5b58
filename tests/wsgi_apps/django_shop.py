"""The shop in Django."""

from __future__ import annotations

import json as standard_json
from typing import Any

from django.conf import settings

settings.configure(
    SECRET_KEY="not much of a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    LOGGING_CONFIG=None,
    USE_TZ=True,
)

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import (  # noqa: E402
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path  # noqa: E402

from wsgi_apps import FILE, PIECES, describe  # noqa: E402


def hello(request: HttpRequest) -> Any:
    return HttpResponse(f"hello {request.GET['name']}")


def form(request: HttpRequest) -> Any:
    return JsonResponse({"a": request.POST["a"], "b": request.POST.getlist("b")})


def json(request: HttpRequest) -> Any:
    return JsonResponse({"twice": 2 * standard_json.loads(request.body)["number"]})


def upload(request: HttpRequest) -> Any:
    file: Any = request.FILES["file"]
    return JsonResponse(describe(file.name, file.read()))


def raw(request: HttpRequest) -> Any:
    return HttpResponse(request.read())


def stream(request: HttpRequest) -> Any:
    return StreamingHttpResponse(iter(PIECES), content_type="text/plain")


def file(request: HttpRequest) -> Any:
    return FileResponse(FILE.open("rb"), content_type="text/x-python")


def cookies(request: HttpRequest) -> Any:
    answer = HttpResponse()
    answer.set_cookie("first", "1", httponly=True)
    answer.set_cookie("second", "2")
    return answer


def cookie(request: HttpRequest) -> Any:
    return HttpResponse(request.COOKIES["first"])


def old(request: HttpRequest) -> Any:
    return HttpResponseRedirect("/hello?name=you")


def count(request: HttpRequest) -> Any:
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]))


def error(request: HttpRequest) -> Any:
    raise LookupError("too bad")


urlpatterns = [
    path(view.__name__, view)
    for view in (
        hello, form, json, upload, raw, stream, file, cookies, cookie, old, count, error,
    )
]  # fmt: skip

app = get_wsgi_application()
