"""Pickles are read as data: what honest files hold loads, and nothing else runs, crashes or fills the memory."""

import codecs
import collections
import copyreg
import gzip
import io
import os
import pickle
import pickletools
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_sigma.io.pickles import UnsafePickleError, load_label_file, load_restricted_pickle
from modeling_sigma.io.pickles.functions import FUNCTIONS
from modeling_sigma.io.pickles.machine import _OPERATIONS, _REFUSED


PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def load(raw: bytes, **options):
    return load_restricted_pickle(io.BytesIO(raw), **options)


def named(module: str, name: str) -> bytes:
    """The instruction that looks a function up."""
    return f"c{module}\n{name}\n".encode()


def call(module: str, name: str, *arguments) -> bytes:
    """A whole pickle that calls a function with plain arguments."""
    return b"\x80\x04" + named(module, name) + plain(tuple(arguments)) + b"R."


def plain(value) -> bytes:
    """The instructions that push a plain value, without memo."""
    return pickletools.optimize(pickle.dumps(value, protocol=2))[2:-1]


F4 = named("numpy", "dtype") + plain(("f4",)) + b"R" + plain((3, "<", None, None, None, -1, -1, 0)) + b"b"
ARRAY = (
    named("numpy._core.multiarray", "_reconstruct")
    + b"("
    + named("numpy", "ndarray")
    + plain((0,))
    + plain("b")
    + b"tR"
)


def array_state(shape, raw: bytes, dtype: bytes = F4) -> bytes:
    return b"(" + plain(1) + plain(shape) + dtype + plain(False) + raw + b"t"


def raw_bytes(data: bytes) -> bytes:
    return b"B" + len(data).to_bytes(4, "little") + data


# --- what loads ---

