"""Whether the sources of a corpus are available; nothing is downloaded."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import httpx

from flows.doctor.check import Check, State
from flows.state.corpus_state import CorpusState
from storage.store import Store, StoredFile
from tasks.corpora.layout import absent
from tasks.corpora.local.corpus import unmatched_audio
from tasks.corpora.sources import Archive, Delivery, HubFiles
from tasks.download.hub import auth_headers, file_url, list_files
from tasks.download.parts import delivered

TIMEOUT_S: Final = 10.0
_NUM_NAMED: Final = 3
_CHECKSUMS: Final = "SHA256SUMS"
_HIDDEN: Final = frozenset({401, 403})
_GONE: Final = frozenset({404, 410})


def source_checks(state: CorpusState, *, thorough: bool = True) -> Iterator[Check]:
    """Checks of the sources that a corpus still has to download.

    Without `thorough`, only hard requirements are checked, without network access. Raises
    `DistilleryError` if a check cannot be made.
    """
    if state.config.synthetic is not None and state.settings.local is None:
        yield _check(state, "ok", "synthetic; the run creates it")
        return
    missing = [part.source for part in state.downloads.missing().values()]
    if not missing:
        yield _check(state, "ok", f"all {len(state.downloads.parts):,} downloads are done")
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
        yield _request(state, archives[0].url, len(archives), archives[0].size_bytes)
    elif _is_http(mirror):
        url = f"{mirror.rstrip('/')}/{archives[0].name}"
        yield _request(state, url, len(archives), archives[0].size_bytes)
    else:
        instructions = next((f": {archive.by_hand}" for archive in archives if archive.by_hand), "")
        sizes = {archive.name: archive.size_bytes for archive in archives}
        yield from _on_mirror(state, mirror, sizes, instructions, thorough=thorough)


def _on_mirror(
    state: CorpusState,
    mirror: str,
    sizes: Mapping[str, int | None],
    instructions: str,
    *,
    thorough: bool,
) -> Iterator[Check]:
    """Compare the files on a mirror with the expected names and published sizes (None: unknown)."""
    entries = _list(mirror)
    has_own_checksums = state.settings.checksums == "sha256sums"
    expected = [*sizes, _CHECKSUMS] if has_own_checksums else list(sizes)
    missing = [name for name in expected if name not in entries]
    if missing:
        found = f"not below {mirror}: {_listed(missing)}"
        next_step = f"put them there under these names{instructions}"
        yield _check(state, "problem", found, next_step)
        return
    different = [
        f"{name} ({entries[name].size_bytes:,} bytes, expected {size:,})"
        for name, size in sizes.items()
        if thorough and not has_own_checksums and size not in (None, entries[name].size_bytes)
    ]
    if different:
        next_step = "download them again; for files of your own, set checksums: sha256sums"
        yield _check(state, "problem", f"unexpected size: {_listed(different)}", next_step)
    else:
        yield _check(state, "ok", f"{len(sizes):,} files below {mirror}")


def _delivery(state: CorpusState, source: Delivery, *, thorough: bool) -> Iterator[Check]:
    mirror = state.settings.mirror
    if mirror is None:
        yield _by_hand(state, f"{source.name} ({source.title})", source.how)
        return
    if _is_http(mirror):
        found = f"{source.name} is read in place, which {mirror} does not support"
        yield _check(
            state, "problem", found, "copy it to a folder or to s3://, and use that as the mirror"
        )
        return
    entries = _list(mirror)
    files = delivered(entries, source)
    if not files:
        found = f"nothing of {source.name} ({source.title}) below {mirror}"
        yield _check(state, "problem", found, source.how)
        return
    if not thorough:
        return
    missing = absent(source, entries)
    for part in missing:
        found = f"{source.name}: missing: {part.what} ({part.pattern})"
        next_step = f"{source.how}; a run uses the files that are there"
        yield _check(state, "warning", found, next_step)
    if not missing:
        yield _check(state, "ok", f"{source.name}: {len(files):,} files below {mirror}")
    if state.settings.local is not None and (
        unread := unmatched_audio(state.settings.local, entries)
    ):
        found = (
            f"audio with a transcript that matches no pattern, {len(unread):,} files:"
            f" {_listed(unread)}"
        )
        next_step = f"add a pattern to corpora.{state.name}.local.splits if a run is to use them"
        yield _check(state, "warning", found, next_step)


def _hub(state: CorpusState, source: HubFiles, *, thorough: bool) -> Iterator[Check]:
    mirror = state.settings.mirror
    if mirror is not None and state.settings.checksums == "sha256sums":
        if not _is_http(mirror):
            yield from _on_mirror(state, mirror, {}, "", thorough=thorough)
        elif thorough:
            yield _request(state, f"{mirror.rstrip('/')}/{_CHECKSUMS}", 1, None)
        return
    if source.gated and not auth_headers():
        found = f"{source.repo} is gated, and there is no token"
        page = f"https://huggingface.co/datasets/{source.repo}"
        yield _check(
            state,
            "problem",
            found,
            f"accept its terms at {page} and set HF_TOKEN",
        )
    elif thorough:
        # The Hub library waits longer for a server that does not response.
        if (
            failure := _unreachable(file_url(source.repo, source.revision, "README.md"))
        ) is not None:
            yield _check(state, "problem", failure, "check the network and HF_ENDPOINT")
            return
        patterns = [pattern for split in source.patterns.values() for pattern in split]
        listing = list_files(source.repo, source.revision, source.gated, patterns)
        terabytes = sum(file.size_bytes for file in listing.files) / 1e12
        found = f"{source.repo}: {len(listing.files):,} files, {terabytes:.3f} TB"
        if not listing.files:
            next_step = "its layout is not the expected one; set another `revision`"
            yield _check(state, "problem", f"{source.repo}: no file {_listed(patterns)}", next_step)
        elif mirror is not None and not _is_http(mirror):
            sizes = {file.path: file.size_bytes or None for file in listing.files}
            yield from _on_mirror(state, mirror, sizes, "", thorough=thorough)
        else:
            yield _check(state, "ok", found)


def _request(state: CorpusState, url: str, num_files: int, size_bytes: int | None) -> Check:
    """Whether a server has a file, the first of several."""
    others = f", the first of {num_files:,}" if num_files > 1 else ""
    fix = f"check the address, or provide the files and set corpora.{state.corpus.name}.mirror"
    try:
        response = _head(url)
    except httpx.TransportError as error:
        found = f"cannot reach {url} ({type(error).__name__})"
        return _check(state, "problem", found, f"check the network; {fix}")
    except (httpx.InvalidURL, httpx.TooManyRedirects) as error:
        return _check(state, "problem", f"{url}: {error}", fix)
    length = response.headers.get("Content-Length", "")
    if response.status_code in _HIDDEN:
        next_step = state.corpus.licence.to_sign or "accept the terms of its distributor"
        return _check(state, "problem", f"{url} is gated ({response.status_code})", next_step)
    if response.status_code in _GONE:
        return _check(state, "problem", f"{url} is not found ({response.status_code})", fix)
    if not response.is_success:
        found = f"{url} answers {response.status_code}; it is unknown whether the file exists"
        return _check(state, "warning", found, "try again later, or start the download")
    if size_bytes is not None and length.isdecimal() and int(length) != size_bytes:
        found = f"{url} has {int(length):,} bytes, expected {size_bytes:,}"
        return _check(
            state, "problem", found, "the server has another release than the supported one"
        )
    return _check(state, "ok", f"{url} exists{others}")


def _unreachable(url: str) -> str | None:
    """Why no server answers at this address; None if one does, with any status."""
    try:
        _head(url)
    except httpx.TransportError as error:
        return f"cannot reach {url} ({type(error).__name__})"
    except httpx.InvalidURL as error:
        return f"{url} is not a valid address: {error}"
    except httpx.TooManyRedirects:
        return None
    return None


def _head(url: str) -> httpx.Response:
    headers = {"Accept-Encoding": "identity"}  # so that the length is that of the file itself
    return httpx.head(url, headers=headers, timeout=TIMEOUT_S, follow_redirects=True)


def _by_hand(state: CorpusState, what: str, instructions: str) -> Check:
    found = f"{what} must be provided by hand, and no mirror is set"
    next_step = f"{instructions}; then set corpora.{state.corpus.name}.mirror to its folder"
    return _check(state, "problem", found, next_step)


def _list(mirror: str) -> Mapping[str, StoredFile]:
    return Store(mirror).list("")


def _is_http(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _NUM_NAMED:,} more" if len(names) > _NUM_NAMED else ""
    return ", ".join(names[:_NUM_NAMED]) + rest


def _check(corpus: CorpusState, state: State, found: str, next_step: str = "") -> Check:
    return Check(subject=corpus.corpus.name, state=state, found=found, next_step=next_step)
