"""The stage `download`: the distributor's files, verified and indexed."""

from typing import Final

from tasks.download.parts import STAGE
from tasks.stage import Resource, Scope, Stage

DOWNLOAD: Final = Stage(name=STAGE, version=1, scope=Scope.PART, resource=Resource.NETWORK)
"""Kept by the corpus's revision and the digests of its files, in place of a fingerprint."""