PLAIN = {
    "numbers": [
        0,
        1,
        -1,
        255,
        256,
        65_536,
        2**31,
        -(2**31),
        2**63 - 1,
        2**64 - 1,
        1.5,
        float("inf"),
        True,
        False,
        None,
    ],
    "text": ["", "Hi!", "今天", "Ärger\n", "x" * 300],
    "bytes": [b"", b"a\x00\xff", b"y" * 300],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "sets": [set(), {1, "a"}, frozenset(), frozenset({2.5})],
    5: {None: [], "empty": {}},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_of_every_protocol(protocol):
    assert load(pickle.dumps(PLAIN, protocol)) == PLAIN


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(1, 2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
        np.arange(12)[::2],
        np.zeros((0, 133, 2), np.float64),
        np.array(3.5),
        np.array([True, False]),
        np.array([1, 2], ">i8"),
        np.array(["ab", "今"]),
        np.array([b"ab", b"c"]),
        np.arange(4, dtype=np.float16),
        np.arange(4, dtype=np.uint8),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_of_every_protocol(protocol, array):
    loaded = load(pickle.dumps({"a": array}, protocol))["a"]
    assert loaded.dtype == array.dtype and loaded.shape == array.shape
    np.testing.assert_array_equal(loaded, array)
    loaded[...] = loaded  # writable


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_scalars_of_every_protocol(protocol):
    scalars = [np.float32(1.5), np.int64(-2), np.bool_(True), np.str_("ab"), np.float64(2.5)]
    loaded = load(pickle.dumps(scalars, protocol))
    assert loaded == scalars
    assert [type(scalar) for scalar in loaded] == [type(scalar) for scalar in scalars]


def test_ordered_dicts_become_dicts():
    loaded = load(pickle.dumps(collections.OrderedDict(a=1, b=[2])))
    assert loaded == {"a": 1, "b": [2]} and type(loaded) is dict


def test_an_array_named_twice_is_one_array():
    array = np.ones(3)
    first, second = load(pickle.dumps([array, array]))
    assert first is second


def test_files_of_numpy_1():
    raw = pickle.dumps([np.arange(3.0), np.float32(1)], 2).replace(b"numpy._core.", b"numpy.core.")
    array, scalar = load(raw)
    np.testing.assert_array_equal(array, [0, 1, 2])
    assert scalar == 1


def test_files_of_python_2():
    data = np.array([1.5, -2.5], "<f4").tobytes()
    short = lambda text: b"U" + bytes([len(text)]) + text  # noqa: E731
    dtype = named("numpy", "dtype") + b"(" + short(b"f4") + plain(0) + plain(1) + b"tR("
    dtype += plain(3) + short(b"<") + b"NNN" + plain(-1) + plain(-1) + plain(0) + b"tb"
    array = named("numpy.core.multiarray", "_reconstruct") + b"(" + named("numpy", "ndarray") + plain((0,))
    array += short(b"b") + b"tR(" + plain(1) + plain((2,)) + dtype + plain(False) + short(data) + b"tb"
    raw = b"\x80\x02}" + short(b"a") + array + b"s."
    np.testing.assert_array_equal(load(raw)["a"], [1.5, -2.5])
    np.testing.assert_array_equal(pickle.loads(raw, encoding="latin1")["a"], [1.5, -2.5])


KEYS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text() | st.binary()
DATA = st.recursive(
    KEYS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(KEYS, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(DATA, st.sampled_from(PROTOCOLS))
def test_loads_what_pickle_loads(data, protocol):
    assert load(pickle.dumps(data, protocol)) == data


def test_every_instruction_of_pickle_is_carried_out_or_refused():
    assert {opcode.name for opcode in pickletools.opcodes} == {*_OPERATIONS, *_REFUSED}
    assert not {*_OPERATIONS} & {*_REFUSED}


def test_no_function_of_the_table_is_a_real_one():
    assert not any(callable(function) for function in FUNCTIONS.values())


# --- what does not ---


class Attack:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, "touch {}", f"{os.name}.system"),
        (subprocess.Popen, "touch {}", r"\.Popen"),
        (os.mkdir, "{}", f"{os.name}.mkdir"),
        (eval, "__import__('os').mkdir({!r})", "eval"),
        (exec, "__import__('os').mkdir({!r})", "exec"),
        (open, "{}", "open"),
        (np.load, "{}", "numpy.load"),
        (np.fromfile, "{}", "fromfile"),
        (np.memmap, "{}", "memmap"),
        (getattr, "{}", "getattr"),
        (pickle.loads, "{}", "pickle.loads"),
        (codecs.decode, "{}", "_codecs.decode"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_functions_are_refused_by_name_and_never_run(protocol, function, arguments, name, tmp_path):
    target = tmp_path / "harm"
    for data in (Attack(function, arguments.format(str(target))), [{"a": Attack(function, str(target))}]):
        with pytest.raises(UnsafePickleError, match=rf"refused to load \S*{name}: a skeleton file may contain only"):
            load(pickle.dumps(data, protocol))
    assert not target.exists()


def test_the_attacks_work_on_pickle_itself(tmp_path):
    pickle.loads(pickle.dumps(Attack(os.mkdir, str(tmp_path / "harm"))))
    assert (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("__builtin__", "apply"),
        ("builtins", "__import__"),
        ("builtins", "bytearray"),
        ("builtins", "object"),
        ("copyreg", "_reconstructor"),
        ("copyreg", "__newobj__"),
        ("copy_reg", "_reconstructor"),
        ("numpy.testing", "runstring"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy", "ndarray.tofile"),
        ("numpy", "ndarray.__class__"),
        ("numpy", "dtype.__new__"),
        ("numpy", "core"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy._core.numeric", "sys"),
        ("collections", "OrderedDict.__init__"),
        ("collections", "defaultdict"),
        ("functools", "partial"),
        ("torch", "load"),
        ("sklearn.externals.joblib", "load"),
        ("", ""),
        ("numpy ndarray", ""),
    ],
)
def test_names_outside_of_the_table(module, name):
    with pytest.raises(UnsafePickleError, match="refused to load"):
        load(call(module, name, "x"))
    with pytest.raises(UnsafePickleError, match="refused to load"):
        load(b"\x80\x04" + plain(module) + plain(name) + b"\x93.")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"(S'touch x'\nios\nsystem\n.", id="INST"),
        pytest.param(b"(" + named("numpy", "ndarray") + plain((3,)) + b"o.", id="OBJ"),
        pytest.param(b"\x80\x02" + named("numpy", "ndarray") + plain(((1 << 40,),)) + b"\x81.", id="NEWOBJ"),
        pytest.param(b"\x80\x04" + named("numpy", "ndarray") + b")}\x92.", id="NEWOBJ_EX"),
        pytest.param(b"Psomewhere\n.", id="PERSID"),
        pytest.param(plain("somewhere") + b"Q.", id="BINPERSID"),
        pytest.param(b"\x80\x05\x97.", id="NEXT_BUFFER"),
        pytest.param(b"\x80\x05\x97\x98.", id="READONLY_BUFFER"),
        pytest.param(b"\x80\x02\x82\x01.", id="EXT1"),
        pytest.param(b"\x80\x02\x83\x01\x00.", id="EXT2"),
        pytest.param(b"\x80\x02\x84\x01\x00\x00\x00.", id="EXT4"),
        pytest.param(call("numpy", "ndarray", (1 << 40,)), id="ndarray called"),
        pytest.param(named("numpy", "ndarray") + b".", id="a bare function"),
        pytest.param(named("collections", "OrderedDict") + b"]" + b"R.", id="call without a tuple"),
        pytest.param(plain("os.system") + plain(("x",)) + b"R.", id="call of text"),
        pytest.param(plain([1]) + plain((1,)) + b"R.", id="call of a list"),
        pytest.param(call("numpy._core.multiarray", "_reconstruct", [], (0,), b"b"), id="reconstruct a list"),
        pytest.param(
            named("numpy.core.multiarray", "_reconstruct") + b"(" + named("numpy", "dtype") + plain((0,)) + b"NtR.",
            id="reconstruct a dtype",
        ),
        pytest.param(call("numpy", "dtype", "O"), id="dtype of objects"),
        pytest.param(call("numpy", "dtype", "|O8"), id="dtype of objects of a size"),
        pytest.param(call("numpy", "dtype", "f4,O"), id="dtype with fields"),
        pytest.param(call("numpy", "dtype", "(1000000,1000000)f8"), id="dtype with a shape"),
        pytest.param(call("numpy", "dtype", "V8"), id="dtype of records"),
        pytest.param(call("numpy", "dtype", "M8[ns]"), id="dtype of dates"),
        pytest.param(call("numpy", "dtype", "U2000000000"), id="dtype of endless text"),
        pytest.param(call("numpy", "dtype", {"names": ["a"], "formats": ["O"]}), id="dtype of a dict"),
        pytest.param(call("numpy", "dtype", "T"), id="dtype of variable text"),
        pytest.param(call("_codecs", "encode", "x", "rot13"), id="encode with another codec"),
        pytest.param(call("_codecs", "encode", "x", "zlib_codec"), id="encode with a compressor"),
        pytest.param(call("builtins", "bytes", 1 << 40), id="bytes of a size"),
        pytest.param(call("builtins", "set", "abc"), id="set of text"),
        pytest.param(call("collections", "OrderedDict", {"a": 1}), id="OrderedDict with arguments"),
        pytest.param(plain({}) + plain({"__class__": 1}) + b"b.", id="state of a dict"),
        pytest.param(plain([]) + plain(({}, {"append": 1})) + b"b.", id="state of a list"),
        pytest.param(named("numpy", "dtype") + plain({"make": 1}) + b"b.", id="state of a function"),
        pytest.param(ARRAY + array_state((1,), raw_bytes(bytes(4))) + b"b" + plain((1,)) + b"b.", id="built twice"),
        pytest.param(ARRAY + array_state((1,), plain([1])) + b"b.", id="array of a list"),
        pytest.param(ARRAY + b".", id="array without content"),
        pytest.param(b"]" + ARRAY + b"a.", id="array without content in a list"),
        pytest.param(b"]" + ARRAY + b"\x94a(h\x00" + b"t\x86.", id="array without content, remembered"),
        pytest.param(F4 + b".", id="a bare dtype"),
        pytest.param(
            named("numpy", "dtype") + plain(("f4",)) + b"R" + plain((3, "|", None, ("a",), {"a": 1}, 4, 1, 0)) + b"b.",
            id="dtype with fields in its state",
        ),
        pytest.param(
            named("numpy", "dtype") + plain(("f4",)) + b"R" + plain((4, "<", None, None, None, -1, -1, 0, {})) + b"b.",
            id="dtype with metadata",
        ),
        pytest.param(plain("abc") + plain("d") + b"a.", id="append to text"),
        pytest.param(
            ARRAY + array_state((1,), raw_bytes(bytes(4))) + b"b" + plain(0) + plain(1) + b"s.", id="set an item"
        ),
    ],
)
def test_every_other_way_to_run_something_is_refused(raw):
    with pytest.raises(ValueError, match="pickle: ") as caught:
        load(raw)
    assert "\n" not in str(caught.value)
    if b"t\x86" not in raw:  # this one is damaged, too
        assert isinstance(caught.value, UnsafePickleError)


def test_registered_and_cached_extension_codes_are_refused(tmp_path):
    # A registered code that was used once is in a cache that `find_class` of a normal unpickler never sees.
    raw = b"\x80\x02\x82\xfb" + plain((str(tmp_path / "harm"),)) + b"R."
    copyreg.add_extension("os", "mkdir", 0xFB)
    try:
        assert pickle.loads(b"\x80\x02\x82\xfb.") is os.mkdir
        with pytest.raises(UnsafePickleError, match="extension code"):
            load(raw)
    finally:
        copyreg.remove_extension("os", "mkdir", 0xFB)
        copyreg._extension_cache.pop(0xFB, None)
    assert not (tmp_path / "harm").exists()


DEEP = 60_000
SCALAR = named("numpy.core.multiarray", "scalar")
BUFFER = named("numpy.core.numeric", "_frombuffer")
U1 = named("numpy", "dtype") + plain(("U1",)) + b"R" + plain((3, "<", None, None, None, 4, 4, 8)) + b"b"

DAMAGED = {
    "huge shape": ARRAY + array_state((1 << 40,), raw_bytes(bytes(4))) + b"b.",
    "overflowing shape": ARRAY + array_state((1 << 62, 1 << 62, 4), raw_bytes(bytes(4))) + b"b.",
    "overflowing empty shape": ARRAY + array_state((1 << 62, 0, 1 << 62), raw_bytes(b"")) + b"b.",
    "negative size": ARRAY + array_state((-1,), raw_bytes(bytes(4))) + b"b.",
    "two negative sizes": ARRAY + array_state((-1, -1), raw_bytes(bytes(4))) + b"b.",
    "fractional size": ARRAY + array_state((1.0,), raw_bytes(bytes(4))) + b"b.",
    "shape in a list": ARRAY + array_state([1], raw_bytes(bytes(4))) + b"b.",
    "too many axes": ARRAY + array_state((1,) * 100, raw_bytes(bytes(4))) + b"b.",
    "too few bytes": ARRAY + array_state((2,), raw_bytes(bytes(7))) + b"b.",
    "too many bytes": ARRAY + array_state((1,), raw_bytes(bytes(8))) + b"b.",
    "dtype as text": ARRAY + array_state((1,), raw_bytes(bytes(4)), plain("f4")) + b"b.",
    "short state": ARRAY + plain((1, (1,))) + b"b.",
    "text outside of latin-1": ARRAY + array_state((1,), plain("\u0394")) + b"b.",
    "invalid characters": ARRAY + array_state((1,), raw_bytes(b"\xff" * 4), U1) + b"b.",
    "scalar of two numbers": SCALAR + b"(" + F4 + raw_bytes(bytes(8)) + b"tR.",
    "scalar without bytes": SCALAR + b"(" + F4 + b"tR.",
    "buffer of few arguments": BUFFER + b"(" + F4 + b"tR.",
    "buffer without a dtype": call("numpy.core.numeric", "_frombuffer", b"abcd", None, (1,), "C"),
    "buffer of unusable axes": BUFFER
    + b"("
    + raw_bytes(bytes(4))
    + F4
    + plain((1,))
    + plain("K")
    + plain((7,))
    + b"tR.",
    "endless bytes": b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little") + b"abc.",
    "endless bytearray": b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"abc.",
    "endless text": b"\x80\x04\x8d" + (1 << 62).to_bytes(8, "little") + b"abc.",
    "huge integer": b"\x80\x02\x8b" + (1 << 20).to_bytes(4, "little") + b"\x01" * (1 << 20) + b".",
    "huge decimal integer": b"L" + b"9" * 100_000 + b"L\n.",
    "large decimal integer": b"I" + b"9" * 300 + b"\n.",
    "far memo entry": b"]r\xff\xff\xff\xff0j\xfe\xff\xff\xff.",
    "deep tuples": b")" + b"\x85" * DEEP + b".",
    "deep lists": b"]" * DEEP + b"a" * (DEEP - 1) + b".",
    "deep tuples as a key": b"})" + b"\x85" * DEEP + b"Ns.",
    "deep tuples in a set": b"\x80\x04\x8f()" + b"\x85" * DEEP + b"\x90.",
    "deep tuples in a frozen set": b"\x80\x04()" + b"\x85" * DEEP + b"\x91.",
    "list as a key": b"}]Ns.",
    "array as a key": b"}" + ARRAY + array_state((1,), raw_bytes(bytes(4))) + b"bNs.",
    "items without a dict": b"(K\x01K\x02u.",
    "key without a value": b"}(K\x01u.",
    "protocol 6": b"\x80\x06N.",
    "no mark": b"t.",
    "too few for a tuple": b"K\x01\x87.",
    "nothing": b".",
    "pop of nothing": b"0.",
    "call of nothing": b"R.",
    "state of nothing": b"b.",
    "memo of nothing": b"\x94.",
    "unknown memo entry": b"h\x05.",
    "empty file": b"",
    "text": b"not a pickle at all",
    "no end": b"N",
}


@pytest.mark.parametrize("raw", DAMAGED.values(), ids=DAMAGED)
def test_damaged_and_hostile_pickles_end_in_one_clear_line(raw):
    with pytest.raises(ValueError, match=r"^pickle: ") as caught:
        load(raw)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def bombs():
    """Small files that ask for a lot of memory."""
    text = plain("x" * 100_000)
    encode = named("_codecs", "encode")
    yield "memo", b"]r\xff\xff\xff\x7f."
    yield (
        "encoded again and again",
        b"(" + text + b"q\x010" + (encode + b"h\x01" + plain("latin1") + b"\x86R") * 5_000 + b"l.",
    )
    data = raw_bytes(bytes(100_000))
    state = b"(" + plain(1) + plain((25_000,)) + b"h\x02" + plain(False) + b"h\x01tb"
    yield "arrays of the same bytes", data + b"q\x010" + F4 + b"q\x020(" + (ARRAY + state) * 2_000 + b"l."
    numbers = b"](" + b"".join(plain(i) for i in range(10_000)) + b"eq\x010"
    yield "sets of the same list", numbers + b"(" + (named("builtins", "set") + b"h\x01\x85R") * 2_000 + b"l."
    yield "empty sets", b"\x80\x04(" + b"\x8f" * 500_000 + b"l."
    yield "bytes", b"\x80\x05\x96" + (1 << 36).to_bytes(8, "little") + b"abc."
    yield "array", ARRAY + array_state((1 << 34,), raw_bytes(bytes(4))) + b"b."


@pytest.mark.parametrize("raw", [raw for _, raw in bombs()], ids=[name for name, _ in bombs()])
def test_memory_stays_bounded(raw, monkeypatch):
    monkeypatch.setenv("SIGMA_READING_BUDGET", "0.03")
    tracemalloc.start()
    try:
        try:
            load(raw)
        except ValueError:
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60_000_000


def test_lists_of_lists_of_lists_take_no_time():
    raw = b"]q\x00" + b"".join(
        b"](" + b"h" + bytes([depth]) + (b"h" + bytes([depth])) * 99 + b"eq" + bytes([depth + 1])
        for depth in range(50)
    )
    with pytest.raises(ValueError, match=r"pickle: expected a file of 0.0 MB to take at most 3,000,000 objects"):
        load(raw + b".")


def test_the_same_array_again_and_again_counts_each_time():
    clip = {"keypoints": [np.zeros((1, 133, 2), np.float32)] * 50_000}
    assert len(load(pickle.dumps(clip))["keypoints"]) == 50_000
    clip["keypoints"] *= 20
    with pytest.raises(ValueError, match="to take at most 600 MB of memory"):
        load(pickle.dumps(clip))


@pytest.mark.parametrize("raw", [b"]q\x00h\x00a.", b"]q\x00(]h\x00aNe.", b"}q\x00K\x01h\x00s."])
def test_nothing_holds_itself(raw):
    with pytest.raises(ValueError, match="a list or dictionary that holds itself"):
        load(raw)


def sample_pickle() -> bytes:
    clip = {
        "keypoints": [np.ones((1, 3, 2), np.float32)] * 2,
        "scores": [np.ones((1, 3), np.float32)],
        "start": np.int64(1),
    }
    return pickle.dumps(clip | {"names": {"a", b"b"}}, 4)


def test_truncated_at_every_byte():
    raw = sample_pickle()
    zipped = gzip.compress(raw)
    for whole in (raw, zipped):
        load(whole)
        for length in range(len(whole)):
            with pytest.raises(ValueError, match=r"^pickle: "):
                load(whole[:length])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_bytes_load_or_raise_value_errors(data):
    raw = bytearray(sample_pickle())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        load(bytes(raw))
    except ValueError as error:
        assert str(error).startswith("pickle: ")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([opcode.code.encode("latin-1") for opcode in pickletools.opcodes]), max_size=30))
