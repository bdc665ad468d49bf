import pytest

from hallmark.storage.markers import regions


def test_regions_are_given_in_order_with_their_names():
    text = "a <x: one>1</x> b\n<x: two></x>"
    named = [(region.name, text[region.start : region.end]) for region in regions(text, r"<x: (?P<name>\w+)>", "</x>")]
    assert named == [("one", "1"), ("two", "")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n<x: one>", r"line 2: <x: one> has no </x> behind it"),
        ("</x><x: one></x>", r"line 1: </x> follows no opening marker"),
        ("<x: one>\n<x: two></x>", r"line 2: <x: two> within <x: one>"),
    ],
)
def test_half_a_pair_is_an_error(text, message):
    with pytest.raises(ValueError, match=message):
        list(regions(text, r"<x: (?P<name>\w+)>", "</x>"))
