"""XML from strangers: no document type, and so no entities to blow up or to fetch; bounded in depth and size."""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from modeling_sigma.io.reading_budget import check_time, take_bytes, take_objects


# Files of ELAN have five levels.
MAX_LEVELS = 64
_BYTES_PER_BYTE = 4  # text takes up to four bytes a character in memory
_OBJECTS_PER_ELEMENT = 2  # itself and its text
_ELEMENTS_AT_A_TIME = 1000


def parsed_xml(raw: bytes) -> Element:
    """The root of an XML document in any encoding that it states.

    Raises:
        ValueError: for anything that is not XML, that declares a document type, or is nested absurdly deeply.
    """
    take_bytes(_BYTES_PER_BYTE * len(raw))
    builder = TreeBuilder()
    depth = num_elements = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, num_elements
        depth += 1
        num_elements += 1
        if depth > MAX_LEVELS:
            raise ValueError(
                f"expected XML of at most {MAX_LEVELS} levels, received more: check how the file was made"
            )
        if num_elements % _ELEMENTS_AT_A_TIME == 0:
            take_objects(_OBJECTS_PER_ELEMENT * _ELEMENTS_AT_A_TIME)
            check_time()
        take_objects(len(attributes))
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(*_: object) -> None:
        raise ValueError("expected XML without a document type, received one (<!DOCTYPE ...>): remove it")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        raise ValueError(f"expected XML, received something else ({error}): check the file") from error
    return builder.close()