def test_random_instructions_load_or_raise_value_errors(codes):
    try:
        load(b"".join(codes) + b".")
    except ValueError as error:
        assert str(error).startswith("pickle: ")


def test_gzip_bombs_stop_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGMA_READING_BUDGET", "0.01")
    path = tmp_path / "bomb.pkl"
    path.write_bytes(gzip.compress(b"\x80\x04\x8e" + (50_000_000).to_bytes(8, "little") + bytes(50_000_000) + b"."))
    assert path.stat().st_size < 100_000
    with pytest.raises(
        ValueError, match=r"bomb.pkl: expected a file of 0.0 MB to take at most 6.0 MB .* SIGMA_READING_BUDGET=4"
    ):
        load_restricted_pickle(path)


def test_messages_name_the_file_and_stay_printable(tmp_path):
    path = tmp_path / "clip.pkl"
    path.write_bytes(pickle.dumps(Attack(os.mkdir, str(tmp_path / "harm"))))
    with pytest.raises(UnsafePickleError) as caught:
        load_restricted_pickle(path)
    allowed = "a skeleton file may contain only dicts, lists, numbers, strings and numpy arrays"
    assert str(caught.value) == f"{path}: refused to load {os.name}.mkdir: {allowed}"
    with pytest.raises(UnsafePickleError) as caught:
        load(b"c\x1b[2Jevil" + b"A" * 10_000_000 + b"\nname\n.")
    assert str(caught.value).isascii() and "\x1b" not in str(caught.value) and len(str(caught.value)) < 300
    with pytest.raises(FileNotFoundError):
        load_restricted_pickle(tmp_path / "nowhere.pkl")


