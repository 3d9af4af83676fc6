"""Who may read the pages, and what browsers may do with them."""

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "swiftbolt_token"
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self'; img-src 'self' data:"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Lets readers through who know the token, to read and nothing else.

    The token comes as `Authorization: Bearer`, or once in an address as
    `?token=`, which becomes a cookie and is taken out of the address.

    Parameters
    ----------
    app : ASGI application
    token : str or None
        None lets everyone through.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app = app
        self.token = token

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        refusal = self._refusal(scope)
        answer = self.app if refusal is None else refusal
        await answer(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """What to answer in place of the page, None to show it."""
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse(
                "The pages can be read, nothing else.", 405
            )
        if self.token is None:
            return None
        headers = Headers(scope=scope)
        query = parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True
        )
        given = [value for name, value in query if name == "token"]
        if given:
            if not self._is_token(given[-1]):
                return self._unknown()
            rest = [pair for pair in query if pair[0] != "token"]
            # A path of two slashes would name another host.
            path = "/" + scope["path"].lstrip("/\\")
            address = f"{path}?{urlencode(rest)}" if rest else path
            answer = RedirectResponse(address, 303)
            answer.set_cookie(
                COOKIE,
                self.token,
                httponly=True,
                samesite="strict",
                secure=scope["scheme"] == "https",
            )
            return answer
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(bearer.strip()):
            return None
        if self._is_token(_cookie(headers.get("cookie", ""))):
            return None
        return self._unknown()

    def _is_token(self, given: str) -> bool:
        """Compare in a time that tells nothing of the token."""
        return hmac.compare_digest(
            given.encode("utf-8", "surrogateescape"), str(self.token).encode()
        )

    @staticmethod
    def _unknown() -> Response:
        return PlainTextResponse(
            "These pages need a token. Open them with ?token=... behind the "
            "address, as `swiftbolt dashboard` was given it.",
            401,
            headers={"WWW-Authenticate": "Bearer"},
        )


def _cookie(header: str) -> str:
    cookies = SimpleCookie()
    try:
        cookies.load(header)
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""
