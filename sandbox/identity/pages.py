"""Writes the two pages that people see: where they log in, and why they cannot."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from urllib.parse import urlsplit

from fastapi.responses import HTMLResponse

from sandbox.identity.authorizing import AuthorizationRequest

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:4rem auto;padding:0 1rem}"
    "label,input{display:block;width:100%;box-sizing:border-box}input{font:inherit;padding:.4rem;margin-bottom:1rem}"
    "button{font:inherit;padding:.4rem 1.5rem}.wrong{color:#a00}"
)
STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body><h1>{title}</h1>
{body}
</body></html>"""

FORM = """<p>to go on with <b>{client}</b></p>
{wrong}<form method="post" action="authorize">
{hidden}
<label for="username">Name</label>
<input id="username" name="username" value="{username}" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Log in</button>
</form>"""


def login_page(
    request: AuthorizationRequest, username: str = "", wrong: str = "", status: int = 200, wait: int = 0
) -> HTMLResponse:
    """Show the form, which carries the client's request along; `wrong` says why it is shown again."""
    hidden = "\n".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in request.parameters.items()
    )
    said = f'<p class="wrong" role="alert">{escape(wrong)}</p>\n' if wrong else ""
    body = FORM.format(client=escape(request.client.id), wrong=said, hidden=hidden, username=escape(username))
    page = _page("Log in", body, status, f"'self' {_source(request.way_back.redirect)}")
    if wait:
        page.headers["Retry-After"] = str(wait)
    return page


def error_page(detail: str) -> HTMLResponse:
    return _page("That did not work", f'<p class="wrong" role="alert">{escape(detail)}</p>', 400, "'none'")


def _page(title: str, body: str, status: int, form_action: str) -> HTMLResponse:
    policy = (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action {form_action}"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(PAGE.format(title=title, style=STYLE, body=body), status, headers)


def _source(redirect: str) -> str:
    """Name the client to the policy: browsers hold the redirect after a form to `form-action` as well."""
    parts = urlsplit(redirect)
    # A policy has no way to write the address of an IPv6 host.
    return f"{parts.scheme}:" if "[" in parts.netloc else f"{parts.scheme}://{parts.netloc}"
