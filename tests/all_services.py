"""Every service by its name, in the catalogue's order, for tests that hold all of them to something."""

from deployment.catalogue import service_of
from services import CATALOGUE

SERVICES = {name: service_of(name) for name in CATALOGUE}
