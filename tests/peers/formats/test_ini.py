from peers.formats.ini import written


def test_sections_are_parted_by_an_empty_line_and_have_what_is_set() -> None:
    sections = [("One", (("Key", "value"), ("None", None), ("Zero", 0))), ("Two", ())]

    assert written(sections) == "[One]\nKey=value\nZero=0\n\n[Two]\n"
