from hallmark.wording import readable


def test_readable_writes_abbreviations_as_readers_know_them():
    assert [readable(name) for name in ("macro_f1", "auroc", "text_length")] == [
        "macro F1",
        "AUROC",
        "text length",
    ]
