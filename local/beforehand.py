"""Does, when it is imported, what every fork would do by itself at its start: the parent of all imports it.

To read all authorities that TLS trusts takes a service a tenth of its start; so does what FastAPI asks of the source of
the first route that it serves, for which Python makes the expression by which it reads any source.
"""

import inspect

import httpx

from backbone.context import authorities

authorities()
inspect.getsource(httpx.get)