# --- label files ---

LABELS = {
    "a": {"name": "a", "gloss": ["他", "今天"], "text": "他今天来。", "video_path": "a.mp4"},
    "b": {"name": "b", "gloss": "", "text": "Hi!", "video_path": None},
}


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_label_files(pack, tmp_path):
    path = tmp_path / "labels.test"
    path.write_bytes(pack(pickle.dumps(LABELS)))
    assert load_label_file(path) == LABELS


@pytest.mark.parametrize(
    "data",
    [[LABELS["a"]], {"a": "text"}, {1: LABELS["a"]}, {"a": {"text": {"en": "Hi"}}}, {"a": {"gloss": [1]}}, None],
    ids=["list", "text", "number as id", "dict as text", "numbers as gloss", "none"],
)
def test_other_data_is_no_label_file(data, tmp_path):
    path = tmp_path / "labels.test"
    path.write_bytes(gzip.compress(pickle.dumps(data)))
    with pytest.raises(ValueError, match=r"labels.test: expected .* received .*: this is no label file"):
        load_label_file(path)


def test_label_files_run_nothing_and_have_a_limit(tmp_path, monkeypatch):
    path = tmp_path / "labels.test"
    path.write_bytes(gzip.compress(pickle.dumps({"a": Attack(os.mkdir, str(tmp_path / "harm"))})))
    with pytest.raises(UnsafePickleError, match="mkdir"):
        load_label_file(path)
    assert not (tmp_path / "harm").exists()
    path.write_bytes(gzip.compress(pickle.dumps({str(i): LABELS["a"] for i in range(1000)})))
    assert len(load_label_file(path)) == 1000
    monkeypatch.setenv("SIGMA_READING_BUDGET", "0.00001")
    with pytest.raises(ValueError, match=r"labels.test: .* SIGMA_READING_BUDGET=4"):
        load_label_file(path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count", "sample_id", "text", "gloss"),
    [
        ("how2sign.labels.test", 2349, "-fZc293MpJk_0-1-rgb_front.mp4", "Hi!", ""),
        ("csl_daily.labels.dev", 1077, "S000020_P0000_T00", "他今年四岁。", ["他", "今天", "年龄", "4"]),
        ("wlasl.labels-2000.dev", 3916, "00295", "a", ""),
    ],
)
def test_label_files_of_the_field(shared_data: Path, name, count, sample_id, text, gloss):
    labels = load_label_file(shared_data / "samples" / "labels" / name)
    assert len(labels) == count
    assert labels[sample_id]["text"] == text and labels[sample_id]["gloss"] == gloss


@pytest.mark.data
def test_a_released_clip_equals_what_pickle_loads(shared_data: Path):
    path = shared_data / "samples" / "wholebody_pkl" / "human_signer_480.pkl"
    ours, theirs = load_restricted_pickle(path), pickle.loads(path.read_bytes())
    assert ours.keys() == theirs.keys()
    for name in ("keypoints", "scores"):
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_the_package_is_the_door():
    root = Path(__file__).resolve().parents[1]
    files = [*(root / "modeling_sigma").rglob("*.py"), *(root / "datasets_scripts").rglob("*.py")]
    outside = [file for file in files if file.parent.name != "pickles"]
    assert len(files) - len(outside) == 5
    assert not [file for file in outside if "io.pickles." in file.read_text(encoding="utf-8")]
