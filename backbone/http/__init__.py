"""Makes the HTTP API of every service."""

from backbone.http.answers import Answer
from backbone.http.commands import Command
from backbone.http.context import Db
from backbone.http.pages import Page, Paging
from backbone.http.permissions import may
from backbone.http.problems import Problem

__all__ = ["Answer", "Command", "Db", "Page", "Paging", "Problem", "may"]
