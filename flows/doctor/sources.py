"""Whether the sources of a corpus can be had: looked at, never downloaded."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import httpx

from flows.doctor.check import Check, State
from flows.state.corpus_state import CorpusState
from storage.store import Store, StoredFile
from tasks.corpora.layout import absent
from tasks.corpora.sources import Archive, Delivery, HubFiles
from tasks.download.hub import auth_headers, file_url, list_files
from tasks.download.parts import delivered

TIMEOUT_S: Final = 10.0
_NUM_NAMED: Final = 3
_CHECKSUMS: Final = "SHA256SUMS"
_HIDDEN: Final = frozenset({401, 403})
_GONE: Final = frozenset({404, 410})


def source_checks(state: CorpusState, *, thorough: bool = True) -> Iterator[Check]:
    """Checks of what a corpus still has to bring.

    Without `thorough` no server is asked, and only that is looked at without which a download must
    fail. Raises `DistilleryError` where nothing can be found out.
    """
    if state.config.synthetic is not None and state.settings.local is None:
        yield _told(state, "ok", "made up here by the run")
        return
    missing = [part.source for part in state.downloads.missing().values()]
    if not missing:
        yield _told(state, "ok", f"all {len(state.downloads.parts):,} downloads are done")
    if archives := [source for source in missing if isinstance(source, Archive)]:
        yield from _archives(state, archives, thorough=thorough)
    for source in state.corpus.sources:
        if isinstance(source, Delivery) and source in missing:
            yield from _delivery(state, source, thorough=thorough)
        elif isinstance(source, HubFiles) and source in missing:
            yield from _hub(state, source, thorough=thorough)


def _archives(
    state: CorpusState, archives: Sequence[Archive], *, thorough: bool
) -> Iterator[Check]:
    mirror = state.settings.mirror
    if mirror is None:
        for archive in archives:
            if archive.by_hand:
                yield _by_hand(state, archive.name, archive.by_hand)
        archives = [archive for archive in archives if not archive.by_hand]
    if not archives or (not thorough and (mirror is None or _is_http(mirror))):
        return
    if mirror is None:
        yield _asked(state, archives[0].url, len(archives), archives[0].size_bytes)
    elif _is_http(mirror):
        url = f"{mirror.rstrip('/')}/{archives[0].name}"
        yield _asked(state, url, len(archives), archives[0].size_bytes)
    else:
        how = next((f": {archive.by_hand}" for archive in archives if archive.by_hand), "")
        sizes = {archive.name: archive.size_bytes for archive in archives}
        yield from _on_mirror(state, mirror, sizes, how, thorough=thorough)


def _on_mirror(
    state: CorpusState,
    mirror: str,
    sizes: Mapping[str, int | None],
    how: str,
    *,
    thorough: bool,
) -> Iterator[Check]:
    """Files by name, with their published sizes as far as known, against what lies there."""
    below = _below(mirror)
    has_own_checksums = state.settings.checksums == "sha256sums"
    wanted = [*sizes, _CHECKSUMS] if has_own_checksums else list(sizes)
    lacking = [name for name in wanted if name not in below]
    if lacking:
        found = f"not below {mirror}: {_listed(lacking)}"
        yield _told(state, "problem", found, f"bring them there, under these names{how}")
        return
    other = [
        f"{name} ({below[name].size_bytes:,} bytes, published are {size:,})"
        for name, size in sizes.items()
        if thorough and not has_own_checksums and size not in (None, below[name].size_bytes)
    ]
    if other:
        next_step = "bring them anew; with files of your own set checksums: sha256sums"
        yield _told(state, "problem", f"of another size: {_listed(other)}", next_step)
    else:
        yield _told(state, "ok", f"{len(sizes):,} files below {mirror}")


def _delivery(state: CorpusState, source: Delivery, *, thorough: bool) -> Iterator[Check]:
    mirror = state.settings.mirror
    if mirror is None:
        yield _by_hand(state, f"{source.name} ({source.title})", source.how)
        return
    if _is_http(mirror):
        found = f"{source.name} is read where it lies, and {mirror} cannot be"
        yield _told(state, "problem", found, "bring it to a folder or to s3://, and name that")
        return
    below = _below(mirror)
    files = delivered(below, source)
    if not files:
        found = f"nothing of {source.name} ({source.title}) below {mirror}"
        yield _told(state, "problem", found, source.how)
        return
    if not thorough:
        return
    lacking = absent(source, below)
    for expected in lacking:
        found = f"{source.name}: missing: {expected.what} ({expected.pattern})"
        next_step = f"{source.how}; what is there is taken without it"
        yield _told(state, "warning", found, next_step)
    if not lacking:
        yield _told(state, "ok", f"{source.name}: {len(files):,} files below {mirror}")


def _hub(state: CorpusState, source: HubFiles, *, thorough: bool) -> Iterator[Check]:
    mirror = state.settings.mirror
    if mirror is not None and state.settings.checksums == "sha256sums":
        if not _is_http(mirror):
            yield from _on_mirror(state, mirror, {}, "", thorough=thorough)
        elif thorough:
            yield _asked(state, f"{mirror.rstrip('/')}/{_CHECKSUMS}", 1, None)
        return
    if source.gated and not auth_headers():
        found = f"{source.repo} is gated, and there is no token"
        page = f"https://huggingface.co/datasets/{source.repo}"
        yield _told(
            state,
            "problem",
            found,
            f"accept its terms at {page} and give a token in HF_TOKEN",
        )
    elif thorough:
        # the library waits longer for a server that is silent
        if (
            silent := _unreachable(file_url(source.repo, source.revision, "README.md"))
        ) is not None:
            yield _told(state, "problem", silent, "check the network and HF_ENDPOINT")
            return
        patterns = [pattern for found in source.patterns.values() for pattern in found]
        listing = list_files(source.repo, source.revision, source.gated, patterns)
        terabytes = sum(file.size_bytes for file in listing.files) / 1e12
        found = f"{source.repo}: {len(listing.files):,} files, {terabytes:.3f} TB"
        if not listing.files:
            next_step = "its layout is not the known one: name another `revision`"
            yield _told(state, "problem", f"{source.repo}: no file {_listed(patterns)}", next_step)
        elif mirror is not None and not _is_http(mirror):
            sizes = {file.path: file.size_bytes or None for file in listing.files}
            yield from _on_mirror(state, mirror, sizes, "", thorough=thorough)
        else:
            yield _told(state, "ok", found)


def _asked(state: CorpusState, url: str, num_files: int, size_bytes: int | None) -> Check:
    """The answer of a server to whether it has a file, the first of several."""
    others = f", the first of {num_files:,}" if num_files > 1 else ""
    mend = f"check the address, or bring the files and name corpora.{state.corpus.name}.mirror"
    try:
        answer = _head(url)
    except httpx.TransportError as error:
        found = f"cannot reach {url} ({type(error).__name__})"
        return _told(state, "problem", found, f"check the network; {mend}")
    except (httpx.InvalidURL, httpx.TooManyRedirects) as error:
        return _told(state, "problem", f"{url}: {error}", mend)
    told = answer.headers.get("Content-Length", "")
    if answer.status_code in _HIDDEN:
        next_step = state.corpus.licence.to_sign or "see what must be signed to get it"
        return _told(state, "problem", f"{url} is gated ({answer.status_code})", next_step)
    if answer.status_code in _GONE:
        return _told(state, "problem", f"{url} is not found ({answer.status_code})", mend)
    if not answer.is_success:
        found = f"{url} answers {answer.status_code}; whether it has the file is not known"
        return _told(state, "warning", found, "try again, or begin the download")
    if size_bytes is not None and told.isdecimal() and int(told) != size_bytes:
        found = f"{url} has {int(told):,} bytes, published are {size_bytes:,}"
        return _told(state, "problem", found, "another release lies there than the known one")
    return _told(state, "ok", f"{url} is there{others}")


def _unreachable(url: str) -> str | None:
    """Why no server answers, whatever it says; None when one does."""
    try:
        _head(url)
    except httpx.TransportError as error:
        return f"cannot reach {url} ({type(error).__name__})"
    except httpx.InvalidURL as error:
        return f"{url} is no address: {error}"
    except httpx.TooManyRedirects:
        return None
    return None


def _head(url: str) -> httpx.Response:
    headers = {"Accept-Encoding": "identity"}  # the size is that of the file itself
    return httpx.head(url, headers=headers, timeout=TIMEOUT_S, follow_redirects=True)


def _by_hand(state: CorpusState, what: str, how: str) -> Check:
    found = f"{what} is brought by hand, and no mirror is named"
    next_step = f"{how}; then name its folder as corpora.{state.corpus.name}.mirror"
    return _told(state, "problem", found, next_step)


def _below(mirror: str) -> Mapping[str, StoredFile]:
    return Store(mirror).list("")


def _is_http(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _NUM_NAMED:,} more" if len(names) > _NUM_NAMED else ""
    return ", ".join(names[:_NUM_NAMED]) + rest


def _told(corpus: CorpusState, state: State, found: str, next_step: str = "") -> Check:
    return Check(subject=corpus.corpus.name, state=state, found=found, next_step=next_step)
