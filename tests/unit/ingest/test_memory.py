"""Memory of large bodies is given back once, when they are gone."""

from ingest.memory import Trim, bound_heaps


def test_memory_is_given_back_once_after_large_bodies_are_gone() -> None:
    given: list[int] = []
    trim = Trim(lambda: given.append(1))
    trim.tend(is_quiet=True)
    assert given == []
    trim.large_seen()
    trim.tend(is_quiet=False)
    assert given == []
    trim.tend(is_quiet=True)
    trim.tend(is_quiet=True)
    assert given == [1]


def test_bounding_and_giving_back_work_with_whatever_c_library_there_is() -> None:
    bound_heaps()
    trim = Trim()
    trim.large_seen()
    trim.tend(is_quiet=True)
