"""Which faults are tried again, and how often."""

import errno
import gzip

import pytest

from modeling_sigma.io.reading_errors import MissingExtraError, PassingError, is_passing, naming_file
from modeling_sigma.jobs.retrying import with_retries


PASSING = [
    *(OSError(number, "x") for number in (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOSPC, errno.ETIMEDOUT)),
    OSError("a library gives no number"),
    TimeoutError(),
    ConnectionResetError(),
    MemoryError(),
    PassingError("x"),
]
LASTING = [
    *(OSError(number, "x") for number in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENAMETOOLONG)),
    FileNotFoundError("without a number"),
    PermissionError("without a number"),
    ValueError("x"),
    MissingExtraError("x"),
    KeyError("x"),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_passes_is_tried_again(error):
    calls = []

    def work():
        calls.append(error)
        if len(calls) < 3:
            raise error
        return "done"

    assert is_passing(error) and with_retries(work, pauses=(0, 0)) == "done"
    calls.clear()
    with pytest.raises(type(error)):
        with_retries(work, pauses=(0,))
    assert len(calls) == 2


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_what_lasts_is_not(error):
    calls = []

    def work():
        calls.append(error)
        raise error

    with pytest.raises(type(error)):
        with_retries(work, pauses=(0, 0))
    assert not is_passing(error) and len(calls) == 1


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O"), MemoryError()], ids=repr)
def test_a_reader_does_not_take_a_failing_machine_for_a_damaged_file(error):
    with pytest.raises(PassingError, match=r"^clip.npz: could not be read now \(\w+: .*\): try again$") as caught:
        with naming_file("clip.npz", "a clip"), naming_file("clip.npz", "a .npz file"):
            raise error
    assert is_passing(caught.value)


@pytest.mark.parametrize(
    "error",
    [gzip.BadGzipFile("x"), OSError("of Arrow"), OSError(errno.EINVAL, "x"), PermissionError(13, "x")],
    ids=repr,
)
def test_a_reader_names_a_file_that_is_damaged(error):
    with pytest.raises(ValueError, match="clip.npz: cannot be read as a clip"), naming_file("clip.npz", "a clip"):
        raise error
